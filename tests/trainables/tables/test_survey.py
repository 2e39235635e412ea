"""What a set is known by: its content, wherever it lies and however it is written."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from tests.trainables.data.images import draw, encode, write_parquet
from trainables.errors import TrainingError
from trainables.tables import fingerprint
from trainables.tables import survey as module
from trainables.tables.fingerprint import sampled_rows
from trainables.tables.survey import Survey, label_problems, survey
from trainables.trial.specs import DataSpec

IMAGES = [encode(pixels) for pixels in draw(24, size=4)]
LABELS = [k % 3 for k in range(24)]
NAMES = ["ant", "bee", "cow"]


def spec(train: object, test: object, **changes: object) -> DataSpec:
    return DataSpec.model_validate({"dataset": "parquet", "train": train, "test": test} | changes)


def of(folder: Path, images: list[bytes] = IMAGES, labels: list[int] = LABELS, test: int = 6) -> Survey:
    """The survey of a set with its first images for testing too."""
    train_file = write_parquet(folder / "train.parquet", images, labels)
    test_file = write_parquet(folder / "test.parquet", images[:test], labels[:test])
    return survey(spec(str(train_file), str(test_file)))


def table(images: list[bytes], labels: Any, kind: Any = None) -> Any:
    return pa.table({"image": pa.array(images, kind or pa.binary()), "label": labels})


def test_another_set_in_a_folder_of_the_same_name_is_another_set(tmp_path: Path) -> None:
    beans = of(tmp_path / "beans" / "data")
    assert beans.rows == {"train": 24, "test": 6}
    assert beans.counts == {"train": (8, 8, 8), "test": (2, 2, 2)}
    assert of(tmp_path / "copied" / "elsewhere").fingerprint == beans.fingerprint
    others = {
        "images": of(tmp_path / "1" / "data", [encode(pixels) for pixels in draw(24, size=4, seed=1)]),
        "one image": of(tmp_path / "2" / "data", [*IMAGES[:13], IMAGES[0], *IMAGES[14:]]),
        "one label": of(tmp_path / "3" / "data", labels=[*LABELS[:13], 0, *LABELS[14:]]),
        "order": of(tmp_path / "4" / "data", IMAGES[::-1], LABELS[::-1]),
        "fewer rows": of(tmp_path / "5" / "data", IMAGES[:-1], LABELS[:-1]),
        "test set": of(tmp_path / "6" / "data", test=7),
    }
    assert len({beans.fingerprint, *(other.fingerprint for other in others.values())}) == 7
    swapped = survey(spec(str(tmp_path / "beans/data/test.parquet"), str(tmp_path / "beans/data/train.parquet")))
    assert swapped.fingerprint != beans.fingerprint


@pytest.mark.parametrize(
    "write",
    [
        lambda path: parquet.write_table(table(IMAGES, LABELS), path, compression="zstd", row_group_size=5),
        lambda path: parquet.write_table(table(IMAGES, pa.array(LABELS, pa.int16())), path, use_dictionary=False),
        lambda path: parquet.write_table(table(IMAGES, pa.array(LABELS).dictionary_encode(), pa.large_binary()), path),
        lambda path: [
            parquet.write_table(table(IMAGES[k : k + 8], LABELS[k : k + 8]), path.with_name(f"train-{k:02d}.parquet"))
            for k in (0, 8, 16)
        ],
    ],
    ids=["groups and compression", "narrow integers", "dictionaries", "shards"],
)
def test_how_it_is_written_does_not_matter(tmp_path: Path, write: Callable[[Path], object]) -> None:
    expected = of(tmp_path / "a").fingerprint
    (tmp_path / "b").mkdir()
    write(tmp_path / "b" / "train.parquet")
    found = survey(spec(f"{tmp_path}/b/train*.parquet", str(tmp_path / "a" / "test.parquet")))
    assert found.fingerprint == expected


def test_a_large_set_is_sampled_from_its_first_row_to_its_last() -> None:
    assert sampled_rows(1000) == list(range(1000))
    rows = sampled_rows(1_281_167)
    assert (len(rows), rows[0], rows[-1]) == (32, 0, 1_281_166)
    assert rows == sorted(set(rows))


def test_sampled_rows_are_read_from_any_row_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fingerprint, "ALL_ROWS", 3)
    monkeypatch.setattr(fingerprint, "SAMPLED_ROWS", 4)
    assert sampled_rows(24) == [0, 8, 15, 23]
    plain = of(tmp_path / "a").fingerprint
    for row in (8, 15, 23):
        assert of(tmp_path / str(row), [*IMAGES[:row], b"other", *IMAGES[row + 1 :]]).fingerprint != plain
    assert of(tmp_path / "unsampled", [*IMAGES[:9], b"other", *IMAGES[10:]]).fingerprint == plain


def test_it_is_read_once_a_machine_until_a_file_changes(
    tmp_path: Path, image_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = of(tmp_path / "a")
    asked = spec(str(tmp_path / "a/train.parquet"), str(tmp_path / "a/test.parquet"))
    with monkeypatch.context() as patch:
        patch.setattr(module, "_look_through", lambda *_: pytest.fail("read again"))
        assert survey(asked) == first
    kept = next((image_cache / module.FOLDER).iterdir())
    for damage in ("", "[]", "{}", '{"fingerprint": 3}', kept.read_text().replace(first.fingerprint, "0" * 16)):
        kept.write_text(damage)
        assert survey(asked) == first
    write_parquet(tmp_path / "a/train.parquet", IMAGES[::-1], LABELS)
    assert survey(asked).fingerprint != first.fingerprint


def test_a_cache_that_can_not_be_written_is_done_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("RENYI_CACHE", str(tmp_path / "file"))
    assert of(tmp_path / "a").rows["train"] == 24


def test_images_in_files_of_their_own_count_by_their_bytes(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder / "pictures").mkdir(parents=True)
        for k, image in enumerate(IMAGES):
            (tmp_path / folder / "pictures" / f"{folder}{k}.png").write_bytes(image)
        paths = [f"pictures/{folder}{k}.png" for k in range(24)]
        structs = [{"bytes": None, "path": path} for path in paths]
        column = pa.array(paths if folder == "a" else structs)
        for split, count in (("train", 24), ("test", 6)):
            rows = pa.table({"image": column[:count], "label": LABELS[:count]})
            parquet.write_table(rows, tmp_path / folder / f"{split}.parquet")
    asked = [spec(f"{tmp_path}/{folder}/train.parquet", f"{tmp_path}/{folder}/test.parquet") for folder in ("a", "b")]
    expected = of(tmp_path / "c").fingerprint
    assert [survey(each).fingerprint for each in asked] == [expected, expected]
    (tmp_path / "a" / "pictures" / "a3.png").write_bytes(b"other")
    assert survey(asked[0]).fingerprint != expected


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    good = write_parquet(tmp_path / "good.parquet", IMAGES, LABELS)
    parquet.write_table(pa.table({"img": IMAGES, "label": LABELS}), tmp_path / "a.parquet")
    parquet.write_table(pa.table({"image": IMAGES}), tmp_path / "b.parquet")
    parquet.write_table(table(IMAGES, [0.5] * 24), tmp_path / "c.parquet")
    parquet.write_table(pa.table({"image": [1] * 24, "label": LABELS}), tmp_path / "d.parquet")
    problems = label_problems(spec(f"{tmp_path}/[a-d].parquet", str(good)))
    assert [problem.removeprefix(f"{tmp_path}/") for problem in problems] == [
        "a.parquet: there is no column 'image', but img, label; name them, as in data: {image: img, label: label}",
        "b.parquet: there is no column 'label', but image; name them, as in data: {image: img, label: label}",
        "c.parquet: column 'label': labels must be integers or strings, not double",
        "d.parquet: column 'image': images must be bytes, paths, or structs of `bytes` and `path`, not int64",
    ]
    assert not any("damaged" in problem for problem in problems)
    assert label_problems(DataSpec(dataset="digits")) == []


def test_shards_without_rows_are_passed_over_and_an_empty_split_is_named(tmp_path: Path) -> None:
    write_parquet(tmp_path / "train-0.parquet", [], [])
    write_parquet(tmp_path / "train-1.parquet", IMAGES, LABELS)
    empty = write_parquet(tmp_path / "empty.parquet", [], [])
    expected = of(tmp_path / "a")
    assert survey(spec(f"{tmp_path}/train-*.parquet", str(tmp_path / "a" / "test.parquet"))) == expected
    with pytest.raises(TrainingError, match=r"data\.test: .*empty\.parquet has no rows"):
        survey(spec(f"{tmp_path}/train-*.parquet", str(empty)))
