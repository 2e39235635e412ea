"""The frozen, validated content of a sweep file."""

import os
import re
import shlex
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, PrivateAttr, field_validator, model_validator

from analysis.address import without_secrets
from analysis.errors import closest
from analysis.section import Section
from analysis.settings import SharpnessSettings
from orchestrator.config.grid import KnownModel, SubGrid
from orchestrator.config.locations import DATABASE_FILE, LONGEST_NAME, storage_of, tracking_of_machine
from orchestrator.config.sampling import Sample
from orchestrator.config.tags import Notes, Tags
from orchestrator.permissions import Access
from trainables.catalogue import SHIFTS
from trainables.trial.code import own_sources
from trainables.trial.specs import DataSpec, NonNegativeInt, PositiveInt, TrainingOptions
from trainables.trial.storage import is_remote, join

NOT_SHARED = re.compile(r"^on_end:.*(?:\n(?:[ \t].*)?)*?(?=\n\S|\Z)", re.MULTILINE)
SYSTEM_METRICS_VARIABLE = "MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING"  # MLflow's own


def _known_shift(name: str) -> str:
    if name not in SHIFTS:
        raise ValueError(f"unknown shift {name!r}; {closest(name, SHIFTS)}")
    return name


ShiftName = Annotated[str, AfterValidator(_known_shift)]


class TrainingConfig(TrainingOptions):
    """The settings that all trials of the sweep share; each of them may be an axis of the grid instead."""

    batch_size: PositiveInt | None = None


class ProcessResources(Section):
    """The resources of one process; with fractions, several processes share a core or a GPU."""

    cpus: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1
    gpus: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0

    @field_validator("gpus")
    @classmethod
    def _whole_or_a_part_of_one(cls, gpus: float) -> float:
        if gpus > 1 and gpus != int(gpus):
            raise ValueError(
                f"should be a whole number, or less than 1: a process shares one GPU at most; got {gpus:g}"
            )
        return gpus

    @property
    def threads(self) -> int:
        """How many threads torch may use in the process."""
        return max(1, int(self.cpus))


@dataclass(frozen=True)
class MemoryShare:
    """How much memory a measuring process may use."""

    gib: float | None = None  # as set; None: what it holds and its part of what is free
    part: float = 1.0


ALL_MEMORY = MemoryShare()


class PoolResources(ProcessResources):
    """The pool of measuring actors; `cpus` and `gpus` are for each of them.

    With `auto` it takes what trials leave free, and gives it back when trials wait. A number keeps so many actors, with
    resources that no trial gets.
    """

    actors: Literal["auto"] | int = "auto"
    memory_gib: Annotated[float | None, Field(gt=0, allow_inf_nan=False)] = (
        None  # of each; None: what is free is shared
    )

    def memory(self, cores: int) -> "MemoryShare":
        """What one actor may use on a machine with so many cores.

        Actors with GPUs share the memory of these as they share the GPUs; without, that of the machine by cores.
        """
        if self.gpus:
            return MemoryShare(self.memory_gib, min(1.0, self.gpus))
        fixed = 0.0 if self.actors == "auto" else 1 / self.actors
        return MemoryShare(self.memory_gib, min(1.0, max(self.cpus / cores, fixed)))

    @field_validator("actors", mode="before")
    @classmethod
    def _auto_or_a_number(cls, actors: Any) -> Any:
        whole = isinstance(actors, float) and actors.is_integer()
        if actors != "auto" and (isinstance(actors, bool) or not (isinstance(actors, int) or whole) or actors <= 0):
            raise ValueError(f"should be auto, or a whole number greater than 0; got {actors!r}")
        return actors


class Resources(Section):
    """How trials and measuring share the cluster."""

    trial: ProcessResources = ProcessResources()
    pool: PoolResources = PoolResources()
    max_concurrent: PositiveInt | None = None  # trials that are trained at once; None: as many as there is room for


