"""What two sweeps differ in: trials, settings, code, data, weights, values."""

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from typing import Any

from analysis.results.parquet import measurements_from_parquet
from analysis.results.remarks import READING_THREADS
from analysis.schema import MEASUREMENTS_FILE
from orchestrator.store.code import trained_by_of
from orchestrator.store.lineage import read_spec
from trainables.trial.folder import MEASURED_FILE, SPEC_FILE, TRAINED_FILE, TrialFolder, read_json
from trainables.trial.manifest import TRIALS_FOLDER, CheckedFolder, parsed
from trainables.trial.storage import Folder

Key = tuple[str, float | None, str]  # measure, parameter, layer
MOST_NAMED = 5


@dataclass(frozen=True)
class Facts:
    """What is compared of a trial."""

    parameters: Mapping[str, object]
    made_by: Mapping[str, str]  # versions of code and data
    weights: str = ""
    outcome: Mapping[str, float] = field(default_factory=dict)  # losses and accuracies
    values: Mapping[str, Mapping[Key, float | None]] = field(default_factory=dict)  # by measurement id
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # by measurement id


def difference(first: Folder, second: Folder) -> list[tuple[str, str]]:
    """What two sweeps' folders differ in, as topics and sentences; empty where nothing that is compared differs.

    Costs a read of all small files of both.

    Raises:
        DamagedError: a file is not what was written.
    """
    one, other = _facts(first), _facts(second)
    both = [trial_id for trial_id in one if trial_id in other]
    only = {"A": [each for each in one if each not in other], "B": [each for each in other if each not in one]}
    found = [("trials", f"{len(ids)} only in {name}: {_named(ids)}") for name, ids in only.items() if ids]
    found += _parameters(one, other)
    pairs = [(trial_id, one[trial_id], other[trial_id]) for trial_id in both]
    made = Counter(
        (what, a.made_by.get(what, "not recorded"), b.made_by.get(what, "not recorded"))
        for _, a, b in pairs
        for what in {**a.made_by, **b.made_by}
        if a.made_by.get(what) != b.made_by.get(what)
    )
    found += [("code and data", f"{count} trials: {what}: {a} in A, {b} in B") for (what, a, b), count in made.items()]
    found += _settings(one, other)
    weights = [trial_id for trial_id, a, b in pairs if a.weights and b.weights and a.weights != b.weights]
    if weights:
        found.append(("weights", f"differ in {len(weights)} of {len(both)} trials in both: {_named(weights)}"))
    for name in {name: None for _, a, _ in pairs for name in a.outcome}:
        found += _numbers("outcome", name, [(i, a.outcome.get(name), b.outcome.get(name)) for i, a, b in pairs])
    found += _values(pairs)
    return found


def _facts(sweep: Folder) -> dict[str, Facts]:
    trial_ids = (sweep / TRIALS_FOLDER).names()
    with ThreadPoolExecutor(READING_THREADS) as readers:
        found = readers.map(lambda trial_id: _of_trial(sweep, trial_id), trial_ids)
        return {trial_id: facts for trial_id, facts in zip(trial_ids, found, strict=True) if facts is not None}


def _of_trial(sweep: Folder, trial_id: str) -> Facts | None:
    trial = TrialFolder(sweep / TRIALS_FOLDER / trial_id, trial_id)
    there = trial.folder.names()
    if SPEC_FILE not in there:
        return None
    spec = read_spec(trial)
    made_by = trained_by_of(trial, spec.model)
    if TRAINED_FILE not in there:
        return Facts(spec.parameters(), made_by)
    trained = trial.read_trained()
    folders = {name: trial.measurements / name for name in trial.measurements.names()}
    complete = {name: folder for name, folder in folders.items() if MEASURED_FILE in folder.names()}
    return Facts(
        spec.parameters(),
        made_by,
        trained.weights,
        asdict(trained.generalization),
        {name: _rows(folder) for name, folder in complete.items()},
        {name: read_json(folder, MEASURED_FILE).get("settings", {}) for name, folder in complete.items()},
    )


def _rows(folder: CheckedFolder) -> dict[Key, float | None]:
    data = folder.read(MEASUREMENTS_FILE)
    rows = parsed(folder, MEASUREMENTS_FILE, data, measurements_from_parquet)
    return {(row.measure, row.parameter, row.layer): row.value for row in rows}


def _parameters(one: Mapping[str, Facts], other: Mapping[str, Facts]) -> Iterator[tuple[str, str]]:
    """Parameters that do not take the same values in both."""
    taken = [
        {name: {str(facts.parameters.get(name)) for facts in sweep.values()} for name in _names(sweep)}
        for sweep in (one, other)
    ]
    for name in {**taken[0], **taken[1]}:
        a, b = (values.get(name, set()) for values in taken)
        if a != b:
            mine, theirs = (_named(sorted(each)) or "nothing more" for each in (a - b, b - a))
            yield "settings", f"{name}: {mine} only in A, {theirs} only in B"


def _names(sweep: Mapping[str, Facts]) -> list[str]:
    return list({name: None for facts in sweep.values() for name in facts.parameters})


def _settings(one: Mapping[str, Facts], other: Mapping[str, Facts]) -> Iterator[tuple[str, str]]:
    """Measurements that only one has, and what in their settings is another."""
    kinds = [{name: of for facts in sweep.values() for name, of in facts.settings.items()} for sweep in (one, other)]
    only = [sorted(set(kinds[0]) - set(kinds[1])), sorted(set(kinds[1]) - set(kinds[0]))]
    for side, names in zip("AB", only, strict=True):
        if names:
            yield "measuring", f"settings {_named(names)} only in {side}"
    for a, b in zip(*only, strict=False):
        for key in {**kinds[0][a], **kinds[1][b]}:
            if kinds[0][a].get(key) != kinds[1][b].get(key):
                yield "measuring", f"{key}: {kinds[0][a].get(key)} in {a}, {kinds[1][b].get(key)} in {b}"


def _values(pairs: list[tuple[str, Facts, Facts]]) -> Iterator[tuple[str, str]]:
    by_measure: dict[str, list[tuple[str, float | None, float | None]]] = {}
    for trial_id, a, b in pairs:
        for measurement in a.values.keys() & b.values.keys():
            mine, theirs = a.values[measurement], b.values[measurement]
            for key in {**mine, **theirs}:
                by_measure.setdefault(key[0], []).append((trial_id, mine.get(key), theirs.get(key)))
    for measure, values in by_measure.items():
        yield from _numbers("values", measure, values)


def _numbers(topic: str, name: str, pairs: list[tuple[str, float | None, float | None]]) -> list[tuple[str, str]]:
    """How many of pairs of numbers differ, and by how much at most; two that are missing are equal."""
    differing = [(trial_id, a, b) for trial_id, a, b in pairs if a != b and not (_missing(a) and _missing(b))]
    if not differing:
        return []
    trial_id, a, b = max(differing, key=lambda each: _relative(each[1], each[2]))
    most = f"most in {trial_id}: {_text(a)} in A, {_text(b)} in B"
    return [(topic, f"{name}: {len(differing)} of {len(pairs)} differ, {most}")]


def _missing(value: float | None) -> bool:
    return value is None or math.isnan(value)


def _relative(a: float | None, b: float | None) -> float:
    if a is None or b is None or _missing(a) or _missing(b):
        return math.inf
    return abs(a - b) / max(abs(a), abs(b))


def _text(value: float | None) -> str:
    return "no value" if value is None else f"{value:.9g}"


def _named(names: list[str]) -> str:
    return ", ".join(names[:MOST_NAMED]) + (f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else "")
