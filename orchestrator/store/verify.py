"""Whether every file of a sweep's folder is the one that was written, by the manifests and seals of the store."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime

from analysis.progress import NO_BAR, ProgressBar
from orchestrator.store.closing import NOTES_OF_SWEEP, REHEARSALS_FOLDER, REPORT_FOLDER, read_at, read_closing
from orchestrator.store.lease import DRIVER_FOLDER, last_lease
from orchestrator.store.measurement import PART, part_digests
from trainables.errors import DamagedError
from trainables.trial.folder import (
    CLEANED_FILE,
    CODE_FILE,
    FAILED_FILE,
    INPUTS,
    MEASURED_FILE,
    MEASUREMENTS_FOLDER,
    SHIFTS_FOLDER,
    SPEC_FILE,
    TRAINED_FILE,
    WEIGHTS,
)
from trainables.trial.manifest import (
    LISTED_IN,
    MANIFEST_FILE,
    NOTES,
    TRIALS_FOLDER,
    WRITTEN,
    CheckedFolder,
    Entry,
    Manifest,
    place_of,
)
from trainables.trial.seal import SealError, different, is_sealed_json, trial_of_zip, unsealed_json
from trainables.trial.specs import TrialSpec
from trainables.trial.storage import Folder, StoredFile

READERS = 8  # threads; hashing and reading run beside each other


@dataclass(frozen=True)
class Damage:
    """A file that is not the one that was written."""

    path: str  # in the sweep's folder
    reason: str


@dataclass
class Verification:
    """What was found in a sweep's folder."""

    damages: list[Damage] = field(default_factory=list)
    unverifiable: list[str] = field(default_factory=list)  # finished steps from before manifests
    files: int = 0  # looked at
    bytes: int = 0  # read

    def __iadd__(self, other: "Verification") -> "Verification":
        self.damages += other.damages
        self.unverifiable += other.unverifiable
        self.files += other.files
        self.bytes += other.bytes
        return self


def verify_sweep(folder: Folder, fast: bool = False, bar: ProgressBar = NO_BAR) -> Verification:
    """Check every file of a sweep's folder.

    Costs one read of everything, or with `fast` of small files alone: others then count as unchanged if they have their
    size, and were not written after the record of their step.

    Args:
        folder: the sweep's.
        fast: whether size and date suffice.
        bar: shows how many trials have been checked.
    """
    total = _Check(fast).sweep(folder)
    trial_ids = (folder / TRIALS_FOLDER).names()
    bar.plan(len(trial_ids))
    with ThreadPoolExecutor(READERS) as readers:
        for trial_id, found in zip(
            trial_ids, readers.map(lambda trial_id: verify_trial(folder, trial_id, fast), trial_ids), strict=True
        ):
            # A second look: a trial at work may have written one file of two.
            total += verify_trial(folder, trial_id, fast) if found.damages else found
            bar.step(f"checked {trial_id}")
    reasons: dict[str, Damage] = {}  # the last one is of the step, which knows more than the list of all
    for damage in total.damages:
        reasons[damage.path] = damage
    total.damages = list(reasons.values())
    return total


def verify_trial(folder: Folder, trial_id: str, fast: bool = False) -> Verification:
    """Check every file of one trial in a sweep's folder."""
    return _Check(fast).trial(folder, trial_id)


def verify_notes(folder: Folder) -> list[Damage]:
    """Check what the drivers of a sweep keep up to date beside the trials."""
    return _Check(fast=False).notes(folder).damages


