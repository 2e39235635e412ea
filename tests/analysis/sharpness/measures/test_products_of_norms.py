import math

import pytest
import torch
from torch import nn

from analysis.schema import Measurement
from analysis.settings import SharpnessSettings
from analysis.sharpness import measure
from analysis.sharpness.measures.products_of_norms import log_sum
from tests.analysis.sharpness.networks import perceptron, residual_network, samples

KEYS = tuple(
    f"{how}_of_{norm}{over}" for how in ("prod", "sum") for norm in ("spec", "fro") for over in ("", "_margin")
)


def two_layers() -> tuple[nn.Module, torch.Tensor, torch.Tensor]:
    """W₁ = diag(3, 1), W₂ = 2 I: spectral norms 3 and 2, squared Frobenius norms 10 and 8; margins 12 and 4."""
    model = nn.Sequential(nn.Linear(2, 2, bias=False), nn.ReLU(), nn.Linear(2, 2, bias=False)).double()
    with torch.no_grad():
        model.get_parameter("0.weight").copy_(torch.diag(torch.tensor([3.0, 1.0])))
        model.get_parameter("2.weight").copy_(2 * torch.eye(2))
    return model, torch.tensor([[2.0, 0.0], [0.0, 2.0]], dtype=torch.float64), torch.tensor([0, 1])


def values(
    model: nn.Module, inputs: torch.Tensor, targets: torch.Tensor, measures: tuple[str, ...] = KEYS
) -> dict[tuple[str, str], float | None]:
    rows: list[Measurement] = measure(model, inputs, targets, SharpnessSettings(measures=measures))
    return {(row.measure, row.layer): row.value for row in rows}


def test_products_and_sums_of_two_diagonal_layers() -> None:
    found = values(*two_layers())
    gamma = 2 * math.log(4)
    spec, fro = math.log(9 * 4), math.log(10 * 8)
    expected = {
        ("prod_of_spec", "0.weight"): math.log(9),
        ("prod_of_spec", "2.weight"): math.log(4),
        ("prod_of_spec", "all"): spec,
        ("prod_of_spec_margin", "all"): spec - gamma,
        ("prod_of_fro", "all"): fro,
        ("prod_of_fro_margin", "all"): fro - gamma,
        # d (∏ ‖W‖²)^(1/d), and the same over γ², of two layers
        ("sum_of_spec", "all"): math.log(2 * math.sqrt(36)),
        ("sum_of_spec_margin", "all"): math.log(2 * math.sqrt(36 / 16)),
        ("sum_of_fro", "all"): math.log(2 * math.sqrt(80)),
        ("sum_of_fro_margin", "all"): math.log(2 * math.sqrt(80 / 16)),
    }
    assert found == pytest.approx(expected)


def test_the_sum_is_that_of_layers_that_were_made_equal() -> None:
    model, inputs, targets = two_layers()
    with torch.no_grad():  # norms √6 and √6; the network computes the same
        model.get_parameter("0.weight").mul_(math.sqrt(6) / 3)
        model.get_parameter("2.weight").mul_(math.sqrt(6) / 2)
    assert values(model, inputs, targets)["sum_of_spec", "all"] == pytest.approx(math.log(6 + 6))
    assert log_sum(0.0, 5) == pytest.approx(math.log(5))


def test_rescaling_layers_against_each_other_changes_none() -> None:
    model, inputs, _ = perceptron(bias=False), *samples()
    targets = model(inputs).argmax(1)
    before = values(model, inputs, targets, measures=(*KEYS, "fro_over_spec"))
    with torch.no_grad():
        model.get_parameter("0.weight").mul_(8)
        model.get_parameter("4.weight").div_(8)
    after = values(model, inputs, targets, measures=(*KEYS, "fro_over_spec"))
    assert {key: value for key, value in after.items() if key[1] == "all"} == pytest.approx(
        {key: value for key, value in before.items() if key[1] == "all"}
    )
    assert after["prod_of_spec", "0.weight"] == pytest.approx(before["prod_of_spec", "0.weight"] + 2 * math.log(8))  # type: ignore[operator]


def test_frobenius_over_spectral_norms_adds_the_stable_ranks() -> None:
    found = values(*two_layers(), measures=("fro_over_spec",))
    assert found == pytest.approx({("fro_over_spec", "all"): 10 / 9 + 8 / 4})


def test_a_layer_of_zeros_has_no_product() -> None:
    model, inputs, targets = two_layers()
    with torch.no_grad():
        model.get_parameter("0.weight").zero_()
    rows = measure(model, inputs, targets, SharpnessSettings(measures=("prod_of_spec", "fro_over_spec")))
    reasons = {(row.measure, row.layer): row.reason for row in rows if row.value is None}
    assert set(reasons) == {("prod_of_spec", "0.weight"), ("prod_of_spec", "all"), ("fro_over_spec", "all")}
    assert all("the weights of 0.weight are zero" in str(reason) for reason in reasons.values())


def test_a_batch_norm_that_no_layer_takes_in_leaves_them_undefined() -> None:
    model = nn.Sequential(nn.BatchNorm1d(6), nn.Linear(6, 3)).double().eval()
    inputs, _ = samples()
    found = values(model, inputs, model(inputs).argmax(1))
    assert set(found.values()) == {None}
    network, images, _ = residual_network()
    assert None not in values(network, images, network(images).argmax(1)).values()
