import pytest
import torch

from analysis.errors import AnalysisError
from analysis.settings import SharpnessSettings
from analysis.sharpness import Measurement, measure
from analysis.sharpness.measures.own import load_measure
from tests.analysis.sharpness.networks import perceptron, samples

HERE = "tests.analysis.sharpness.own_measures"


def rows_of(name: str) -> list[Measurement]:
    return measure(perceptron(), *samples(), SharpnessSettings(measures=(f"{HERE}.{name}",)))


def test_a_number_is_a_row_for_all_layers() -> None:
    (row,) = rows_of("largest_weight")
    assert (row.layer, row.measure, row.parameter) == ("all", f"{HERE}.largest_weight", None)
    assert row.value == pytest.approx(max(p.abs().max().item() for p in perceptron().parameters()))


def test_rows_are_taken_as_they_are() -> None:
    assert rows_of("by_layer")[0] == Measurement("0.weight", "mine", 2.0, 1.0, 0.1)


def test_it_is_given_a_copy_in_eval_mode() -> None:
    model = perceptron()
    measure(model, *samples(), SharpnessSettings(measures=(f"{HERE}.meddling",)))
    assert model.training
    assert all(torch.any(parameter != 0) for parameter in model.parameters())


@pytest.mark.parametrize(
    ("name", "reason"), [("undefined", "this network has none"), ("not_a_number", "the value is nan")]
)
def test_what_a_network_has_not_is_missing_with_a_reason(name: str, reason: str) -> None:
    (row,) = rows_of(name)
    assert row.value is None
    assert row.reason == reason


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("tensor", r"must return a number or a list of Measurement; it returned Tensor; end it with \.item\(\)"),
        ("nothing", "it returned NoneType"),
        ("truth", "it returned bool"),
        ("broken", "raised KeyError: 'no such thing'"),
        ("NOT_CALLABLE", "must be callable"),
        ("missing", "can't be imported: .*missing"),
    ],
)
def test_the_wrong_thing_is_named(name: str, message: str) -> None:
    with pytest.raises(AnalysisError, match=message):
        rows_of(name)


def test_a_package_that_is_not_there_is_named_with_the_remedy() -> None:
    with pytest.raises(AnalysisError, match="'nowhere'; the package must be installed, beside"):
        load_measure("nowhere.mine")
