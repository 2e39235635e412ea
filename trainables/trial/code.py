"""Whose code makes a trial: digests of the sources of the user's modules and of this package, none of them imported."""

import ast
import hashlib
import importlib.util
import os
import subprocess
import sysconfig
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from functools import cache
from importlib.abc import ResourceLoader
from importlib.machinery import ModuleSpec, PathFinder
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from analysis.dotted import PATH_VARIABLE
from trainables.catalogue import NETWORKS
from trainables.trial.specs import DataSpec

PACKAGES = frozenset({"analysis", "orchestrator", "trainables", "renyi"})  # this package's own
DIGITS = 12
_INSTALLED = {Path(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib", "purelib", "platlib")}


@dataclass(frozen=True)
class Sources:
    """The sources behind a dotted path of the user's."""

    digest: str  # of all of them
    modules: Mapping[str, str]  # the digest of each module's source, by its name

    @classmethod
    def of(cls, modules: Mapping[str, str]) -> "Sources":
        """The digest over modules, wherever their files lie."""
        lines = "".join(f"{name} {digest}\n" for name, digest in sorted(modules.items()))
        return cls(_digest(lines.encode()), dict(sorted(modules.items())))


@dataclass(frozen=True)
class Code:
    """The code that made a trial or a measurement."""

    version: str  # of this package
    package: str  # the digest of its sources
    own: Mapping[str, Sources] = field(default_factory=dict)  # by dotted path: of the user's network and measures
    data: str | None = None  # the fingerprint of the data, where it has one

    @property
    def label(self) -> str:
        """The version of this package as people see it."""
        return f"{self.version} ({self.package})"

    def to_json(self) -> dict[str, Any]:
        """For a file."""
        return asdict(self)

    @classmethod
    def of_json(cls, content: Mapping[str, Any]) -> "Code":
        """What `to_json` gave.

        Raises:
            ValidationError: it is not; a ValueError.
        """
        return _adapter().validate_python(content)


def code_of(paths: Iterable[str], data: DataSpec | None = None) -> Code:
    """The code behind names of networks or measures, as it is on this machine now; built-in ones are the package's."""
    found = {path: own_sources(path) for path in paths}
    own = {path: sources for path, sources in found.items() if sources is not None}
    return Code(version("renyi-sharpness"), package_digest(), own, None if data is None else data.fingerprint)


@cache
def commit() -> str | None:
    """The commit of the clone that this package runs from; None where it is installed, or where there is no git."""
    here = Path(__file__).resolve().parent
    try:
        found = subprocess.run(["git", "rev-parse", "HEAD"], cwd=here, capture_output=True, text=True, check=False)
    except OSError:  # no git, as in many containers
        return None
    return found.stdout.strip() if found.returncode == 0 else None


@cache
def _adapter() -> TypeAdapter[Code]:
    return TypeAdapter(Code)


@cache
def package_digest() -> str:
    """The digest of this package's sources; 20 ms."""
    root = Path(__file__).parents[2]
    files = [file for name in PACKAGES for file in (root / name).rglob("*.py")] + [root / "renyi.py"]
    return Sources.of(
        {str(file.relative_to(root)): _digest(file.read_bytes()) for file in files if file.exists()}
    ).digest


def own_sources(path: str) -> Sources | None:
    """The sources of a dotted path's module, and of the modules that it imports from the same package or folder.

    They are found as Python would find them and read, not imported: a package's code does not run, torch is not needed,
    and compiled files do not count. Imports within functions count, and `import_module` of a literal; other modules
    that a program finds while it runs do not.

    Returns:
        None for a built-in network or measure, and where there is no such module.
    """
    module = path.rpartition(".")[0]
    top = module.partition(".")[0]
    root = None if path in NETWORKS or not top or top in PACKAGES else _root(top)
    if root is None:
        return None
    modules: dict[str, str] = {}
    waiting = [module]
    while waiting:
        for name in _with_parents(waiting.pop()):
            other = name.partition(".")[0]
            if name in modules or (other != top and (root in _INSTALLED or other in PACKAGES or _root(other) != root)):
                continue
            spec = _find(name)
            if spec is None or spec.origin is None or not isinstance(spec.loader, ResourceLoader):
                continue
            source = spec.loader.get_data(spec.origin)
            modules[name] = _digest(source)
            waiting += imported_names(source, name, spec.submodule_search_locations is not None)
    return Sources.of(modules) if module in modules else None


def imported_names(source: bytes, name: str, is_package: bool) -> Iterator[str]:
    """The names of modules that a module's source may import; some are not modules, but names in one.

    Imports within functions count, and `import_module` of a literal. A source that can't be parsed gives none:
    importing it says why.
    """
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):  # a compiled module, or a mistake in it
        return
    package = name if is_package else name.rpartition(".")[0]
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from (each.name for each in names)
            case ast.ImportFrom(module=module, names=names, level=level):
                base = package.rsplit(".", level - 1)[0] if level > 1 else package if level else ""
                origin = ".".join(part for part in (base, module) if part)
                yield origin
                yield from (f"{origin}.{each.name}" for each in names if each.name != "*")
            case ast.Call(
                func=ast.Attribute(attr="import_module") | ast.Name(id="import_module" | "__import__"),
                args=[ast.Constant(value=str(literal)), *_],
            ):
                yield literal if not literal.startswith(".") else f"{package}{literal}"


def _digest(source: bytes) -> str:
    """The same for both ends of lines."""
    return hashlib.sha256(source.replace(b"\r\n", b"\n")).hexdigest()[:DIGITS]


def _root(top: str) -> Path | None:
    """The folder in which a module or package without a parent lies; None if there is none, or not in a file."""
    spec = _find(top)
    if spec is None:
        return None
    folders = list(spec.submodule_search_locations or ())
    if folders:
        return Path(folders[0]).parent
    return Path(spec.origin).parent if spec.has_location and spec.origin else None


def _find(name: str) -> ModuleSpec | None:
    """A module's specification. `importlib.util.find_spec` would import its parents."""
    parent, _, last = name.rpartition(".")
    try:
        if not parent:
            own = [each for each in os.environ.get(PATH_VARIABLE, "").split(os.pathsep) if each]
            return importlib.util.find_spec(name) or PathFinder.find_spec(name, own)
        found = _find(parent)
        folders = list(found.submodule_search_locations or ()) if found else []
    except (ImportError, ValueError):  # an odd entry of sys.modules
        return None
    if not folders:
        return None
    try:
        spec = PathFinder.find_spec(name, folders)
    except KeyError:  # a folder without __init__.py, for which Python asks the parent's module
        spec = ModuleSpec(name, None, is_package=True)
        spec.submodule_search_locations = [str(Path(each) / last) for each in folders if (Path(each) / last).is_dir()]
    return spec


def _with_parents(name: str) -> Iterator[str]:
    """`a.b.c` gives a, a.b and a.b.c: importing it runs all three."""
    parts = name.split(".")
    yield from (".".join(parts[:end]) for end in range(1, len(parts) + 1))
