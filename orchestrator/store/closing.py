"""The manifest of a whole sweep: what a driver leaves when it ends, so that what is missing or older is seen later."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from orchestrator.store.activity import ACTIVITY_FILE
from orchestrator.store.inventory import INDEX_FILE
from orchestrator.store.known_sets import SETS_FILE
from orchestrator.store.trial_store import LAYOUT_FILE
from trainables.trial.folder import MEASUREMENTS_FOLDER, SHIFTS_FOLDER, read_json, write_json
from trainables.trial.manifest import MANIFEST_FILE, NOTES, TRIALS_FOLDER, WRITTEN, Entry
from trainables.trial.storage import Folder

REPORT_FOLDER = "report"
REHEARSALS_FOLDER = "rehearsals"  # which passed; without them they are repeated, so the sweep's manifest has none
NOTES_OF_SWEEP = (LAYOUT_FILE, ACTIVITY_FILE, INDEX_FILE, SETS_FILE)
READERS = 8  # threads


@dataclass(frozen=True)
class Closing:
    """The notes and the manifests of a sweep's folder when its last driver ended."""

    driver: int  # the number of its lease
    files: dict[str, Entry]  # by their paths in the sweep's folder


def close_sweep(folder: Folder, driver: int) -> None:
    """Write the sweep's manifest. Costs one read of each small file, about five a trial."""
    names = folder.names()
    paths = [name for name in names if name in NOTES_OF_SWEEP]
    reports = [name for name in names if name == REPORT_FOLDER or name.startswith(f"{REPORT_FOLDER}-")]
    paths += [f"{name}/{MANIFEST_FILE}" for name in reports if MANIFEST_FILE in (folder / name).names()]
    trials = folder / TRIALS_FOLDER
    with ThreadPoolExecutor(READERS) as readers:
        for found in readers.map(lambda trial_id: list(_small_files(trials / trial_id)), trials.names()):
            paths += [path.removeprefix(f"{folder.uri.partition('?')[0]}/") for path in found]
        files = dict(zip(paths, readers.map(lambda path: Entry.of(read_at(folder, path)), paths), strict=True))
    _write(folder, Closing(driver, files))


def list_again(folder: Folder, path: str) -> None:
    """Bring the sweep's manifest, if there is one, to what a file is now that is written without a lease."""
    closing = read_closing(folder)
    if closing is not None:
        _write(folder, replace(closing, files={**closing.files, path: Entry.of(read_at(folder, path))}))


def reopen_sweep(folder: Folder) -> bool:
    """Remove the sweep's manifest before anything changes; whether there was one."""
    there = MANIFEST_FILE in folder.names()
    folder.delete(MANIFEST_FILE)
    return there


def read_closing(folder: Folder) -> Closing | None:
    """The sweep's manifest; None if there is none: a driver is at work or was killed, or the sweep is older.

    Raises:
        DamagedError: it is not what was written.
    """
    try:
        return read_json(
            folder,
            MANIFEST_FILE,
            lambda content: Closing(
                int(content["driver"]), {path: Entry(**entry) for path, entry in content["files"].items()}
            ),
        )
    except FileNotFoundError:
        return None


def read_at(folder: Folder, path: str) -> bytes:
    """The bytes of a file by its path in a folder."""
    *folders, name = path.split("/")
    for each in folders:
        folder = folder / each
    return folder.read(name)


def _write(folder: Folder, closing: Closing) -> None:
    files = {path: vars(entry) for path, entry in closing.files.items()}
    write_json(folder, MANIFEST_FILE, {"driver": closing.driver, WRITTEN: time.time(), "files": files})


def _small_files(trial: Folder) -> Iterator[str]:
    """The paths of a trial's notes and manifests; of all files, where its training has not finished."""
    names = trial.names()
    steps = [(trial, names)]
    if SHIFTS_FOLDER in names:
        steps.append((trial / SHIFTS_FOLDER, (trial / SHIFTS_FOLDER).names()))
    if MEASUREMENTS_FOLDER in names:
        measurements = trial / MEASUREMENTS_FOLDER
        steps += [(measurements / each, (measurements / each).names()) for each in measurements.names()]
    for folder, there in steps:
        unfinished = folder.uri == trial.uri and MANIFEST_FILE not in there  # no other list has its files
        for name in there:
            if name in (MANIFEST_FILE, *NOTES) or (unfinished and "." in name):
                yield f"{folder.uri.partition('?')[0]}/{name}"
