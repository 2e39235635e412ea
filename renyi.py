"""The public face: what people import, each name loaded when it is first used, and the command `renyi`.

`import renyi` alone loads neither torch nor numpy. The packages behind it have common names, so a folder of the user's
with one of them may come first on Python's search path; it is noticed here, and nowhere else.
"""

import importlib
import sys
from collections.abc import Sequence
from importlib.machinery import PathFinder
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from analysis.report.judge import judge
    from analysis.results import load_results
    from analysis.sharpness import (
        BinaryCrossEntropy,
        CrossEntropy,
        MeanSquaredError,
        block_operator,
        check_invariance,
        layer_spectra,
        measure,
        weight_layers,
    )
    from analysis.spectrum import Estimate, SpectralQuadrature, renyi_entropy
    from analysis.statistics import kendall_tau
    from trainables.models import build_model
    from trainables.optimizers import ASAM, GSAM, RSAM, SAM, EigenSAM, FriendlySAM, LookSAM

    __version__: str

__all__ = [
    "ASAM",
    "GSAM",
    "RSAM",
    "SAM",
    "BinaryCrossEntropy",
    "CrossEntropy",
    "EigenSAM",
    "Estimate",
    "FriendlySAM",
    "LookSAM",
    "MeanSquaredError",
    "SpectralQuadrature",
    "__version__",
    "block_operator",
    "build_model",
    "check_invariance",
    "judge",
    "kendall_tau",
    "layer_spectra",
    "load_results",
    "measure",
    "renyi_entropy",
    "weight_layers",
]

_NAMES = {
    "analysis.report.judge": ("judge",),
    "analysis.results": ("load_results",),
    "analysis.sharpness": (
        "BinaryCrossEntropy",
        "CrossEntropy",
        "MeanSquaredError",
        "block_operator",
        "check_invariance",
        "layer_spectra",
        "measure",
        "weight_layers",
    ),
    "analysis.spectrum": ("Estimate", "SpectralQuadrature", "renyi_entropy"),
    "analysis.statistics": ("kendall_tau",),
    "trainables.models": ("build_model",),
    "trainables.optimizers": ("ASAM", "GSAM", "RSAM", "SAM", "EigenSAM", "FriendlySAM", "LookSAM"),
}
_SOURCES = {name: module for module, names in _NAMES.items() for name in names}

_HOME = Path(__file__).resolve().parent
_PACKAGES = ("analysis", "trainables", "orchestrator")
_STARTS_RAY = ("run", "retry", "remeasure", "preflight")
_BAD_INPUT = 2


if not TYPE_CHECKING:  # so that type checkers report a misspelt name

    def __getattr__(name: str) -> object:
        if name == "__version__":
            value: object = _version()
        elif name in _SOURCES:
            _refuse_shadows()
            value = getattr(importlib.import_module(_SOURCES[name]), name)
        else:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def main() -> None:
    """The command `renyi`: end with one line and exit code 2 where a package is shadowed, else hand over to the CLI."""
    try:
        _refuse_shadows()
        if _starts_ray(sys.argv[1:]):
            # Ray puts the current folder first on the search path of the processes that train and measure.
            _refuse_shadows([str(Path.cwd())])
    except ImportError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(_BAD_INPUT)
    from orchestrator.cli import app

    app()


def _refuse_shadows(folders: Sequence[str] | None = None) -> None:
    """Raise an ImportError if another module has the name of one of our packages.

    Args:
        folders: where to look; all of `sys.path`, and what is imported already, if left out.
    """
    for package in _PACKAGES:
        path = _location(package, folders)
        if path is None or path.resolve() == _HOME / package:
            continue
        if folders is not None and (path.parent / "renyi.py").is_file():
            continue  # a clone: all of our packages are found there together
        kind = "folder" if path.is_dir() else "file"
        finder = "Python finds" if folders is None else "Ray's workers find"
        raise ImportError(
            f"the {kind} {path} shadows the package `{package}` of renyi, which is in {_HOME}: {finder} it first. "
            f"Rename that {kind}, or run from another folder, without {path.parent} on PYTHONPATH; a script of your "
            f"own may put {_HOME} first on sys.path before it imports renyi",
            name=package,
            path=str(path),
        )


def _location(package: str, folders: Sequence[str] | None) -> Path | None:
    """The folder or file that `import package` loads, or has loaded; None where there is none.

    A folder without `__init__.py` loses to ours wherever it is, so it counts only if ours is not on the path at all.
    """
    spec = getattr(sys.modules.get(package), "__spec__", None) if folders is None else None
    spec = spec or PathFinder.find_spec(package, folders)
    if spec is None or (folders is not None and spec.origin is None):
        return None
    if spec.submodule_search_locations is not None:
        return Path(next(iter(spec.submodule_search_locations))).absolute()
    return Path(spec.origin or package).absolute()


def _starts_ray(words: Sequence[str]) -> bool:
    elsewhere = {"--cluster", "inline", "--help", "-h"}
    parts = {part for word in words for part in word.split("=")}
    return words[:1] != [] and words[0] in _STARTS_RAY and not elsewhere & parts


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("renyi-sharpness")
    except PackageNotFoundError:  # a clone that is only on the search path
        return "0+unknown"


if __name__ == "__main__":
    main()
elif Path(sys.argv[0]).name not in ("renyi", "renyi.exe"):  # the command checks in `main`, to end without a traceback
    _refuse_shadows()
