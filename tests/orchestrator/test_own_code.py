"""Which of the user's own code a sweep needs, and where it is found."""

import io
import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from analysis.dotted import PATH_VARIABLE
from orchestrator.config.expand import expand
from orchestrator.config.load import load
from orchestrator.own_code import files_of, own_code
from orchestrator.rehearsal import problems_here, rehearsal_of
from orchestrator.remote.cluster import packed

SweepFile = Callable[..., Path]


@pytest.fixture(autouse=True)
def anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Run from another folder than the sweep file's."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv(PATH_VARIABLE, "")
    return folder


def test_the_sweep_files_folder_and_the_current_one_are_looked_in(
    storage: Path, sweep_file: SweepFile, tmp_path: Path, anywhere: Path
) -> None:
    load(str(sweep_file()))
    assert os.environ[PATH_VARIABLE].split(os.pathsep) == [str(tmp_path), str(anywhere)]
    load("digits")
    assert os.environ[PATH_VARIABLE] == str(anywhere)


def test_a_network_beside_the_sweep_file_is_found_with_what_it_imports(
    storage: Path, sweep_file: SweepFile, tmp_path: Path, anywhere: Path
) -> None:
    path = sweep_file(
        ("model: digits_cnn", "model: net_beside.build"), ("lambda_max, l2]", "l2, measure_here.largest]")
    )
    (tmp_path / "net_beside.py").write_text(
        "import torch\nfrom importlib import import_module\nfrom parts_beside.plain import plain\n\n"
        "def build(n, c):\n    import_module('found_late')\n    return plain(n, c)\n"
    )
    (tmp_path / "found_late.py").write_text("")
    (tmp_path / "parts_beside").mkdir()
    (tmp_path / "parts_beside" / "plain.py").write_text("from tests.orchestrator.odd_networks import plain\n")
    (tmp_path / "parts_beside" / "sizes.json").write_text("{}")
    (tmp_path / "torch.py").write_text("raise ImportError('hides an installed package')\n")
    (tmp_path / "unused_beside.py").write_text("")
    (anywhere / "measure_here.py").write_text("def largest(model, inputs, targets):\n    return 1.0\n")
    config = load(str(path))
    names = dict(files_of(own_code(config)))
    beside = {"net_beside.py", "parts_beside/plain.py", "parts_beside/sizes.json", "found_late.py"}
    assert beside | {"measure_here.py"} <= set(names)
    assert not {"unused_beside.py", "torch.py"} & set(names)
    assert problems_here(rehearsal_of(config, expand(config))) == []
    with tarfile.open(fileobj=io.BytesIO(packed([(path.name, path), *names.items()]))) as archive:
        assert set(archive.getnames()) == {path.name, *names}


def test_a_shipped_sweep_needs_none(storage: Path) -> None:
    assert own_code(load("digits")) == []
