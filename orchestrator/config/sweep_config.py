"""The frozen, validated content of a sweep file."""

import os
import re
from functools import cached_property
from typing import Annotated

from pydantic import AfterValidator, Field, field_validator, model_validator

from analysis.errors import closest
from analysis.settings import Section, SharpnessSettings
from orchestrator.config.grid import SubGrid
from orchestrator.config.sampling import Sample
from orchestrator.config.tags import Notes, Tags
from trainables.catalogue import NETWORKS, SHIFTS
from trainables.trial.specs import DataSpec, NonNegativeInt, PositiveInt, TrainingOptions
from trainables.trial.storage import absolute, is_remote, join, without_secrets

STORAGE_VARIABLE = "RENYI_STORAGE"
TRACKING_VARIABLE = "RENYI_TRACKING"
SYSTEM_METRICS_VARIABLE = "MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING"  # MLflow's own
DEFAULT_STORAGE = "~/renyi"


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

    cpus: Annotated[float, Field(gt=0)] = 1
    gpus: Annotated[float, Field(ge=0)] = 0

    @property
    def threads(self) -> int:
        """How many threads torch may use in the process."""
        return max(1, int(self.cpus))


class PoolResources(ProcessResources):
    """The pool of measuring actors; `cpus` and `gpus` are for each of them."""

    actors: PositiveInt = 1


class Resources(Section):
    """How trials and measuring share the cluster."""

    trial: ProcessResources = ProcessResources()
    pool: PoolResources = PoolResources()
    max_concurrent: PositiveInt | None = None  # trials that are trained at once; None: as many as there is room for


class SweepConfig(Section, arbitrary_types_allowed=True):
    """A sweep: what varies, what is measured, where it runs and where results go."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]
    data: DataSpec
    model: str
    training: TrainingConfig
    grid: tuple[SubGrid, ...]
    seeds: Annotated[tuple[NonNegativeInt, ...], Field(min_length=1)] = (0,)
    sample: Sample | None = None  # trials drawn from the grid; None: all of them
    sharpness: SharpnessSettings = SharpnessSettings()
    shifts: tuple[ShiftName, ...] = ()  # of the test images, under which each trained network is evaluated too
    resources: Resources = Resources()
    storage: Annotated[str, Field(validate_default=True)] = ""
    tracking: Annotated[str | None, Field(validate_default=True)] = None
    tags: Tags = Field(default_factory=dict)  # on every run in MLflow
    notes: Notes = ""  # at the head of the parent run's description in MLflow
    on_end: Annotated[str, Field(min_length=1)] | None = None  # a command of the shell, run however the sweep ends
    system_metrics: bool = Field(default_factory=lambda: os.environ.get(SYSTEM_METRICS_VARIABLE, "") in ("true", "1"))

    @field_validator("model")
    @classmethod
    def _known_model(cls, name: str) -> str:
        if name not in NETWORKS and "." not in name:
            raise ValueError(f"unknown model {name!r}; {closest(name, NETWORKS)} (or a dotted path of your own)")
        return name

    @field_validator("seeds")
    @classmethod
    def _distinct_seeds(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(seeds)) < len(seeds):
            raise ValueError("has the same seed more than once; keep one")
        return seeds

    @field_validator("shifts")
    @classmethod
    def _distinct_shifts(cls, shifts: tuple[str, ...]) -> tuple[str, ...]:
        twice = sorted({name for name in shifts if shifts.count(name) > 1})
        if twice:
            raise ValueError(f"has {', '.join(twice)} more than once; keep one")
        return shifts

    @field_validator("storage")
    @classmethod
    def _absolute_storage(cls, storage: str) -> str:
        return absolute(storage or os.environ.get(STORAGE_VARIABLE) or DEFAULT_STORAGE)

    @field_validator("tracking")
    @classmethod
    def _tracking_of_this_machine(cls, tracking: str | None) -> str | None:
        return tracking or os.environ.get(TRACKING_VARIABLE) or None

    @model_validator(mode="after")
    def _tracked_somewhere(self) -> "SweepConfig":
        if self.tracking is None and is_remote(self.storage):
            raise ValueError("tracking is missing: with remote storage there is no folder to keep a SQLite file in")
        return self

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
            return f"sqlite:///{self.storage}/mlflow.db"
        return re.sub(r"^postgres(ql)?://", "postgresql+psycopg://", self.tracking)

    @property
    def shown_tracking(self) -> str:
        """The MLflow address without its password."""
        return without_secrets(self.tracking_uri)
