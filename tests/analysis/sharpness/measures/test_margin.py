import pytest
import torch
from torch import nn

from analysis.errors import UndefinedMeasureError
from analysis.settings import SharpnessSettings
from analysis.sharpness import loss_landscape, measure
from analysis.sharpness.landscape import Landscape
from analysis.sharpness.measures.margin import margins, output_margin


def identity(outputs: list[list[float]], targets: list[int]) -> tuple[nn.Module, torch.Tensor, torch.Tensor]:
    """A network whose outputs are its inputs."""
    model = nn.Linear(len(outputs[0]), len(outputs[0]), bias=False).double()
    with torch.no_grad():
        model.weight.copy_(torch.eye(len(outputs[0])))
    return model, torch.tensor(outputs, dtype=torch.float64), torch.tensor(targets)


def landscape(outputs: list[list[float]], targets: list[int]) -> Landscape:
    return loss_landscape(*identity(outputs, targets))


def test_a_margin_is_the_lead_of_the_right_output_over_the_best_other_one() -> None:
    found = margins(landscape([[3.0, 1.0, 2.5], [0.0, 4.0, 1.0], [2.0, 2.0, -9.0]], [0, 2, 0]))
    assert found.tolist() == pytest.approx([0.5, -3.0, 0.0])


@pytest.mark.parametrize(("count", "expected"), [(5, 1.0), (10, 1.0), (19, 1.0), (20, 2.0), (30, 3.0)])
def test_it_is_the_tenth_percentile_of_the_samples(count: int, expected: float) -> None:
    outputs = [[float(k), 0.0] for k in range(count, 0, -1)]
    assert output_margin(landscape(outputs, [0] * count)) == expected


def test_one_over_its_square_is_a_measure_of_the_whole_network() -> None:
    network = identity([[2.0, 0.0], [0.0, 4.0]], [0, 1])
    (row,) = measure(*network, SharpnessSettings(measures=("inverse_margin",)))
    assert row.value == pytest.approx(0.25)
    assert (row.layer, row.stderr) == ("all", 0.0)


def test_a_network_that_is_wrong_on_a_tenth_has_no_margin() -> None:
    outputs = [[1.0, 0.0]] * 9 + [[0.0, 3.0]]
    with pytest.raises(UndefinedMeasureError, match=r"margins is -3, not positive: 10% of the samples"):
        output_margin(landscape(outputs, [0] * 10))
    network = identity(outputs, [0] * 10)
    names = ("inverse_margin", "path_norm_margin", "prod_of_spec_margin", "sum_of_fro_margin")
    for row in measure(*network, SharpnessSettings(measures=names)):
        assert row.value is None
        assert "not positive" in str(row.reason)
    tie = [[1.0, 1.0]] * 2
    with pytest.raises(UndefinedMeasureError, match="is 0, not positive: 100%"):
        output_margin(landscape(tie, [0, 0]))
