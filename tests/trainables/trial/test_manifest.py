"""A checked folder hands out what was written, or an error that says what was expected, found, and what to do."""

import pickle
import random
from pathlib import Path

import pytest

from tests import damage
from tests.damage import Damage
from trainables.errors import DamagedError
from trainables.trial.folder import read_json
from trainables.trial.manifest import MANIFEST_FILE, CheckedFolder, checked, damaged, environment, parsed
from trainables.trial.seal import digest
from trainables.trial.storage import LocalFolder

RECORD, TABLE = "record.json", "table.parquet"


def finish(folder: CheckedFolder, table: bytes = b"columns") -> None:
    folder.write(TABLE, table)
    folder.complete(RECORD, {"seconds": 2.5}, [TABLE])


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    return tmp_path / "small sweep"


@pytest.fixture
def step(sweep: Path) -> CheckedFolder:
    folder = CheckedFolder(LocalFolder(sweep / "trials" / "0105ba9dbfe1"), "0105ba9dbfe1") / "step"
    finish(folder)
    return folder


def read_all(folder: CheckedFolder) -> None:
    folder.read(TABLE)
    read_json(folder, RECORD)


def again(folder: CheckedFolder) -> CheckedFolder:
    """The same folder, as another process opens it."""
    return CheckedFolder(folder.unchecked, folder.place)


def test_what_was_written_is_read(step: CheckedFolder) -> None:
    assert again(step).read(TABLE) == b"columns"
    assert read_json(again(step), RECORD)["seconds"] == 2.5
    manifest = again(step).manifest()
    assert manifest is not None
    assert manifest.files[TABLE].sha256 == digest(b"columns")
    assert set(manifest.files) == {TABLE, RECORD}
    assert manifest.environment == environment()
    assert "python" in environment()


def test_a_damaged_file_is_an_error_with_both_digests_and_the_command(step: CheckedFolder, sweep: Path) -> None:
    step.unchecked.write(TABLE, b"colunns")
    with pytest.raises(DamagedError) as caught:
        again(step).read(TABLE)
    message = str(caught.value)
    assert message.startswith(f"{sweep}/trials/0105ba9dbfe1/step/{TABLE} is damaged: ")
    assert f"expected SHA-256 {digest(b'columns')}, found {digest(b'colunns')}" in message
    assert f"`renyi verify '{sweep}' --repair`" in message
    assert str(pickle.loads(pickle.dumps(caught.value))) == message


@pytest.mark.parametrize("name", [TABLE, RECORD, MANIFEST_FILE])
@pytest.mark.parametrize("kind", list(Damage))
def test_nothing_damaged_is_handed_out(step: CheckedFolder, sweep: Path, name: str, kind: Damage) -> None:
    path = sweep / "trials" / "0105ba9dbfe1" / "step"
    older = (path / name).read_bytes()
    other = CheckedFolder(LocalFolder(sweep / "trials" / "ffffffffffff"), "ffffffffffff") / "step"
    finish(other, b"another's")
    finish(step, b"newer")
    foreign = other.unchecked.read(name)
    damage.do(kind, path / name, random.Random(7), older, foreign)
    with pytest.raises((DamagedError, FileNotFoundError)) as caught:
        read_all(again(step))
    # What an older manifest says is that the other files are wrong; `verify` knows which of them it is.
    assert name in str(caught.value) or (kind, name) == (Damage.OLDER, MANIFEST_FILE)
    assert isinstance(caught.value, DamagedError) or (kind is Damage.DELETE and name != MANIFEST_FILE)


def test_a_reader_follows_a_step_that_is_done_again(step: CheckedFolder) -> None:
    reader = again(step)
    assert reader.read(TABLE) == b"columns"
    finish(again(step), b"newer")
    assert reader.read(TABLE) == b"newer"
    assert read_json(reader, RECORD)["seconds"] == 2.5


def test_a_step_killed_before_its_record_is_not_done(step: CheckedFolder) -> None:
    step.delete(RECORD)
    with pytest.raises(FileNotFoundError):
        read_json(again(step), RECORD)


def test_a_file_taken_from_the_list_is_unknown(step: CheckedFolder) -> None:
    step.unlist(TABLE)
    assert again(step).lists(RECORD)
    assert not again(step).lists(TABLE)


def test_a_folder_of_an_earlier_version_is_read_as_it_is(tmp_path: Path) -> None:
    folder = checked(LocalFolder(tmp_path / "0105ba9dbfe1"))
    folder.unchecked.write(RECORD, b'{"seconds": 2.5}')
    assert folder.place == "0105ba9dbfe1"
    assert folder.manifest() is None
    assert read_json(folder, RECORD) == {"seconds": 2.5}


@pytest.mark.parametrize("content", [b"{}", b'{"seconds": "long"}', b'{"seconds": [1]}', b"[]", b"", b"{"])
def test_content_of_another_form_is_damage_with_its_path(tmp_path: Path, content: bytes) -> None:
    folder = checked(LocalFolder(tmp_path / "0105ba9dbfe1"))
    folder.unchecked.write(RECORD, content)
    with pytest.raises(DamagedError, match=f"{RECORD} is damaged"):
        read_json(folder, RECORD, lambda content: float(content["seconds"]))


def test_the_error_of_a_file_outside_any_sweep_does_not_name_a_sweep(tmp_path: Path) -> None:
    error = damaged(checked(LocalFolder(tmp_path / "downloads")), "last.pt", "no")
    assert "get the file again" in str(error)
    assert error.why == "no"


def test_an_error_of_a_parser_is_said_in_one_line(tmp_path: Path) -> None:
    def parse(data: bytes) -> None:
        raise OSError("not Parquet\nat all")

    with pytest.raises(DamagedError, match=r"table.parquet is damaged: can't be read \(OSError: not Parquet;"):
        parsed(LocalFolder(tmp_path), TABLE, b"", parse)
