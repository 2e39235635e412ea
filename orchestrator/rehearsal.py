"""The dress rehearsal of a sweep on one machine, before any trial: all problems, a line each. Needs no torch here.

A rehearsal that passed is remembered in the store with what it depended on: the settings, the versions of Python and of
the installed packages, and every file of code outside these that it imported, the user's own among them.
"""

import hashlib
import json
import platform
import socket
import sys
import sysconfig
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from analysis.errors import AnalysisError
from analysis.settings import SharpnessSettings
from orchestrator.config.sweep_config import SweepConfig
from orchestrator.errors import UsageError
from orchestrator.store.closing import REHEARSALS_FOLDER
from trainables.errors import DamagedError, TrainingError
from trainables.processes.child import TaskError
from trainables.processes.ending import EndedError
from trainables.processes.limits import Limits
from trainables.processes.worker import Worker
from trainables.trial.cases import Case, cases_of
from trainables.trial.folder import read_json, write_json
from trainables.trial.specs import DataSpec, TrialSpec
from trainables.trial.storage import Folder, open_folder

LONGEST_SILENCE = 300.0  # seconds; a step on eight images takes none of them so long
MOST_NAMED = 4  # pairs of network and optimizer, in the line that says what is done
SKIP = "`renyi run --no-rehearsal` starts all the same"
_TASKS = "trainables.training.rehearsal"


@dataclass(frozen=True)
class Rehearsal:
    """What is to be rehearsed."""

    folder: str  # the sweep's
    data: DataSpec
    cases: tuple[Case, ...]
    settings: SharpnessSettings
    threads: int

    @property
    def is_empty(self) -> bool:
        """Whether nothing is trained, and nothing of the user's own is measured."""
        return not self.cases and not self.settings.own_measures and "." not in self.settings.loss.name

    @property
    def key(self) -> str:
        """What the result depends on, besides code and data: other code or machines mean another rehearsal."""
        content = [self.data.model_dump(mode="json"), self.settings.model_dump(mode="json"), self.threads]
        content += [[case.spec.model_dump(mode="json"), case.batch_sizes] for case in self.cases]
        return hashlib.sha256(json.dumps([content, machine(), _files_of(self.data)]).encode()).hexdigest()[:16]


def rehearsal_of(config: SweepConfig, to_train: Sequence[TrialSpec]) -> Rehearsal:
    """The rehearsal of the trials that are still to be trained."""
    threads = config.resources.trial.threads
    return Rehearsal(config.folder, config.data, cases_of(to_train), config.sharpness, threads)


def rehearse(rehearsal: Rehearsal, say: Callable[[str], None]) -> None:
    """Rehearse on this machine, unless it passed before and nothing has changed since.

    Args:
        rehearsal: what to rehearse.
        say: shows a line about a step that takes some time.

    Raises:
        UsageError: all problems, a line each, and how to start all the same.
        StorageError: the storage failed.
    """
    problems = problems_here(rehearsal, say)
    if problems:
        raise UsageError(*problems, SKIP)


def problems_here(rehearsal: Rehearsal, say: Callable[[str], None] = lambda _: None) -> list[str]:
    """The problems of a rehearsal on this machine; none where it passed before and nothing has changed since."""
    if rehearsal.is_empty:
        return []
    folder = open_folder(rehearsal.folder) / REHEARSALS_FOLDER
    name = f"{rehearsal.key}.json"
    if _has_passed(folder, name):
        return []
    pairs = [f"{case.spec.model} with {case.spec.optimizer.name}" for case in rehearsal.cases]
    more = f" and {len(pairs) - MOST_NAMED} more" if len(pairs) > MOST_NAMED else ""
    say(f"rehearsing {', '.join(pairs[:MOST_NAMED]) or 'own measures'}{more}")
    stage = _Stage(rehearsal.settings)
    try:
        problems = stage.problems(rehearsal)
        if not problems:
            write_json(folder, name, stage.code())
    finally:
        stage.worker.close()
    return problems


class _Stage:
    """One worker for the whole rehearsal; another takes its place where it ended."""

    def __init__(self, settings: SharpnessSettings) -> None:
        silence = min(settings.silence_limit or LONGEST_SILENCE, LONGEST_SILENCE)
        self._limits = Limits(None, silence, "sharpness")
        self.worker = Worker()

    def problems(self, rehearsal: Rehearsal) -> list[str]:
        """Each problem once, in the order in which a trial would meet them."""
        settings = rehearsal.settings
        found: dict[str, None] = {}
        broken = set()
        for path in [*settings.own_measures, settings.loss.name]:
            found |= self._run(path, "check_import", path, settings)
        models = dict.fromkeys(case.spec.model for case in rehearsal.cases)
        for model in models:
            of_model = self._run(f"model {model!r}", "check_model", model)
            broken |= {model} if of_model else set()
            found |= of_model
        of_data = self._run("data", "check_data", rehearsal.data, settings) if rehearsal.cases else {}
        found |= of_data
        for case in rehearsal.cases if not of_data else ():
            if case.spec.model not in broken:
                limits = replace(self._limits, section="training")
                silence = case.spec.training.silence_limit
                limits = replace(limits, silence=min(silence or LONGEST_SILENCE, LONGEST_SILENCE))
                what = f"model {case.spec.model!r} with {case.spec.optimizer.name}"
                found |= self._run(what, "rehearse", case, settings, rehearsal.threads, limits=limits)
        return list(found)

    def code(self) -> dict[str, str]:
        """The files of code that the worker imported, without those of Python and of installed packages."""
        return dict(self.worker.run(f"{_TASKS}.imported_code", installed()))

    def _run(self, what: str, task: str, *arguments: Any, limits: Limits | None = None) -> dict[str, None]:
        """What a task finds, and what happens to it, as keys."""
        found: dict[str, None] = {}
        try:
            for problem in self.worker.run(f"{_TASKS}.{task}", *arguments, limits=limits or self._limits):
                found[problem] = None
        except EndedError as error:
            found[f"{what}: {error}"] = None
        except (TrainingError, AnalysisError, TaskError) as error:
            found[f"{what}: {error}"] = None
        return found


def _has_passed(folder: Folder, name: str) -> bool:
    """Whether a rehearsal passed with the code as it is now."""
    try:
        return all(digest_of(file) == digest for file, digest in read_json(folder, name).items())
    except (FileNotFoundError, DamagedError):
        return False


def digest_of(file: str) -> str:
    """SHA-256 of a file; empty if it is gone."""
    try:
        return hashlib.sha256(Path(file).read_bytes()).hexdigest()
    except OSError:
        return ""


def installed() -> tuple[str, ...]:
    """The folders of Python and of installed packages."""
    paths = sysconfig.get_paths()
    return tuple(dict.fromkeys(paths[name] for name in ("purelib", "platlib", "stdlib", "platstdlib")))


def machine() -> list[Any]:
    """This machine, its Python, and when a package was last installed or removed."""
    changed = [Path(folder).stat().st_mtime_ns for folder in installed() if Path(folder).is_dir()]
    return [socket.gethostname(), platform.python_version(), sys.path, changed]


def _files_of(data: DataSpec) -> list[Any]:
    """Size and time of local files that the data name."""
    found = []
    for location in (data.root, *data.train, *data.test):
        if location and "://" not in location:
            path = Path(location)
            files = [path] if path.exists() else sorted(path.parent.glob(path.name)) if "**" not in location else []
            found += [[str(file), file.stat().st_size, file.stat().st_mtime_ns] for file in files]
    return found