class _Check:
    """One pass over some folders."""

    def __init__(self, fast: bool) -> None:
        self.fast = fast
        self.found = Verification()

    def sweep(self, folder: Folder) -> Verification:
        """The files beside the trials."""
        self.notes(folder)
        for name in folder.names():
            if name == REPORT_FOLDER or name.startswith(f"{REPORT_FOLDER}-"):
                self._step(CheckedFolder(folder / name, name), f"{name}/", "")
        self._closing(folder)
        return self.found

    def _closing(self, folder: Folder) -> None:
        """What the last driver left, if it ended of itself: also what only a list of all can show."""
        number, driver = last_lease(folder)
        try:
            closing = read_closing(folder)
        except DamagedError as error:
            self._damage("", MANIFEST_FILE, error.why)
            return
        if closing is None:
            if driver is not None and driver.closed:
                self._damage("", MANIFEST_FILE, "is missing")
            return
        if closing.driver < number:
            if driver is not None and driver.closed:
                self._damage("", MANIFEST_FILE, f"an older version: of driver {closing.driver}, not {number}")
            return
        if driver is None or not driver.closed:
            reason = "is missing, damaged or an older version: it does not say that its driver ended"
            self._damage("", f"{DRIVER_FOLDER}/{closing.driver:06d}.json", reason)
        for path, entry in closing.files.items():
            try:
                found = Entry.of(read_at(folder, path))
            except FileNotFoundError:
                self._damage("", path, "is missing")
                continue
            self._count(folder, path, found.size)
            if found != entry:
                self._damage("", path, str(different(entry.sha256, found.sha256)))

    def notes(self, folder: Folder) -> Verification:
        """What drivers keep up to date."""
        for name in NOTES_OF_SWEEP:
            self._note(folder, "", name)
        for inside in (DRIVER_FOLDER, REHEARSALS_FOLDER):
            for name in (folder / inside).names():
                if name.endswith(".json"):
                    self._note(folder / inside, f"{inside}/", name)
        return self.found

    def trial(self, folder: Folder, trial_id: str) -> Verification:
        """A trial with its measurements and shifts."""
        checked = CheckedFolder(folder / TRIALS_FOLDER / trial_id, trial_id)
        path = f"{TRIALS_FOLDER}/{trial_id}/"
        there = self._step(checked, path, TRAINED_FILE)
        weights = self._weights(checked, TRAINED_FILE) if TRAINED_FILE in there else None
        names = set(checked.names())
        if MEASUREMENTS_FOLDER in names:
            for name in (checked / MEASUREMENTS_FOLDER).names():
                self._measurement(checked / MEASUREMENTS_FOLDER / name, f"{path}{MEASUREMENTS_FOLDER}/{name}/", weights)
        if SHIFTS_FOLDER in names:
            shifts, shifts_path = checked / SHIFTS_FOLDER, f"{path}{SHIFTS_FOLDER}/"
            there = self._step(shifts, shifts_path, "")
            for name in there:
                if name not in (FAILED_FILE, MANIFEST_FILE):
                    self._same_weights(shifts, shifts_path, name, weights)
        return self.found

    def _measurement(self, folder: CheckedFolder, path: str, weights: str | None) -> None:
        there = self._step(folder, path, MEASURED_FILE)
        if MEASURED_FILE in there:
            self._same_weights(folder, path, MEASURED_FILE, weights)
        for name in there:
            if name.startswith(PART) and name.endswith(MEASURED_FILE):
                self._part(folder, path, name)

    def _step(self, folder: CheckedFolder, path: str, record: str) -> dict[str, StoredFile]:
        """The files of one step, by its manifest if it has one; what is there."""
        there = {file.path: file for file in folder.tree() if "/" not in file.path and file.path[0] != "."}
        for name in NOTES:
            if name in there:
                self._note(folder, path, name)
        try:
            manifest = folder.manifest()
        except DamagedError as error:
            self._damage(path, MANIFEST_FILE, error.why)
            return there
        if manifest is not None:
            self._listed(folder, path, record, manifest, there)
        elif record and record not in there:
            self._unfinished(folder, path, there)
        else:
            self._without_manifest(folder, path, there)
        return there

    def _listed(
        self, folder: CheckedFolder, path: str, record: str, manifest: Manifest, there: dict[str, StoredFile]
    ) -> None:
        """The files of a finished step."""
        damages: list[Damage] = []
        newest = 0.0
        self._count(folder, MANIFEST_FILE, 0)
        last = there[record].written if record in there else there[MANIFEST_FILE].written
        for name, entry in manifest.files.items():
            if name not in there:
                if name.endswith(".pt") and CLEANED_FILE in there:
                    continue
                damages.append(Damage(path + name, "is missing"))
                continue
            if self.fast and name != record and there[name].size == entry.size and there[name].written <= last:
                self._count(folder, name, 0)
                continue
            data = self._read(folder, name)
            found = Entry.of(data)
            if found != entry:
                written = _written(folder, name, data)
                newest = max(newest, written)
                older = f"an older version, of {_date(written)}: " if written else ""
                damages.append(Damage(path + name, f"{older}{different(entry.sha256, found.sha256)}"))
        for name in there.keys() - manifest.files.keys() - {MANIFEST_FILE, *NOTES}:
            if name.endswith(".json") and not name.startswith(PART):
                newest = max(newest, _written(folder, name, self._read(folder, name)))
        if newest > manifest.written:
            reason = f"an older version, of {_date(manifest.written)}: it does not fit what was written later"
            damages = [Damage(path + MANIFEST_FILE, reason)]
        self.found.damages += damages

    def _without_manifest(self, folder: CheckedFolder, path: str, there: dict[str, StoredFile]) -> None:
        """A finished step of an earlier version; or one whose manifest is gone, as a seal in it shows."""
        files = [name for name in there if name not in NOTES and not name.startswith(PART)]
        for name in files:
            data = self._read(folder, name)
            if name.endswith(".json") and is_sealed_json(data) and f'"{LISTED_IN}": "'.encode() in data:
                self._damage(path, MANIFEST_FILE, "is missing")
                return
            self._readable(path, name, data)
        if files:
            self.found.unverifiable.append(path)

    def _unfinished(self, folder: CheckedFolder, path: str, there: dict[str, StoredFile]) -> None:
        """A step at work, or one that was interrupted."""
        trial_id = folder.place
        for name in there:
            if name.endswith(".pt"):
                try:
                    found = trial_of_zip(self._read(folder, name))
                except SealError as error:
                    self._damage(path, name, str(error))
                else:
                    if found not in (None, trial_id):
                        self._damage(path, name, f"expected a checkpoint of trial {trial_id}, found one of {found}")
            elif name == SPEC_FILE:
                self._spec(folder, path)
            elif name == CODE_FILE:
                self._note(folder, path, name)

    def _spec(self, folder: CheckedFolder, path: str) -> None:
        try:
            found = TrialSpec.model_validate_json(self._read(folder, SPEC_FILE)).trial_id
        except ValueError as error:
            self._damage(path, SPEC_FILE, f"is no specification of a trial ({str(error).splitlines()[0]})")
            return
        if found != folder.place:
            self._damage(path, SPEC_FILE, f"expected the specification of trial {folder.place}, found that of {found}")

    def _part(self, folder: CheckedFolder, path: str, record: str) -> None:
        try:
            listed = part_digests(folder, record)
        except DamagedError as error:
            self._damage(path, record, error.why)
            return
        for name, expected in listed.items():
            try:
                found = Entry.of(self._read(folder, name)).sha256
            except FileNotFoundError:
                self._damage(path, name, "is missing")
                continue
            if found != expected:
                self._damage(path, name, str(different(expected, found)))

    def _readable(self, path: str, name: str, data: bytes) -> None:
        """What can be said of a file without a digest: whether it can be read at all."""
        try:
            if name.endswith(".json"):
                json.loads(data)
            elif name.endswith(".pt"):
                trial_of_zip(data)
            elif name.endswith(".parquet"):
                _read_parquet(data)
        except (ValueError, OSError) as error:
            self._damage(path, name, f"can't be read ({str(error).splitlines()[0]})")

    def _note(self, folder: Folder, path: str, name: str) -> None:
        """A small file with a seal of its own."""
        try:
            data = folder.read(name)
        except FileNotFoundError:
            return
        self._count(folder, name, len(data))
        try:
            unsealed_json(place_of(folder, name), data)
        except SealError as error:
            self._damage(path, name, str(error))

    def _same_weights(self, folder: CheckedFolder, path: str, record: str, weights: str | None) -> None:
        found = self._weights(folder, record)
        if found and weights and found != weights:
            self._damage(path, record, f"was made from weights {found}; the trial has {weights}")

    def _weights(self, folder: CheckedFolder, record: str) -> str | None:
        """The weights that a sound record names."""
        try:
            content = json.loads(folder.read(record))
        except (ValueError, DamagedError, FileNotFoundError):
            return None
        found = content.get(INPUTS, content) if isinstance(content, dict) else {}
        return found.get(WEIGHTS) if isinstance(found, dict) else None

    def _read(self, folder: CheckedFolder, name: str) -> bytes:
        data = folder.unchecked.read(name)
        self._count(folder, name, len(data))
        return data

    def _count(self, folder: Folder, name: str, size: int) -> None:
        self.found.files += 1
        self.found.bytes += size

    def _damage(self, path: str, name: str, reason: str) -> None:
        self.found.damages.append(Damage(path + name, reason))


def _written(folder: CheckedFolder, name: str, data: bytes) -> float:
    """When a record says that it was written; 0 for what is no record with a sound seal."""
    try:
        content = unsealed_json(f"{folder.place}/{name}", data) if name.endswith(".json") else {}
    except SealError:
        return 0.0
    return float(content.get(WRITTEN, 0.0)) if LISTED_IN in content else 0.0


def _date(written: float) -> str:
    return datetime.fromtimestamp(written).isoformat(" ", "milliseconds")


def _read_parquet(data: bytes) -> None:
    import io

    import pyarrow.parquet as pq

    pq.read_table(io.BytesIO(data))


def sweeps_in(folder: Folder) -> Iterator[str]:
    """The names of the sweeps in a storage's folder."""
    for name in folder.folders():
        if TRIALS_FOLDER in (folder / name).folders():
            yield name
