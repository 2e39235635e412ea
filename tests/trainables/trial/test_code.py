"""Digests of the user's code: of its sources and no others, found without importing anything."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from trainables.trial.code import Code, code_of, own_sources, package_digest
from trainables.trial.specs import DataSpec

FILES = {
    "studio/__init__.py": "raise SystemExit('must not be imported')\n",
    "studio/nets/__init__.py": "",
    "studio/nets/cnn.py": "import torch\nfrom . import blocks\nfrom ..common import width\n\nclass Net: ...\n",
    "studio/nets/blocks.py": "def block():\n    from studio.late import scale\n",
    "studio/common.py": "import importlib\nlayers = importlib.import_module('studio.found')\n",
    "studio/late.py": "scale = 2\n",
    "studio/found.py": "x = 1\n",
    "studio/unused.py": "y = 1\n",
    "studio/plain/inner/deep.py": "from studio.late import scale\n",
    "single.py": "import beside\nimport numpy\nfrom analysis import schema\nclass Net: ...\n",
    "beside.py": "import json\n",
    "broken.py": "def (:\n",
}
CNN = {"studio", "studio.nets", "studio.nets.cnn", "studio.nets.blocks", "studio.common", "studio.late", "studio.found"}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's modules, in a folder on the path."""
    root = tmp_path / "code"
    for name, text in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    monkeypatch.syspath_prepend(root)
    return root


def sources(path: str) -> dict[str, str]:
    found = own_sources(path)
    assert found is not None
    return dict(found.modules)


def digest(path: str) -> str:
    found = own_sources(path)
    assert found is not None
    return found.digest


@pytest.mark.parametrize(
    ("path", "modules"),
    [
        ("studio.nets.cnn.Net", CNN),
        ("single.Net", {"single", "beside"}),
        ("studio.plain.inner.deep.Net", {"studio", "studio.plain.inner.deep", "studio.late"}),
        ("broken.Net", {"broken"}),
    ],
)
def test_the_module_and_what_it_imports_from_its_package_or_folder(folder: Path, path: str, modules: set[str]) -> None:
    before = set(sys.modules)
    assert sources(path).keys() == modules
    assert not {name for name in set(sys.modules) - before if name.partition(".")[0] in ("studio", "single", "beside")}


@pytest.mark.parametrize("path", ["digits_cnn", "trainables.models.resnet.resnet18", "nowhere.Net", "json", "l2"])
def test_what_is_built_in_or_nowhere_has_no_sources(path: str) -> None:
    assert own_sources(path) is None


def test_an_installed_package_is_itself_alone() -> None:
    assert {name.partition(".")[0] for name in sources("hypothesis.version.__version__")} == {"hypothesis"}


CHANGES: dict[str, Callable[[Path], object]] = {
    "of the module": lambda root: (root / "studio/nets/cnn.py").write_text(FILES["studio/nets/cnn.py"] + "# more\n"),
    "of a module that it imports": lambda root: (root / "studio/late.py").write_text("scale = 3\n"),
    "of a package that it is in": lambda root: (root / "studio/__init__.py").write_text(""),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_of_any_source_is_another_digest(folder: Path, change: str) -> None:
    before = digest("studio.nets.cnn.Net")
    CHANGES[change](folder)
    assert digest("studio.nets.cnn.Net") != before


def test_other_files_and_places_are_the_same_digest(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = digest("studio.nets.cnn.Net"), digest("single.Net")
    (folder / "studio/unused.py").write_text("y = 2\n")
    (folder / "studio/data.txt").write_text("no code")
    (folder / "single.py").write_bytes(FILES["single.py"].replace("\n", "\r\n").encode())
    subprocess.run([sys.executable, "-m", "compileall", "-q", str(folder)], check=False)
    assert (digest("studio.nets.cnn.Net"), digest("single.Net")) == before
    shutil.move(folder, tmp_path / "elsewhere")
    monkeypatch.syspath_prepend(tmp_path / "elsewhere")
    assert (digest("studio.nets.cnn.Net"), digest("single.Net")) == before


def test_the_code_of_a_trial_is_its_network_this_package_and_the_data(folder: Path) -> None:
    code = code_of(["single.Net", "digits_cnn"], DataSpec(dataset="digits"))
    assert code.own.keys() == {"single.Net"}
    assert code.package == package_digest()
    assert code.version in code.label
    assert Code.of_json(code.to_json()) == code
