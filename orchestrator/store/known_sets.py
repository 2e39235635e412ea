"""Which Parquet set a sweep's trials are of: found in its files, compared with what the store says, and recorded there.

Trials are known by the fingerprint of their set. Those of a version that took no fingerprints are known by the set's
name; what says that they are of the present files is that they were trained on these paths, after the files' last
change.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from orchestrator.config.sweep_config import SweepConfig
from orchestrator.errors import UsageError
from orchestrator.store.trial_store import TRIALS_FOLDER
from trainables.errors import TrainingError
from trainables.trial.folder import SPEC_FILE, TRAINED_FILE, read_json, write_json
from trainables.trial.specs import DataSpec
from trainables.trial.storage import Folder, open_folder

if TYPE_CHECKING:
    from trainables.tables.survey import Survey

SETS_FILE = "data.json"
Known = Literal["name", "content"]
_NOTHING: tuple[str, ...] = ()


@dataclass(frozen=True)
class KnownSet:
    """A set that trials of the store are of, and what its classes are called in its files."""

    fingerprint: str
    name: str
    known_by: Known  # what is part of these trials' ids
    classes: list[str | int]  # the label of class 0, 1, …
    counts: dict[str, list[int]]  # images of each class, by split


@dataclass(frozen=True)
class DataState:
    """A sweep whose trials can be identified, and what is to be said about its data."""

    config: SweepConfig  # with the fingerprint, where the set has one
    known: KnownSet | None = None  # None for sets with names of their own, and where files can't be read
    notes: tuple[str, ...] = ()  # for the screen
    problem: str | None = None  # why the files can't be used; nothing can be trained then


def identify(config: SweepConfig) -> DataState:
    """Find the set's fingerprint in its files. A set with a name of its own (digits, cifar10, …) needs none.

    Where the files can't be read, as on a laptop that only asks for the status, the set is the one that the store has
    recorded under its name.

    Raises:
        UsageError: it can't be told whether trials of the store are of this set; the message spells out the choice.
    """
    data = config.data
    if data.dataset != "parquet" or (data.fingerprint is not None and data.known_by is not None):
        return DataState(config)
    folder = open_folder(config.folder)
    recorded = read_sets(folder)
    from trainables.tables.summary import describe  # pyarrow takes a while, and other sets do not need it
    from trainables.tables.survey import survey

    try:
        found = survey(data)
    except TrainingError as error:
        return _unread(config, recorded, str(error))
    if data.fingerprint not in (None, found.fingerprint):
        raise UsageError(
            f"data.fingerprint: the file says {data.fingerprint}, but the set at {', '.join(data.train)} is "
            f"{found.fingerprint}; correct the paths, or leave the key out"
        )
    known, notes = _among(recorded, data, found, folder)
    return DataState(_with(config, known), known, (*describe(data, found), *notes))


def record_set(state: DataState, folder: Folder) -> None:
    """Keep in the store which set its trials are of; a reader of results finds its classes there."""
    if state.known is None:
        return
    recorded = read_sets(folder)
    if recorded.get(state.known.fingerprint) != state.known:
        sets = (recorded | {state.known.fingerprint: state.known}).values()
        write_json(folder, SETS_FILE, {"sets": [asdict(each) for each in sets]})


def read_sets(folder: Folder) -> dict[str, KnownSet]:
    """The sets that the store's trials are known to be of, by fingerprint.

    Raises:
        DamagedError: the record is not what was written.
    """
    try:
        return read_json(
            folder, SETS_FILE, lambda content: {each["fingerprint"]: KnownSet(**each) for each in content["sets"]}
        )
    except FileNotFoundError:
        return {}


def _with(config: SweepConfig, known: KnownSet) -> SweepConfig:
    changes = {"fingerprint": known.fingerprint, "known_by": known.known_by, "name": known.name}
    return config.model_copy(update={"data": config.data.model_copy(update=changes)})


def _unread(config: SweepConfig, recorded: dict[str, KnownSet], problem: str) -> DataState:
    data = config.data
    same = [
        each
        for each in recorded.values()
        if (each.fingerprint == data.fingerprint if data.fingerprint else each.name == data.name)
    ]
    if len(same) == 1:
        note = f"the files can't be read here; the trials are those of the recorded set {same[0].fingerprint}"
        return DataState(_with(config, same[0]), same[0], (note,), problem)
    return DataState(config, None, (), problem)


def _among(
    recorded: dict[str, KnownSet], data: DataSpec, found: "Survey", folder: Folder
) -> tuple[KnownSet, tuple[str, ...]]:
    """The set as the store's trials know it, and what is to be said about that."""
    name, counts = str(data.name), {split: list(of_split) for split, of_split in found.counts.items()}
    before = recorded.get(found.fingerprint)
    by_name = [each for each in recorded.values() if each.known_by == "name" and each.name == name]
    known_by, notes = data.known_by, _NOTHING
    if known_by == "name" and by_name and before not in by_name:
        raise UsageError(
            f"data.known_by: trials of {name!r} in this store are of the set {by_name[0].fingerprint}, and the files "
            f"hold {found.fingerprint}; leave known_by out, or give this set another name"
        )
    if known_by is None and before is not None:
        known_by, name = before.known_by, before.name
    if known_by is None:
        earlier = [] if by_name else list(_earlier_trials(folder))
        known_by, notes = _judge(earlier, data, found, folder)
    return KnownSet(found.fingerprint, name, known_by, list(found.classes), counts), notes


