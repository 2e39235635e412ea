import multiprocessing
import os
import resource
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pyarrow import fs

from tests.object_store import BUCKET, ENVIRONMENT, object_store
from trainables.errors import StorageError, TrainingError
from trainables.trial import storage
from trainables.trial.storage import Folder, LocalFolder, RemoteFolder, join, open_folder


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    """The address of a running S3-compatible server."""
    with object_store() as address:
        yield address


@pytest.fixture
def bucket(s3: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """An empty prefix there, as a user writes it in a sweep file."""
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    return f"s3://{BUCKET}/{uuid.uuid4().hex}?endpoint_override={s3.removeprefix('http://')}&scheme=http"


def _local(path: Path) -> Folder:
    return open_folder(str(path / "place"))


def _remote(path: Path) -> Folder:
    """The code path of object stores, over pyarrow's own file system."""
    (path / "place").mkdir()
    return RemoteFolder(fs.SubTreeFileSystem(str(path), fs.LocalFileSystem()), "place", "test://place")


@pytest.fixture(params=[_local, _remote, "s3"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Folder:
    if request.param == "s3":
        return open_folder(request.getfixturevalue("bucket"))
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


def test_a_tree_lists_all_files_with_their_sizes_and_is_removed_as_a_whole(folder: Folder) -> None:
    assert not (folder / "missing").tree()
    assert not (folder / "missing").folders()
    (folder / "missing").remove()
    folder.write("b", b"123")
    (folder / "trials" / "0123").write("a.json", b"1")
    (folder / "trials" / "0123" / "measurements").write("c", b"")
    (folder / "trials-of-others").write("d", b"12345")
    found = folder.tree()
    assert [(file.path, file.size) for file in found] == [
        ("b", 3),
        ("trials-of-others/d", 5),
        ("trials/0123/a.json", 1),
        ("trials/0123/measurements/c", 0),
    ]
    assert all(abs(file.written - time.time()) < 60 for file in found)
    assert folder.folders() == ["trials", "trials-of-others"]
    (folder / "trials").remove()
    assert [file.path for file in folder.tree()] == ["b", "trials-of-others/d"]
    assert "trials" not in folder.names()
    folder.remove()
    assert folder.tree() == []


def test_folders_lie_in_folders(folder: Folder) -> None:
    inner = folder / "trials" / "0123"
    inner.write("a.json", b"one")
    assert folder.names() == ["trials"]
    assert (folder / "trials").names() == ["0123"]
    if "s3" in folder.uri:
        assert open_folder(inner.uri).read("a.json") == b"one"


def test_megabytes_arrive_whole(folder: Folder) -> None:
    data = os.urandom(12_000_000)  # more than one part of an upload
    folder.write("last.pt", data)
    assert folder.read("last.pt") == data


def test_only_the_first_creates(folder: Folder) -> None:
    assert folder.create("a", b"first")
    assert not folder.create("a", b"second")
    assert folder.read("a") == b"first"
    assert folder.names() == ["a"]


def test_of_many_at_once_at_most_one_creates(folder: Folder) -> None:
    made: list[int] = []

    def create(number: int, start: threading.Barrier, name: str) -> None:
        start.wait()
        if folder.create(name, str(number).encode()):
            made.append(number)

    created = 0
    for attempt in range(10):
        start, name = threading.Barrier(4), f"file{attempt}"
        threads = [threading.Thread(target=create, args=(number, start, name)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(made) <= 1
        if made:
            created += 1
            assert folder.read(name) == str(made.pop()).encode()
        else:
            assert name not in folder.names()
    if isinstance(folder, LocalFolder):
        assert created == 10


@pytest.mark.parametrize(("folder", "seconds"), [(_remote, 0.1), ("s3", 2.0)], indirect=["folder"])
def test_a_claim_that_was_left_behind_is_void_after_a_while(
    folder: Folder, seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An object store keeps the times of its files in whole seconds."""
    folder.write("a.claim-dead", b"")
    assert not folder.create("a", b"mine")
    monkeypatch.setattr(storage, "CLAIM_SECONDS", seconds)
    time.sleep(1.5 * seconds)
    assert folder.create("a", b"mine")
    assert folder.read("a") == b"mine"


def test_a_disk_without_hard_links_has_exclusive_creation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    folder = LocalFolder(tmp_path)
    assert folder.create("a", b"first")
    assert not folder.create("a", b"second")
    assert folder.read("a") == b"first"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


@contextmanager
def no_file_above(size: int) -> Iterator[None]:
    """A real limit of the system on how large files become: a write fails half way, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_write_that_fails_half_way_is_reported_in_one_line_and_harms_nothing(tmp_path: Path) -> None:
    folder = LocalFolder(tmp_path)
    folder.write("a", b"old")
    with no_file_above(4096):
        for write in (folder.write, folder.create):
            with pytest.raises(StorageError) as told:
                write("a", bytes(100_000))
            message = str(told.value)
            assert message.startswith(f"{tmp_path}/a can't be written: File too large (")
            assert " MB free of " in message
            assert "then give the same command" in message
            assert "\n" not in message
    assert folder.read("a") == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_file_where_a_folder_should_be_is_reported(tmp_path: Path) -> None:
    (tmp_path / "storage").write_text("")
    folder = LocalFolder(tmp_path / "storage" / "small")
    for action in (lambda: folder.write("a", b""), lambda: folder.read("a"), folder.names):
        with pytest.raises(StorageError, match=r"storage/small.* can't be .*: Not a directory"):
            action()


def test_an_object_store_that_fails_is_reported_in_one_line(bucket: str) -> None:
    folder = open_folder(bucket.replace(BUCKET, "missing", 1))
    with pytest.raises(
        StorageError, match=r"s3://missing/.* can't be written: .*; correct that, then give the same"
    ) as told:
        folder.write("a", b"")
    assert "\n" not in str(told.value)


def test_files_of_a_shared_folder_can_be_read_by_the_group(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        LocalFolder(tmp_path).write("a", b"")
    finally:
        os.umask(before)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize(
    ("place", "inside"),
    [
        ("/data/renyi", "/data/renyi/small"),
        ("s3://bucket/renyi/", "s3://bucket/renyi/small"),
        ("s3://bucket/renyi?region=x&scheme=http", "s3://bucket/renyi/small?region=x&scheme=http"),
    ],
)
def test_a_folder_inside_an_address(place: str, inside: str) -> None:
    assert join(place, "small") == inside


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
    context = multiprocessing.get_context("fork")
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


def test_what_killed_writers_left_is_cleared_away(folder: Folder) -> None:
    first, second = f".a.json.{uuid.uuid4().hex}", f".b.json.{uuid.uuid4().hex}"
    kept = ("a.json", ".profile", f".{uuid.uuid4().hex}")
    for name in (*kept, first, second):
        folder.write(name, b"whole or not")
    folder.clear("a.json")
    with pytest.raises(FileNotFoundError):
        folder.read(first)
    assert folder.read(second)
    folder.clear()
    with pytest.raises(FileNotFoundError):
        folder.read(second)
    assert all(folder.read(name) for name in kept)
