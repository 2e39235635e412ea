"""Reading a sweep file: YAML in, one frozen and validated object out, all errors at once."""

import json
import os
import re
import shlex
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from analysis.address import without_secrets
from analysis.errors import closest
from orchestrator.config.consistency import check_consistency
from orchestrator.config.expand import check_combinations
from orchestrator.config.grid import parse_grid
from orchestrator.config.locations import locate
from orchestrator.config.own_code import look_in, with_code
from orchestrator.config.problems import ConfigProblem, say, short, shown
from orchestrator.config.sweep_config import SweepConfig
from orchestrator.config.sweep_text import read_mapping, read_text
from orchestrator.errors import UsageError

SHIPPED = Path(__file__).parents[1] / "sweeps"
IGNORED = "x-"  # keys that begin like this hold what other keys refer to by anchors
MAX_PROBLEMS = 50
TYPED_VARIABLE = "RENYI_TYPED"  # on a cluster: the words of the user's own machine, by the sweep's name on the cluster


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
    try:
        path = Path(sweep).expanduser()
        there, folder = path.exists(), path.is_dir()
    except (OSError, RuntimeError, ValueError) as error:  # over-long, of an unknown user, with a null byte
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise UsageError(f"{shown(sweep)}: can't be the path of a sweep file: {reason}") from error
    if not there:
        raise UsageError(
            f"{sweep}: no such file, and no shipped sweep of that name; {closest(sweep, shipped_sweeps())}"
        )
    if folder:
        raise UsageError(f"{sweep}: is a folder; give a sweep file (YAML)")
    return path


def load(sweep: str, storage: str | None = None, tracking: str | None = None, elsewhere: bool = False) -> SweepConfig:
    """Read and check a sweep file, or a shipped sweep by its name. From then on its own modules are found beside it.

    Creates nothing.

    Args:
        sweep: a path or a shipped name.
        storage, tracking: override what the file says.
        elsewhere: the sweep runs on another machine, whose variables and disk are not known here.

    Raises:
        UsageError: all problems of the file, each as `file: key: what is wrong; did you mean …?`.
    """
    path = find(sweep)
    folder = path.absolute().parent if path.is_file() else Path.cwd()  # of a pipe there is none
    look_in(*([] if path.parent == SHIPPED else [folder]))
    text = read_text(path)
    raw = {key: value for key, value in read_mapping(path, text).items() if not key.startswith(IGNORED)}
    places = locate(raw, folder, {"storage": storage, "tracking": tracking}, elsewhere)
    grid, problems = parse_grid(raw.get("grid")) if "grid" in raw else ((), [ConfigProblem("grid", "is missing")])
    problems = places.problems + problems
    located = {**raw, "storage": places.storage, "tracking": places.tracking, "grid": grid}
    if places.data:
        located["data"] = {**raw["data"], **places.data}
    typed = json.loads(os.environ.get(TYPED_VARIABLE, "{}")).get(sweep, [sweep])
    words = shlex.join(map(without_secrets, [*typed, *address_options(storage, tracking)]))
    config: SweepConfig | None = None
    try:
        config = SweepConfig.model_validate(located).as_typed(words, path, text)
    except ValidationError as error:
        problems += _without_echoes([_problem(detail) for detail in error.errors()])
    if config is not None and not problems:
        problems += check_consistency(config) or check_combinations(config)
    if config is not None and not problems:
        config, problems = with_code(config)
    if config is None or problems:
        told = [f"{path}: {problem.key}: {problem.message}" for problem in problems[:MAX_PROBLEMS]]
        more = len(problems) - len(told)
        raise UsageError(*told, *([f"{path}: and {more} more problems"] if more else []))
    return config


def address_options(storage: str | None, tracking: str | None) -> list[str]:
    """The options for the addresses of results and tracking, as words of a command."""
    given = (("--storage", storage), ("--tracking", tracking))
    return [word for name, value in given if value is not None for word in (name, value)]


def _problem(detail: Any) -> ConfigProblem:
    """One of pydantic's errors as a problem of the file."""
    *way, last = detail["loc"] or ("",)
    is_key = detail["type"] in ("extra_forbidden", "missing")  # whatever it looks like
    location = [*(part for part in way if not _is_branch(part)), *([last] if is_key or not _is_branch(last) else [])]
    key = "".join(f"[{part}]" if isinstance(part, int) else f".{short(part)}" for part in location).lstrip(".")
    match detail["type"]:
        case "extra_forbidden":
            return ConfigProblem(key, f"unknown key; {closest(str(location[-1]), _keys(location[:-1]))}")
        case "missing":
            return ConfigProblem(key, "is missing")
        case "literal_error":
            choices = re.findall(r"'([^']+)'", detail["ctx"]["expected"])
            return ConfigProblem(
                key, f"unknown value {shown(detail['input'])}; {closest(str(detail['input']), choices)}"
            )
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
