"""Reading a sweep file: YAML in, one frozen and validated object out, all errors at once."""

import re
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError

from analysis.errors import closest
from orchestrator.config.expand import check_combinations
from orchestrator.config.grid import parse_grid
from orchestrator.config.problems import ConfigProblem, say
from orchestrator.config.sweep_config import SweepConfig
from orchestrator.errors import UsageError

SHIPPED = Path(__file__).parents[1] / "sweeps"


def shipped_sweeps() -> list[str]:
    """Names of the sweeps that come with the package."""
    return sorted(path.stem for path in SHIPPED.glob("*.yaml"))


def find(sweep: str) -> Path:
    """The file of a sweep, given as a path or as a shipped name.

    Raises:
        UsageError: it is neither; the message has the nearest shipped name.
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
        UsageError: all problems of the file, each as `file: key: what is wrong; did you mean …?`.
    """
    path = find(sweep)
    raw = _read(path)
    raw |= {key: value for key, value in (("storage", storage), ("tracking", tracking)) if value is not None}
    grid, problems = parse_grid(raw.get("grid")) if "grid" in raw else ((), [ConfigProblem("grid", "is missing")])
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
    """YAML 1.1 as PyYAML reads it, except that `1e-3` is a number and that a repeated key is an error."""

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
        line = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise UsageError(f"{path}: {line}not valid YAML: {error.problem}") from error
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise UsageError(f"{path}: not a YAML text file: {error}".splitlines()[0]) from error
    except OSError as error:
        raise UsageError(f"{path}: can't be read: {error.strerror}") from error
    if content is None:
        raise UsageError(f"{path}: is empty; `renyi sweeps` shows files to start from")
    if not isinstance(content, dict):
        raise UsageError(f"{path}: must be a mapping of keys such as name, data, grid; got {type(content).__name__}")
    return content


def _problem(detail: Any) -> ConfigProblem:
    """One of pydantic's errors as a problem of the file."""
    location = [part for part in detail["loc"] if not _is_branch(part)]
    key = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location).lstrip(".")
    match detail["type"]:
        case "extra_forbidden":
            return ConfigProblem(key, f"unknown key; {closest(str(location[-1]), _keys(location[:-1]))}")
        case "missing":
            return ConfigProblem(key, "is missing")
        case "literal_error":
            choices = re.findall(r"'([^']+)'", detail["ctx"]["expected"])
            return ConfigProblem(key, f"unknown value {detail['input']!r}; {closest(str(detail['input']), choices)}")
        case "value_error":
            return ConfigProblem(key or "file", str(detail["ctx"]["error"]))
        case _:
            return ConfigProblem(key, say(detail))


def _without_echoes(problems: list[ConfigProblem]) -> list[ConfigProblem]:
    """Drop problems that follow from another one: a list too short because an item is bad, a key missing because it is
    misspelt."""
    meant = {
        f"{problem.key.rpartition('.')[0]}.{problem.message.removesuffix('?').rpartition('did you mean ')[2]}"
        for problem in problems
        if "did you mean" in problem.message
    }

    def echoes(problem: ConfigProblem) -> bool:
        key = problem.key if "." in problem.key else f".{problem.key}"
        misspelt = problem.message == "is missing" and key in meant
        return misspelt or any(other.key.startswith(f"{problem.key}[") for other in problems)

    return [problem for problem in problems if not echoes(problem)]


def _is_branch(part: int | str) -> bool:
    """Whether a part of pydantic's location is a branch of a union and not a key."""
    return isinstance(part, str) and ("[" in part or part in ("str", "int", "float"))


def _keys(location: list[int | str]) -> list[str]:
    """The valid keys of the section at a location."""
    section: type[BaseModel] = SweepConfig
    for part in location:
        annotation = section.model_fields[str(part)].annotation
        kinds = [kind for kind in (annotation, *get_args(annotation)) if isinstance(kind, type)]  # `Section | None`
        found = next((kind for kind in kinds if issubclass(kind, BaseModel)), None)
        if found is None:
            return []
        section = found
    return list(section.model_fields)
