"""Paths, globs and addresses, and what is said where they name nothing."""

import sys
from pathlib import Path

import pytest

from trainables.tables.files import UnreachableError, find_files

NAMES = ("train-0.parquet", "train-1.parquet", "train-2.parquet", "test.parquet", "train[1].parquet", "a b.parquet")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in (*NAMES, "deep/er/train-0.parquet", "deep/x{1}.parquet"):
        (tmp_path / "set" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "set" / name).touch()
    return tmp_path / "set"


@pytest.mark.parametrize(
    ("glob", "found"),
    [
        ("train-[0-1].parquet", ["train-0.parquet", "train-1.parquet"]),
        ("train-[!0].parquet", ["train-1.parquet", "train-2.parquet"]),
        ("train-{0,2}.parquet", ["train-0.parquet", "train-2.parquet"]),
        ("{test,train-?}.parquet", ["test.parquet", "train-0.parquet", "train-1.parquet", "train-2.parquet"]),
        ("train-{[0-1],2}.parquet", ["train-0.parquet", "train-1.parquet", "train-2.parquet"]),
        ("t*t.parquet", ["test.parquet"]),
        ("train[1].parquet", ["train[1].parquet"]),
        ("a b.parquet", ["a b.parquet"]),
        ("*/*/train-0.parquet", ["deep/er/train-0.parquet"]),
        ("**/train-0.parquet", ["deep/er/train-0.parquet", "train-0.parquet"]),
        ("{deep,none}/er/*.parquet", ["deep/er/train-0.parquet"]),
        ("deep/x{1}.parquet", ["deep/x{1}.parquet"]),
        ("train-[0.*", []),
        ("train-{0.*", []),
    ],
)
def test_globs(folder: Path, glob: str, found: list[str]) -> None:
    if not found:
        with pytest.raises(UnreachableError, match="there is no such file"):
            find_files((f"{folder}/{glob}",), "train")
        return
    assert [file.path for file in find_files((f"{folder}/{glob}",), "train")] == [f"{folder}/{name}" for name in found]
    if "?" not in glob and " " not in glob and "{1}" not in glob:
        by_address = find_files((f"file://{folder}/{glob}",), "train")
        assert [file.path for file in by_address] == [f"{folder}/{name}" for name in found]


def test_a_package_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(
        UnreachableError, match=r"data\.train: hf://datasets/a/b/x\.parquet needs a package .*huggingface_hub"
    ):
        find_files(("hf://datasets/a/b/x.parquet",), "train")


def test_passwords_of_addresses_are_not_shown() -> None:
    with pytest.raises(UnreachableError, match=r"nope://\*\*\*@host/x") as caught:
        find_files(("nope://me:secret@host/x",), "test")
    assert "secret" not in str(caught.value)