def _judge(
    earlier: list[tuple[str, dict[str, Any]]], data: DataSpec, found: "Survey", folder: Folder
) -> tuple[Known, tuple[str, ...]]:
    """Whether trials of a version without fingerprints are of this set."""
    if not earlier:
        return "content", ()
    same_name = [(trial_id, spec) for trial_id, spec in earlier if spec.get("name") == data.name]
    reason = _difference(same_name, data, folder) if same_name else _other_names(earlier)
    if reason is None:
        note = (
            f"{len(same_name)} trials of before are matched by the name {data.name!r}; they are of {found.fingerprint}"
        )
        return "name", (note,)
    name = f"name: {earlier[0][1].get('name')}, " if not same_name else ""
    raise UsageError(
        f"data: the store has {len(same_name or earlier)} trials of a version that did not record their images, and "
        f"{reason}. If the images are the same, add `{name}known_by: name` to data, and these trials stay done. If "
        "they are others, add `known_by: content`, and other trials are trained"
    )


def _difference(trials: list[tuple[str, dict[str, Any]]], data: DataSpec, folder: Folder) -> str | None:
    """What speaks against trials with the set's name being of its present files; None if nothing does."""
    for _, spec in trials:
        for split, now in (("train", data.train), ("test", data.test)):
            if list(now) != list(spec.get(split) or ()):
                then = ", ".join(spec.get(split) or ()) or "nothing"
                return f"data.{split} was {then} then and is {', '.join(now)} now"
    from trainables.tables.files import files_of

    newest = max((file for found in files_of(data).values() for file in found), key=lambda file: file.modified)
    begun = [start for trial_id, _ in trials if (start := _start(folder / TRIALS_FOLDER / trial_id)) is not None]
    if begun and newest.modified / 1e9 > min(begun):
        return f"{newest.path} has changed since they were trained"
    return None


def _other_names(trials: list[tuple[str, dict[str, Any]]]) -> str:
    names = sorted({str(spec.get("name")) for _, spec in trials})
    return f"the name of their data set is another one ({', '.join(names)})"


def _earlier_trials(folder: Folder) -> Iterator[tuple[str, dict[str, Any]]]:
    """The trials on Parquet sets without fingerprints, each with its data section."""
    trials = folder / TRIALS_FOLDER
    for trial_id in trials.names():
        try:
            data = json.loads((trials / trial_id).read(SPEC_FILE))["data"]
        except (FileNotFoundError, NotADirectoryError, ValueError, KeyError, TypeError):
            continue
        if isinstance(data, dict) and data.get("dataset") == "parquet" and data.get("fingerprint") is None:
            yield trial_id, data


def _start(trial: Folder) -> float | None:
    """The Unix time at which a trial's training began; None if it is not trained."""
    try:
        first = json.loads(trial.read(TRAINED_FILE))["history"][0]
        return float(first["timestamp"]) - float(first["seconds"])
    except (FileNotFoundError, ValueError, KeyError, TypeError, IndexError):
        return None