class SweepConfig(Section, arbitrary_types_allowed=True):
    """A sweep: what varies, what is measured, where it runs and where results go."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=LONGEST_NAME)]
    data: DataSpec
    model: KnownModel
    training: TrainingConfig
    grid: tuple[SubGrid, ...]
    seeds: Annotated[tuple[NonNegativeInt, ...], Field(min_length=1)] = (0,)
    sample: Sample | None = None  # trials drawn from the grid; None: all of them
    sharpness: SharpnessSettings = SharpnessSettings()
    shifts: tuple[ShiftName, ...] = ()  # of the test images, under which each trained network is evaluated too
    resources: Resources = Resources()
    identity: Literal["settings", "code"] = "settings"  # code: trials of changed code of the user's are other trials
    storage: str = Field(default_factory=lambda: storage_of(None))  # an absolute path, or an address
    access: Access = "owner"  # who may read what is written on disks of this machine; the group may write, too
    tracking: str | None = Field(default_factory=tracking_of_machine)
    tags: Tags = Field(default_factory=dict)  # on every run in MLflow
    notes: Notes = ""  # at the head of the parent run's description in MLflow
    on_end: Annotated[str, Field(min_length=1)] | None = None  # a command of the shell, run however the sweep ends
    system_metrics: bool = Field(default_factory=lambda: os.environ.get(SYSTEM_METRICS_VARIABLE, "") in ("true", "1"))

    @field_validator("seeds")
    @classmethod
    def _distinct_seeds(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(seeds)) < len(seeds):
            raise ValueError("has the same seed more than once; keep one")
        return seeds

    @field_validator("shifts")
    @classmethod
    def _distinct_shifts(cls, shifts: tuple[str, ...]) -> tuple[str, ...]:
        twice = sorted(name for name, count in Counter(shifts).items() if count > 1)
        if twice:
            raise ValueError(f"has {', '.join(twice)} more than once; keep one")
        return shifts

    @model_validator(mode="after")
    def _tracked_somewhere(self) -> "SweepConfig":
        if self.tracking is None and is_remote(self.storage):
            raise ValueError("tracking is missing: with remote storage there is no folder to keep a SQLite file in")
        return self

    _typed: str | None = PrivateAttr(None)
    _file: Path | None = PrivateAttr(None)
    _text: str = PrivateAttr("")

    @property
    def typed(self) -> str:
        """The words that stand for this sweep in a command: `sweep.yaml --storage /results`, ready to be pasted."""
        return self._typed or shlex.quote(self.name)

    @property
    def file(self) -> Path | None:
        """The sweep file; None for a sweep that was not read from one."""
        return self._file

    @property
    def shared_text(self) -> str:
        """The text of the sweep file for others to read: without passwords, and without the command of `on_end`, which
        may hold one. Empty for a sweep that was not read from a file."""
        return without_secrets(NOT_SHARED.sub("# on_end: left out", self._text))

    def as_typed(self, words: str, file: Path | None = None, text: str = "") -> "SweepConfig":
        """The same sweep, as the user names it, and the file that it was read from with its text."""
        config = self.model_copy()
        config._typed, config._file, config._text = words, file, text
        return config

    @cached_property
    def codes(self) -> dict[str, str]:
        """By dotted path the digest of the sources of each network of the user's; empty unless it is part of a trial's
        identity."""
        names = {self.model} if self.identity == "code" else set()
        for axis in (axis for sub_grid in self.grid for axis in sub_grid.axes if names and "model" in axis.names):
            names |= {str(values[axis.names.index("model")]) for values in axis.values}
        found = {name: own_sources(name) for name in names}
        return {name: sources.digest for name, sources in found.items() if sources is not None}

    @cached_property
    def folder(self) -> str:
        """The folder that holds all results of this sweep."""
        return join(self.storage, self.name)

    @cached_property
    def tracking_uri(self) -> str:
        """The MLflow address: the one given, or SQLite in the storage folder, always absolute.

        PostgreSQL needs psycopg 3, which SQLAlchemy chooses by default only since its version 2.1.
        """
        if self.tracking is None:
            return f"sqlite:///{self.storage}/{DATABASE_FILE}"
        return re.sub(r"^postgres(ql)?://", "postgresql+psycopg://", self.tracking)

    @property
    def shown_tracking(self) -> str:
        """The MLflow address without its password."""
        return without_secrets(self.tracking_uri)
