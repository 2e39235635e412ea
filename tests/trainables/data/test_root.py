from pathlib import Path

import pytest

from trainables.data.root import data_root
from trainables.trial.specs import DataSpec


def test_the_specification_wins_over_the_environment_and_that_over_the_home_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("RENYI_DATA", raising=False)
    assert data_root(DataSpec(dataset="cifar10")) == tmp_path / "data"
    monkeypatch.setenv("RENYI_DATA", "~/images")
    assert data_root(DataSpec(dataset="cifar10")) == tmp_path / "images"
    assert data_root(DataSpec(dataset="cifar10", root="/mnt/images")) == Path("/mnt/images")


def test_a_relative_folder_is_meant_from_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RENYI_DATA", "images")
    assert data_root(DataSpec(dataset="cifar10")) == tmp_path / "images"
