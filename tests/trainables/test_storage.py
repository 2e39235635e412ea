import multiprocessing
from collections.abc import Callable
from pathlib import Path

import pytest
from pyarrow import fs

from trainables.errors import TrainingError
from trainables.storage import Folder, LocalFolder, RemoteFolder, open_folder


def _local(path: Path) -> Folder:
    return open_folder(str(path / "place"))


def _remote(path: Path) -> Folder:
    """The code path of object stores, over pyarrow's own file system."""
    (path / "place").mkdir()
    return RemoteFolder(fs.SubTreeFileSystem(str(path), fs.LocalFileSystem()), "place", "test://place")


@pytest.fixture(params=[_local, _remote])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Folder:
    make: Callable[[Path], Folder] = request.param
    return make(tmp_path)


def test_what_is_written_is_read(folder: Folder) -> None:
    folder.write("a.json", b"one")
    folder.write("a.json", b"two")
    assert folder.read("a.json") == b"two"
    assert folder.names() == ["a.json"]


def test_what_is_not_there(folder: Folder) -> None:
    assert (folder / "missing").names() == []
    with pytest.raises(FileNotFoundError):
        folder.read("missing")
    folder.delete("missing")


def test_deleted_files_are_gone(folder: Folder) -> None:
    folder.write("a", b"1")
    folder.delete("a")
    assert folder.names() == []


def test_a_failing_write_leaves_the_old_file_and_no_litter(tmp_path: Path) -> None:
    folder = LocalFolder(tmp_path)
    folder.write("a", b"old")
    with pytest.raises(TypeError):
        folder.write("a", "not bytes")  # type: ignore[arg-type]
    assert folder.read("a") == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def _write_many(path: str, letter: bytes) -> None:
    folder = open_folder(path)
    for _ in range(200):
        folder.write("shared", letter * 100_000)


def test_a_reader_never_sees_a_part_of_a_file(tmp_path: Path) -> None:
    folder = open_folder(str(tmp_path))
    folder.write("shared", b"a" * 100_000)
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_write_many, args=(str(tmp_path), letter)) for letter in (b"a", b"b")]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        data = folder.read("shared")
        assert len(data) == 100_000
        assert len(set(data)) == 1
    assert [writer.exitcode for writer in writers] == [0, 0]
    assert folder.names() == ["shared"]


def test_an_unknown_scheme_is_named() -> None:
    with pytest.raises(TrainingError, match="nowhere://bucket"):
        open_folder("nowhere://bucket/path")
