"""What a trial's numbers were made from: settings, data, code, machine, checkpoints, each with its SHA-256."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from analysis.errors import closest
from orchestrator.errors import UsageError
from orchestrator.store.measurement import CODE
from trainables.trial.code import Code
from trainables.trial.folder import (
    INPUTS,
    MEASURED_FILE,
    SPEC_FILE,
    TRAINED_FILE,
    TrialFolder,
    read_json,
)
from trainables.trial.manifest import TRIALS_FOLDER, CheckedFolder, parsed
from trainables.trial.specs import TrialSpec
from trainables.trial.storage import Folder


@dataclass(frozen=True)
class Step:
    """One step of a trial: what it made, and from what."""

    name: str
    facts: tuple[tuple[str, str], ...]  # what it was made from, and by
    files: Mapping[str, str]  # that it made, each with its SHA-256


@dataclass(frozen=True)
class Lineage:
    """The steps of a trial, in their order."""

    trial_id: str
    label: str
    steps: tuple[Step, ...]


def lineage_of(sweep: Folder, word: str) -> Lineage:
    """What a trial came from. Every file that is read is compared with its manifest.

    Args:
        sweep: the sweep's folder.
        word: the trial's id, or the beginning of it.

    Raises:
        UsageError: no trial, or several, of that id.
        DamagedError: a file is not what was written.
    """
    trial_id = _found(sweep, word)
    trial = TrialFolder(sweep / TRIALS_FOLDER / trial_id, trial_id)
    spec = read_spec(trial)
    steps = [_trained(trial, spec)] if TRAINED_FILE in trial.folder.names() else []
    for measurement in trial.measurements.names():
        folder = trial.measurements / measurement
        if MEASURED_FILE in folder.names():
            steps.append(_measured(folder, measurement))
    if trial.shift_names():
        steps.append(_shifts(trial))
    return Lineage(trial_id, spec.label, tuple(steps))


def read_spec(trial: TrialFolder) -> TrialSpec:
    """The specification in a trial's folder; it is data: nothing that it names is imported or asked."""
    return parsed(trial.folder, SPEC_FILE, trial.folder.read(SPEC_FILE), TrialSpec.model_validate_json)


def _found(sweep: Folder, word: str) -> str:
    there = (sweep / TRIALS_FOLDER).names()
    found = [trial_id for trial_id in there if trial_id.startswith(word)]
    if len(found) != 1:
        problem = f"{len(found)} trials begin so; give more of the id" if found else closest(word, there)
        raise UsageError(f"TRIAL: {word}: {problem}")
    return found[0]


def _trained(trial: TrialFolder, spec: TrialSpec) -> Step:
    facts = [("settings", f"{SPEC_FILE}: {', '.join(f'{name} {value}' for name, value in spec.parameters().items())}")]
    facts.append(("data", _data(spec)))
    for code in trial.read_code():
        facts += _code(code)
    facts.append(("weights", trial.read_trained().weights or "not recorded"))
    return Step("training", (*facts, *_written(trial.folder)), _files(trial.folder))


def _measured(folder: CheckedFolder, measurement: str) -> Step:
    record = read_json(folder, MEASURED_FILE)
    settings = record.get("settings", {})
    measures = ", ".join(settings.get("measures", []))
    facts = [("settings", f"{measurement}: {settings.get('samples')} samples, {measures}")]
    facts += [(f"made from {name}", str(of)) for name, of in record.get(INPUTS, {}).items()]
    facts += _code(Code.of_json(record[CODE])) if CODE in record else []
    return Step("measurement", (*facts, *_written(folder)), _files(folder))


def _shifts(trial: TrialFolder) -> Step:
    facts = []
    for name in trial.shift_names():
        of = read_json(trial.shifts, f"{name}.json").get(INPUTS, {})
        facts += [(f"{name} made from {what}", str(digest)) for what, digest in of.items()]
    return Step("shifts", (*facts, *_written(trial.shifts)), _files(trial.shifts))


def _data(spec: TrialSpec) -> str:
    data: dict[str, Any] = spec.data.model_dump(mode="json", exclude_defaults=True)
    return ", ".join(f"{name} {value}" for name, value in data.items())


def _code(code: Code) -> list[tuple[str, str]]:
    found = [("code", f"renyi-sharpness {code.label}")]
    for path, sources in code.own.items():
        modules = ", ".join(f"{name} {digest}" for name, digest in sources.modules.items())
        found.append(("code", f"{path} {sources.digest} ({modules})"))
    return found + ([("data", f"fingerprint {code.data}")] if code.data else [])


def _written(folder: CheckedFolder) -> list[tuple[str, str]]:
    manifest = folder.manifest()
    if manifest is None:
        return [("written", "by a version without manifests: nothing can be compared")]
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(manifest.written))
    return [("written", when), ("by", ", ".join(f"{name} {of}" for name, of in manifest.environment.items()))]


def _files(folder: CheckedFolder) -> dict[str, str]:
    """The files of a step with their digests, after each was compared with its manifest."""
    manifest = folder.manifest()
    names = [] if manifest is None else [name for name in manifest.files if name in folder.names()]
    return {name: folder.sha256(name) for name in names}
