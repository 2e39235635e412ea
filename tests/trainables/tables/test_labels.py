"""Labels of every kind, and the classes that they become."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from tests.trainables.data.images import draw, encode
from trainables.data import load_dataset
from trainables.errors import TrainingError
from trainables.tables.labels import class_names
from trainables.tables.survey import label_problems, survey
from trainables.trial.specs import DataSpec

IMAGE = encode(draw(1, size=2)[0])


def write(path: Path, labels: Any, names: object = None) -> str:
    rows = pa.table({"image": [IMAGE] * len(labels), "label": labels})
    if names is not None:
        features = {"image": {"_type": "Image"}, "label": {"_type": "ClassLabel", "names": names}}
        rows = rows.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    parquet.write_table(rows, path)
    return str(path)


def spec(train: object, test: object) -> DataSpec:
    return DataSpec.model_validate({"dataset": "parquet", "train": train, "test": test})


@pytest.mark.parametrize(
    ("train", "test", "classes", "targets"),
    [
        ([1, 2, 3, 1], [3], (1, 2, 3), [0, 1, 2, 0]),
        ([987654321, 17, 17, 40], [40], (17, 40, 987654321), [2, 0, 0, 1]),
        ([2**63 - 1, -(2**63), 0, 0], [0], (-(2**63), 0, 2**63 - 1), [2, 0, 1, 1]),
        ([-1, 1, 1, -1], [1], (-1, 1), [0, 1, 1, 0]),
        ([-1, 0, 1, -1], [1], (-1, 0, 1), [0, 1, 2, 0]),
        (["dog", "cat", "dog", ""], ["cat"], ("", "cat", "dog"), [2, 1, 2, 0]),
        (["10", "9", "1", "9"], ["10"], ("1", "9", "10"), [2, 1, 0, 1]),
        ([True, False, True, True], [False], (0, 1), [1, 0, 1, 1]),
        (pa.array(["b", "a", "b", "c"]).dictionary_encode(), ["a"], ("a", "b", "c"), [1, 0, 1, 2]),
        (pa.array(["b", "a"] * 2, pa.large_string()), pa.array(["a"], pa.string_view()), ("a", "b"), [1, 0, 1, 0]),
        (pa.array([7, 5, 7, 5], pa.uint64()).dictionary_encode(), [5], (5, 7), [1, 0, 1, 0]),
    ],
)
def test_labels_become_classes_in_order(tmp_path: Path, train: Any, test: Any, classes: Any, targets: Any) -> None:
    asked = spec(write(tmp_path / "train.parquet", train), write(tmp_path / "test.parquet", test))
    assert survey(asked).classes == classes
    data = load_dataset(asked)
    assert data.train.targets.tolist() == targets
    assert data.num_classes == len(classes)
    assert data.classes == tuple(map(str, classes))


def test_class_names_in_another_order_are_matched_by_name(tmp_path: Path) -> None:
    names = ["ant", "bee", "cow"]
    train = [
        write(tmp_path / "0.parquet", [0, 1, 2], names),
        write(tmp_path / "1.parquet", [0, 1, 2], ["cow", "ant", "bee"]),
    ]
    data = load_dataset(spec(train, write(tmp_path / "test.parquet", [0, 1, 2], names[::-1])))
    assert data.train.targets.tolist() == [0, 1, 2, 2, 0, 1]
    assert data.test.targets.tolist() == [2, 1, 0]
    assert data.classes == ("ant", "bee", "cow")


@pytest.mark.parametrize(
    ("train", "test", "problem"),
    [
        (([0, 1], ["a", "b"]), ([0, 1], ["a", "c"]), r"data\.test has the class c \(.*test\.parquet: row 1; 1 rows\)"),
        (
            ([0, 1], ["a", "b"]),
            ([0, -1, -1], ["a", "b"]),
            r"test\.parquet: row 1: the class is -1; on the hub -1 means",
        ),
        (([0, 2], ["a", "b"]), ([0], ["a", "b"]), r"train\.parquet: row 1: the class is 2; it must be .* 0 to 1"),
        (
            ([0, 1], ["a", "b"]),
            ([0, 1], None),
            r"labels are integers without class names, those of .* with class names",
        ),
        ((["x", "y"], None), ([0, 1], None), r"labels are integers without class names, those of .* strings"),
        (([1, 2], None), ([1, 5, 5], None), r"data\.test has the class 5 .*row 1; 2 rows\), but data\.train only 1, 2"),
        (([1, None], None), ([1], None), r"train\.parquet: row 1: the class is None; it must have a label"),
        ((["x", None, None], None), (["x"], None), r"row 1: the class is None.*\(and 1 more rows\)"),
        (([-1, 0, 1, 2], None), ([0], None), r"row 0: the class is -1, which commonly means no label"),
        (([0, 1], ["a", "a"]), ([0], None), r"class names of the hub's metadata have 'a' more than once"),
        (([0, 1], ["a", 3]), ([0], None), r"class names of the hub's metadata are no list of strings"),
    ],
)
def test_labels_that_do_not_fit_are_told_before_training(tmp_path: Path, train: Any, test: Any, problem: str) -> None:
    asked = spec(write(tmp_path / "train.parquet", *train), write(tmp_path / "test.parquet", *test))
    with pytest.raises(TrainingError, match=problem):
        load_dataset(asked)
    assert label_problems(asked)


@pytest.mark.parametrize(
    "metadata",
    [
        *("null", "[]", "3", '"text"', '{"info": null}', '{"info": {"features": null}}', '{"info": {"features": []}}'),
        '{"info": {"features": {"label": null}}}',
        '{"info": {"features": {"label": {"names": null}}}}',
        '{"info": {"features": {"label": {"_type": "Value", "dtype": "int64"}}}}',
    ],
)
def test_metadata_without_names_are_no_names(metadata: str) -> None:
    assert class_names({b"huggingface": metadata.encode()}, "label") == ()


def test_names_of_metadata_may_be_numbered_and_must_be_readable() -> None:
    numbered = json.dumps({"info": {"features": {"label": {"class_label": {"names": {"0": "a", "1": "b"}}}}}})
    assert class_names({b"huggingface": numbered.encode()}, "label") == ("a", "b")
    with pytest.raises(ValueError, match="not JSON"):
        class_names({b"huggingface": b"{\xff"}, "label")
    with pytest.raises(ValueError, match="lack number '0'"):
        class_names({b"huggingface": numbered.replace('"0"', '"7"').encode()}, "label")
