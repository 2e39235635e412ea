"""The measurement of a trial in the store: parts while it is incomplete, then the whole. Needs no torch."""

import itertools
import json
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from pydantic import ValidationError

from analysis.results.parquet import (
    measurements_from_parquet,
    measurements_to_parquet,
    spectra_from_parquet,
    spectra_to_parquet,
)
from analysis.schema import MEASUREMENTS_FILE, SPECTRA_FILE, Measurement
from analysis.settings import SharpnessSettings
from analysis.spectrum.quadrature import Quadratures
from orchestrator.store.tasks import MeasuringTask
from trainables.errors import DamagedError, ReplacedError, StorageError
from trainables.trial.claim import Claim
from trainables.trial.folder import FAILED_FILE, INPUTS, MEASURED_FILE, read_json, write_json
from trainables.trial.machine import THIS_MACHINE, Machine
from trainables.trial.manifest import MANIFEST_FILE, CheckedFolder, checked, damaged, parsed
from trainables.trial.seal import different, digest
from trainables.trial.storage import Folder

GAUSS_NEWTON_FILE = "gauss_newton_spectra.parquet"
SAMPLES_FILE = "samples.json"
PART = "part-"
CODE = "code"  # that measured, in the record
TRIES = 10  # to write a measurement, while others write the same
FILES = "files"  # the key of a part's record under which it lists them

T = TypeVar("T")


@dataclass(frozen=True)
class Measured:
    """A measurement, or the part of it that one task makes."""

    rows: list[Measurement]
    spectra: Quadratures
    gauss_newton_spectra: Quadratures
    indices: list[int]  # of the samples
    record: dict[str, Any] = field(default_factory=dict)  # the seconds it took, and the loss on the samples

    def files(self) -> dict[str, bytes]:
        """The content of each file but the record, by name."""
        return {
            MEASUREMENTS_FILE: measurements_to_parquet(self.rows),
            SPECTRA_FILE: spectra_to_parquet(self.spectra),
            GAUSS_NEWTON_FILE: spectra_to_parquet(self.gauss_newton_spectra),
            SAMPLES_FILE: json.dumps(self.indices).encode(),
        }


def write_measured(
    folder: Folder, measured: Measured, settings: SharpnessSettings, machine: Machine = THIS_MACHINE
) -> None:
    """Write a trial's measurement. The record is written last: it marks the measurement as complete.

    Where several actors write the same one, because one of them seemed dead, one at a time does (`Claim`), and the
    first that completes it counts. In an object store a mixture of two can't be excluded, so what is there is read
    again.

    Raises:
        StorageError: the storage failed, or others keep writing.
    """
    there = checked(folder)
    files = measured.files()
    claim = Claim(there, machine)
    for attempt in range(1, TRIES + 1):
        with suppress(ReplacedError):
            claim.take(*files, MANIFEST_FILE, MEASURED_FILE)
            if MEASURED_FILE in there.names():
                if _is_whole(there):
                    break
                claim.check()
                there.delete(MEASURED_FILE)  # of a mixture
            for name, data in files.items():
                there.write(name, data, claim.check)
            record = {**measured.record, "timestamp": time.time(), "settings": settings.model_dump(mode="json")}
            there.complete(MEASURED_FILE, record, files, claim.check)
            if not there.settling or _is_whole(there):
                break
        machine.sleep(machine.uniform(0.0, 2.0 + 4 * there.settling * attempt))  # the other one shall end first
    else:
        raise StorageError(f"{folder.uri}: other processes keep writing this measurement; give the same command again")
    there.delete(FAILED_FILE)  # of an earlier attempt
    there.clear()


def _is_whole(folder: CheckedFolder) -> bool:
    """Whether a complete measurement is there, with the bytes that it lists."""
    afresh = CheckedFolder(folder.unchecked, folder.place)
    try:
        read_json(afresh, MEASURED_FILE)
        manifest = afresh.manifest()
        for name in manifest.files if manifest is not None else ():
            afresh.read(name)
    except (FileNotFoundError, DamagedError):
        return False
    return True


