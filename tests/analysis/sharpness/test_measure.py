import math

import pytest
import torch
from torch import nn

from analysis.schema import Measurement
from analysis.settings import SharpnessSettings
from analysis.sharpness import measure

SETTINGS = SharpnessSettings(samples=30, orders=(0.5, 1.0, 1.5))


def network(activation: type[nn.Module] = nn.ReLU) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), activation(), nn.Linear(8, 3)).double()


def samples() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(30, 6, generator=generator, dtype=torch.float64), torch.randint(3, (30,), generator=generator)


def by_key(rows: list[Measurement]) -> dict[tuple[str, str, float | None], Measurement]:
    return {(row.layer, row.measure, row.parameter): row for row in rows}


def test_one_row_a_layer_measure_and_order() -> None:
    rows = by_key(measure(network(), *samples(), SETTINGS))
    layers = ["0.weight", "2.weight", "all"]
    assert {key for key in rows if key[1] == "renyi"} == {
        (layer, "renyi", order) for layer in layers for order in SETTINGS.orders
    }
    for layer in layers:
        # The layers' blocks are principal submatrices of the whole Hessian.
        assert 0 < rows[layer, "lambda_max", None].value <= rows["all", "lambda_max", None].value  # type: ignore[operator]
        assert rows[layer, "renyi", 0.5].value < rows[layer, "renyi", 1.5].value  # type: ignore[operator]


def test_the_gauss_newton_entropies_stand_beside_those_of_indefinite_hessians_only() -> None:
    def layers(activation: type[nn.Module]) -> set[str]:
        rows = measure(network(activation), *samples(), SETTINGS)
        return {row.layer for row in rows if row.measure == "renyi_gauss_newton" and row.value is not None}

    assert layers(nn.ReLU) == {"all"}
    assert layers(nn.GELU) == {"0.weight", "all"}


def test_trace_and_largest_eigenvalue_are_those_of_the_hessian() -> None:
    model, (inputs, targets) = network(), samples()
    weight = model[2].weight.detach()  # type: ignore[index]
    hidden = model[:2](inputs).detach()  # type: ignore[index]
    bias = model[2].bias.detach()  # type: ignore[index]

    def loss(w: torch.Tensor) -> torch.Tensor:
        return nn.functional.cross_entropy(hidden @ w.view(3, 8).T + bias, targets)

    H = torch.autograd.functional.hessian(loss, weight.flatten())
    rows = by_key(measure(model, inputs, targets, SETTINGS))
    assert rows["2.weight", "trace", None].value == pytest.approx(H.trace().item(), rel=1e-10)
    assert rows["2.weight", "lambda_max", None].value == pytest.approx(torch.linalg.eigvalsh(H)[-1].item(), rel=1e-10)


@pytest.mark.parametrize("disaster", ["dead", "nan weights", "infinite loss"])
def test_networks_that_died_or_diverged_give_missing_values_with_a_reason(disaster: str) -> None:
    model, (inputs, targets) = network(), samples()
    with torch.no_grad():
        if disaster == "dead":
            # No hidden unit ever fires, so no gradient reaches the first layer.
            model[0].bias.fill_(-1e6)  # type: ignore[index]
        elif disaster == "nan weights":
            model[0].weight[0, 0] = math.nan  # type: ignore[index]
        else:
            inputs = inputs * 1e308
    rows = by_key(measure(model, inputs, targets, SETTINGS))
    lost = rows["0.weight", "renyi", 0.5]
    assert lost.value is None
    assert lost.stderr is None
    assert lost.reason
    if disaster == "dead":
        assert "zero" in lost.reason
        assert rows["0.weight", "trace", None].value == 0
        assert rows["all", "renyi", 0.5].value is not None
    else:
        assert rows["all", "renyi", 1.5].value is None
    for row in rows.values():
        assert row.value is None or math.isfinite(row.value)
