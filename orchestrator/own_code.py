"""The user's own code that a sweep needs, so that a cluster gets it too."""

import os
import sys
from collections.abc import Iterable, Iterator
from importlib.machinery import PathFinder
from pathlib import Path

from analysis.dotted import PATH_VARIABLE
from orchestrator.config.sweep_config import SweepConfig
from trainables.catalogue import NETWORKS
from trainables.trial.code import imported_names

OURS = ("analysis", "trainables", "orchestrator", "renyi")
SKIPPED = ("__pycache__",)


def folders() -> list[Path]:
    """The folders in which own code is looked for."""
    return [Path(each) for each in os.environ.get(PATH_VARIABLE, "").split(os.pathsep) if each]


def own_code(config: SweepConfig) -> list[Path]:
    """The modules and packages in these folders that the sweep's dotted paths lead to, and what these import there."""
    found: dict[str, Path] = {}
    waiting = [path.partition(".")[0] for path in _dotted_paths(config)]
    while waiting:
        name = waiting.pop()
        place = None if name in found else _find(name)
        if place is not None:
            found[name] = place
            waiting += _imports(place)
    return list(found.values())


def files_of(code: Iterable[Path]) -> Iterator[tuple[str, Path]]:
    """Each file of modules and packages, by its path below the folder that holds them."""
    for place in code:
        if place.is_file():
            yield place.name, place
            continue
        for file in sorted(place.rglob("*")):
            if file.is_file() and not set(file.parts) & set(SKIPPED):
                yield str(file.relative_to(place.parent)), file


def _dotted_paths(config: SweepConfig) -> list[str]:
    of_grid = [
        str(value)
        for sub_grid in config.grid
        for axis in sub_grid.axes
        for values in axis.values
        for name, value in zip(axis.names, values, strict=True)
        if name == "model"
    ]
    models = [model for model in (config.model, *of_grid) if model not in NETWORKS]
    return [path for path in (*models, *config.sharpness.own_measures, config.sharpness.loss.name) if "." in path]


def _find(name: str) -> Path | None:
    if name in OURS or name in sys.stdlib_module_names or _is_installed(name):
        return None
    for folder in folders():
        if (folder / name).is_dir() and any((folder / name).glob("*.py")):
            return folder / name
        if (folder / f"{name}.py").is_file():
            return folder / f"{name}.py"
    return None


def _is_installed(name: str) -> bool:
    """Whether a module is found before own code is looked for."""
    own = ["", *map(str, folders())]
    spec = PathFinder.find_spec(name, [each for each in sys.path if each not in own])
    return spec is not None and spec.origin is not None


def _imports(place: Path) -> Iterator[str]:
    """The first names of the modules that code may import."""
    for file in [place] if place.is_file() else place.rglob("*.py"):
        module = file.relative_to(place.parent).with_suffix("")
        parts = module.parent.parts if module.name == "__init__" else module.parts
        for name in imported_names(file.read_bytes(), ".".join(parts), module.name == "__init__"):
            yield name.partition(".")[0]