def read_measured(folder: Folder, prefix: str = "", record: str = MEASURED_FILE) -> Measured:
    """Read a measurement from its folder; FileNotFoundError if there is none.

    Raises:
        DamagedError: a file is not what was written.
    """
    content = read_json(folder, record)
    listed = content.pop(FILES, {})

    def read(name: str, parse: Callable[[bytes], T]) -> T:
        data = folder.read(prefix + name)
        found, expected = digest(data), listed.get(name)
        if expected not in (None, found):
            raise damaged(folder, prefix + name, different(expected, found))
        return parsed(folder, prefix + name, data, parse)

    return Measured(
        read(MEASUREMENTS_FILE, measurements_from_parquet),
        read(SPECTRA_FILE, spectra_from_parquet),
        read(GAUSS_NEWTON_FILE, spectra_from_parquet),
        read(SAMPLES_FILE, json.loads),
        content,
    )


def read_settings(folder: Folder) -> SharpnessSettings | None:
    """The settings of a finished measurement; None without one, or if this version can't read its settings."""
    try:
        return SharpnessSettings.model_validate(read_json(folder, MEASURED_FILE)["settings"])
    except (FileNotFoundError, ValidationError):
        return None


def write_part(folder: Folder, task: MeasuringTask, part: Measured) -> None:
    """Write the part that one task made. The record is written last, with the SHA-256 of each file."""
    files = part.files()
    for name, data in files.items():
        folder.write(_prefix(task) + name, data)
    write_json(folder, _record(task), {**part.record, FILES: {name: digest(data) for name, data in files.items()}})


def part_digests(folder: Folder, record: str) -> dict[str, str]:
    """The SHA-256 of each file of a part, by its name, as the part's record says; none if the record is older."""
    prefix = record.removesuffix(MEASURED_FILE)
    return read_json(
        folder, record, lambda content: {prefix + name: str(of) for name, of in content.get(FILES, {}).items()}
    )


def missing_parts(folder: Folder, tasks: Iterable[MeasuringTask]) -> list[MeasuringTask]:
    """The tasks whose parts are not in the store yet."""
    names = set(folder.names())
    return [task for task in tasks if _record(task) not in names]


def assemble(folder: Folder, tasks: Sequence[MeasuringTask], settings: SharpnessSettings) -> None:
    """Put a trial's measurement together from its parts, as one task would have made it, and remove the parts.

    Safe to repeat.

    Raises:
        FileNotFoundError: a part is missing, and so is the measurement.
        DamagedError: a part is not what was written, or the parts are of different weights.
    """
    try:
        parts = [read_measured(folder, _prefix(task), _record(task)) for task in tasks]
    except FileNotFoundError:
        folder.read(MEASURED_FILE)  # another process has already put them together
        return
    inputs: dict[str, str] = {}  # a task reads the initial weights only where its measures need them
    for task, part in zip(tasks, parts, strict=True):
        of_part = part.record.get(INPUTS, {})
        if any(inputs.get(name, of) != of for name, of in of_part.items()):
            raise damaged(folder, _record(task), "was made from another checkpoint than the other parts")
        inputs |= of_part
    joined = _joined(parts, tasks, settings)
    write_measured(folder, replace(joined, record={**joined.record, INPUTS: inputs}), settings)
    for name in folder.names():
        if name.startswith(PART):
            folder.delete(name)


def _joined(parts: Sequence[Measured], tasks: Sequence[MeasuringTask], settings: SharpnessSettings) -> Measured:
    # Layers before the whole, as one task orders them.
    ordered = [
        part for _, part in sorted(zip(tasks, parts, strict=True), key=lambda pair: pair[0].name == "all_layers")
    ]
    rows = [row for name in settings.measures for row in _rows_of(name, ordered)]
    seconds = {task.name: part.record["seconds"] for task, part in zip(tasks, parts, strict=True)}
    return Measured(
        rows,
        {layer: spectrum for part in ordered for layer, spectrum in part.spectra.items()},
        {layer: spectrum for part in ordered for layer, spectrum in part.gauss_newton_spectra.items()},
        parts[0].indices,
        {**parts[0].record, "seconds": sum(seconds.values()), "task_seconds": seconds},
    )


def _rows_of(measure: str, parts: Sequence[Measured]) -> list[Measurement]:
    """A measure's rows from all parts: in their order, or block by block where each part has another parameter."""
    found = [[row for row in part.rows if row.measure == measure] for part in parts]
    found = [rows for rows in found if rows]
    parameters = [{row.parameter for row in rows} for rows in found]
    if any(mine != other for mine, other in itertools.pairwise(parameters)):
        return [row for rows in zip(*found, strict=True) for row in rows]
    return [row for rows in found for row in rows]


def _prefix(task: MeasuringTask) -> str:
    return f"{PART}{task.key}-"


def _record(task: MeasuringTask) -> str:
    return f"{_prefix(task)}{MEASURED_FILE}"
