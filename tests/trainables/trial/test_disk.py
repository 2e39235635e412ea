import errno
import os
from pathlib import Path

import pytest

from trainables.trial.disk import DISK


def test_a_file_has_as_many_names_as_links(tmp_path: Path) -> None:
    DISK.write_new(tmp_path / "new" / "a", b"1")
    assert DISK.links(tmp_path / "new" / "a") == 1
    DISK.link(tmp_path / "new" / "a", tmp_path / "new" / "b")
    assert DISK.links(tmp_path / "new" / "a") == 2
    with pytest.raises(FileExistsError):
        DISK.link(tmp_path / "new" / "a", tmp_path / "new" / "b")
    DISK.unlink(tmp_path / "new" / "a")
    DISK.unlink(tmp_path / "new" / "a")
    assert DISK.names(tmp_path / "new") == ["b"]
    assert DISK.read(tmp_path / "new" / "b") == b"1"


def test_where_there_are_no_links_the_bytes_are_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    DISK.write_new(tmp_path / "a", b"1")
    DISK.link(tmp_path / "a", tmp_path / "b")
    assert DISK.read(tmp_path / "b") == b"1"
    with pytest.raises(FileExistsError):
        DISK.link(tmp_path / "a", tmp_path / "b")


def test_room_is_told_of_a_folder_that_is_not_there_yet(tmp_path: Path) -> None:
    assert " MB free of " in DISK.room(tmp_path / "not" / "there")
