"""A sweep file: YAML in, one frozen and validated object out, all errors at once."""

import os
import re
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from analysis.settings import SharpnessSettings
from orchestrator.config.grid import Problem, SubGrid, check_combinations, closest, parse_grid, say
from orchestrator.errors import UsageError
from trainables.trial.specs import MODEL_NAMES, DataSpec, NonNegativeInt, PositiveInt, TrainingOptions
from trainables.trial.storage import absolute, is_remote, join, without_secrets

SHIPPED = Path(__file__).parents[1] / "sweeps"
STORAGE_VARIABLE = "RENYI_STORAGE"
TRACKING_VARIABLE = "RENYI_TRACKING"
SYSTEM_METRICS_VARIABLE = "MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING"  # MLflow's own
DEFAULT_STORAGE = "~/renyi"


class Section(BaseModel):
    """A frozen part of a sweep file that refuses keys it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


class TrainingConfig(TrainingOptions):
    """What all trials of the sweep have in common; any of it may be an axis of the grid instead."""

    batch_size: PositiveInt | None = None


class ProcessResources(Section):
    """What one process takes of the cluster; fractions share a core or a GPU."""

    cpus: Annotated[float, Field(gt=0)] = 1
    gpus: Annotated[float, Field(ge=0)] = 0

    @property
    def threads(self) -> int:
        """Threads that torch may use in it."""
        return max(1, int(self.cpus))


class PoolResources(ProcessResources):
    """The pool of measuring actors; `cpus` and `gpus` are for each of them."""

    actors: PositiveInt = 1


class Resources(Section):
    """How trials and measuring share the cluster."""

    trial: ProcessResources = ProcessResources()
    pool: PoolResources = PoolResources()


class SweepConfig(Section):
    """A sweep: what varies, what is measured, where it runs and where results go."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]
    data: DataSpec
    model: str
    training: TrainingConfig
    grid: tuple[SubGrid, ...]
    seeds: Annotated[tuple[NonNegativeInt, ...], Field(min_length=1)] = (0,)
    sharpness: SharpnessSettings = SharpnessSettings()
    resources: Resources = Resources()
    storage: Annotated[str, Field(validate_default=True)] = ""
    tracking: Annotated[str | None, Field(validate_default=True)] = None
    system_metrics: bool = Field(default_factory=lambda: os.environ.get(SYSTEM_METRICS_VARIABLE, "") in ("true", "1"))

    @field_validator("model")
    @classmethod
    def _known_model(cls, name: str) -> str:
        if name not in MODEL_NAMES and "." not in name:
            raise ValueError(f"unknown model {name!r}; {closest(name, MODEL_NAMES)} (or a dotted path of your own)")
        return name

    @field_validator("seeds")
    @classmethod
    def _distinct_seeds(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(seeds)) < len(seeds):
            raise ValueError("has the same seed more than once; keep one")
        return seeds

    @field_validator("storage")
    @classmethod
    def _absolute_storage(cls, storage: str) -> str:
        place = storage or os.environ.get(STORAGE_VARIABLE) or DEFAULT_STORAGE
        return absolute(place)

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
        """Where everything of this sweep lies."""
        return join(self.storage, self.name)

    @cached_property
    def tracking_uri(self) -> str:
        """The MLflow address: the one given, or SQLite in the storage folder, always absolute.

        PostgreSQL is reached through psycopg 3, which SQLAlchemy takes of itself only since its version 2.1.
        """
        if self.tracking is None:
            return f"sqlite:///{self.storage}/mlflow.db"
        return re.sub(r"^postgres(ql)?://", "postgresql+psycopg://", self.tracking)

    @property
    def shown_tracking(self) -> str:
        """The MLflow address without its password."""
        return without_secrets(self.tracking_uri)


def shipped_sweeps() -> list[str]:
    """Names of the sweeps that come with the package."""
    return sorted(path.stem for path in SHIPPED.glob("*.yaml"))


def find(sweep: str) -> Path:
    """The file of a sweep given as a path or as a shipped name.

    Raises:
        UsageError: neither; the nearest shipped name is given.
    """
    if sweep in shipped_sweeps():
        return SHIPPED / f"{sweep}.yaml"
    path = Path(sweep).expanduser()
    if not path.exists():
        raise UsageError(
            f"{sweep}: no such file, and no shipped sweep of that name; {closest(sweep, shipped_sweeps())}"
        )
    if path.is_dir():
        raise UsageError(f"{sweep}: is a folder; give a sweep file (YAML)")
    return path


