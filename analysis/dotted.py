"""What a dotted path of the user's leads to, or one line that says why it leads to nothing."""

import difflib
import importlib
import pkgutil
import sys
import traceback
from collections.abc import Iterable
from types import ModuleType
from typing import Any

from analysis.one_line import first_line, one_line

PATH_VARIABLE = "RENYI_PATH"  # folders in which modules of the user's are looked for last, as in PYTHONPATH
REMEDY = "the package must be installed, beside the sweep file, in the current folder, or on PYTHONPATH"


def import_dotted(path: str) -> Any:
    """The object at `package.module.name`.

    Raises:
        ImportError: it is not a path, a module or the name is not there (with the nearest one that is), or the module's
            own code fails; always one line.
    """
    module_name, _, name = path.rpartition(".")
    if not module_name or not all(part.isidentifier() for part in path.split(".")):
        raise ImportError("it is not a dotted path such as package.module.name")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if f"{module_name}.".startswith(f"{missing}."):
            raise ImportError(f"No module named {missing!r}{_nearest_module(path, missing)}; {REMEDY}") from error
        raise ImportError(f"{first_line(error)}, which {_place(error) or module_name} imports; install it") from error
    except Exception as error:
        where = f" ({place})" if (place := _place(error)) else ""
        raise ImportError(f"{one_line(error)}{where}") from error
    try:
        return getattr(module, name)
    except AttributeError as error:
        near = _nearest(name, (each for each in dir(module) if not each.startswith("__")), f"{module_name}.")
        raise ImportError(f"{module_name} ({_file(module)}) has no {name!r}{near}") from error


def _nearest_module(path: str, missing: str) -> str:
    parent, _, name = missing.rpartition(".")
    folders = None if not parent else getattr(sys.modules.get(parent), "__path__", ())
    there = [module.name for module in pkgutil.iter_modules(folders)]
    return _nearest(name, there, f"{parent}." if parent else "", path.removeprefix(missing))


def _nearest(name: str, choices: Iterable[str], before: str, after: str = "") -> str:
    near = difflib.get_close_matches(name, list(choices), n=1)
    return f"; did you mean {before}{near[0]}{after}?" if near else ""


def _file(module: ModuleType) -> str:
    return getattr(module, "__file__", None) or "a folder"


def _place(error: BaseException) -> str:
    """File and line in which a module's own code failed, without those of the import system."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}, line {error.lineno}"
    frames = traceback.extract_tb(error.__traceback__)
    own = [each for each in frames if "importlib" not in each.filename and each.filename != __file__]
    return f"{own[-1].filename}, line {own[-1].lineno}" if own else ""