def load(sweep: str, storage: str | None = None, tracking: str | None = None) -> SweepConfig:
    """Read and check a sweep file, or a shipped sweep by its name.

    Args:
        sweep: a path or a shipped name.
        storage, tracking: override what the file says.

    Raises:
        UsageError: everything that is wrong with the file, as `file: key: what is wrong; did you mean …?`.
    """
    path = find(sweep)
    raw = _read(path)
    raw |= {key: value for key, value in (("storage", storage), ("tracking", tracking)) if value is not None}
    grid, problems = parse_grid(raw.get("grid")) if "grid" in raw else ((), [Problem("grid", "is missing")])
    config: SweepConfig | None = None
    try:
        config = SweepConfig.model_validate({**raw, "grid": grid})
    except ValidationError as error:
        problems += _without_echoes([_problem(detail) for detail in error.errors()])
    if config is not None and not problems:
        problems += check_combinations(config)
    if config is None or problems:
        raise UsageError(*(f"{path}: {problem.key}: {problem.message}" for problem in problems))
    return config


class _Loader(yaml.SafeLoader):
    """YAML 1.1 as PyYAML reads it, but `1e-3` is a number and a key given twice is an error."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=deep) for key, _ in node.value]
        twice = [str(key) for key in keys if keys.count(key) > 1]
        if twice:
            raise yaml.MarkedYAMLError(problem=f"the key {twice[0]!r} is given twice", problem_mark=node.start_mark)
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"), list("-+.0123456789")
)


def _read(path: Path) -> dict[str, Any]:
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        place = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise UsageError(f"{path}: {place}not valid YAML: {error.problem}") from error
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise UsageError(f"{path}: not a YAML text file: {error}".splitlines()[0]) from error
    except OSError as error:
        raise UsageError(f"{path}: can't be read: {error.strerror}") from error
    if content is None:
        raise UsageError(f"{path}: is empty; `renyi sweeps` shows files to start from")
    if not isinstance(content, dict):
        raise UsageError(f"{path}: must be a mapping of keys such as name, data, grid; got {type(content).__name__}")
    return content


def _problem(detail: Any) -> Problem:
    """One of pydantic's errors as a problem of the file."""
    location = [part for part in detail["loc"] if not _is_branch(part)]
    key = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location).lstrip(".")
    match detail["type"]:
        case "extra_forbidden":
            return Problem(key, f"unknown key; {closest(str(location[-1]), _keys(location[:-1]))}")
        case "missing":
            return Problem(key, "is missing")
        case "literal_error":
            choices = re.findall(r"'([^']+)'", detail["ctx"]["expected"])
            return Problem(key, f"unknown value {detail['input']!r}; {closest(str(detail['input']), choices)}")
        case "value_error":
            return Problem(key or "file", str(detail["ctx"]["error"]))
        case _:
            return Problem(key, say(detail))


def _without_echoes(problems: list[Problem]) -> list[Problem]:
    """Drop what repeats another problem: a list that is too short for want of a bad item, a key that is misspelt."""
    meant = {
        f"{problem.key.rpartition('.')[0]}.{problem.message.removesuffix('?').rpartition('did you mean ')[2]}"
        for problem in problems
        if "did you mean" in problem.message
    }

    def echoes(problem: Problem) -> bool:
        key = problem.key if "." in problem.key else f".{problem.key}"
        misspelt = problem.message == "is missing" and key in meant
        return misspelt or any(other.key.startswith(f"{problem.key}[") for other in problems)

    return [problem for problem in problems if not echoes(problem)]


def _is_branch(part: int | str) -> bool:
    """Whether a part of pydantic's location names a branch of a union rather than a key."""
    return isinstance(part, str) and ("[" in part or part in ("str", "int", "float"))


def _keys(location: list[int | str]) -> list[str]:
    """The keys that the section at a location knows."""
    section: type[BaseModel] = SweepConfig
    for part in location:
        annotation = section.model_fields[str(part)].annotation
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            return []
        section = annotation
    return list(section.model_fields)
