"""Relative flatness against its definition, in closed form, and its invariances."""

import math

import pytest
import torch
from torch import Tensor, nn
from torch.autograd.functional import hessian
from torch.func import functional_call

from analysis.settings import SharpnessSettings
from analysis.sharpness import measure
from analysis.sharpness.hessian import block_operator
from analysis.sharpness.invariance import rescale_layers
from analysis.sharpness.measures import relative_flatness as module
from analysis.sharpness.measures.relative_flatness import relative_flatness
from tests.analysis.sharpness.networks import perceptron, residual_network, samples

SETTINGS = SharpnessSettings(measures=("relative_flatness",))


def definition(model: nn.Module, inputs: Tensor, targets: Tensor, layer: str) -> float:
    """Σ ⟨w_s, w_s'⟩ Tr H_{s,s'} from the whole Hessian of a layer."""
    weight = model.get_parameter(layer).detach()

    def loss(w: Tensor) -> Tensor:
        return nn.functional.cross_entropy(functional_call(model, {layer: w.view_as(weight)}, (inputs,)), targets)

    d, m = len(weight), weight[0].numel()
    H = torch.as_tensor(hessian(loss, weight.flatten())).view(d, m, d, m)
    traces = torch.einsum("sjtj->st", H)
    rows = weight.flatten(1)
    return (rows @ rows.T * traces).sum().item()


@pytest.mark.parametrize("layer", ["0.weight", "2.weight", "4.weight"])
def test_it_equals_the_definition(layer: str) -> None:
    model, (inputs, targets) = perceptron(), samples()
    operator = block_operator(model, inputs, targets, layer)
    value, stderr = relative_flatness(operator, model.get_parameter(layer))
    assert stderr == 0.0  # few enough directions to take them all
    assert value == pytest.approx(definition(model, inputs, targets, layer), rel=1e-9)


def test_convolutions_and_batch_norm_too() -> None:
    model, inputs, targets = residual_network()
    for layer in ("conv1.weight", "conv2.weight", "shortcut.weight"):
        operator = block_operator(model, inputs, targets, layer)
        value, stderr = relative_flatness(operator, model.get_parameter(layer), num_probes=400)
        assert stderr == 0.0
        assert value == pytest.approx(definition(model, inputs, targets, layer), rel=1e-8)


def test_of_a_classifier_it_is_known_in_closed_form() -> None:
    # (1/N) Σ ‖x_i‖² (Σ_c G_cc p_c − pᵀ G p), with G = W Wᵀ and the softmax p of the outputs.
    inputs, targets = samples()
    model = nn.Linear(6, 3).double()
    weight = model.weight.detach()
    p, G = model(inputs).softmax(1), weight @ weight.T
    curvature = p @ G.diagonal() - ((p @ G) * p).sum(1)
    expected = (inputs.square().sum(1) * curvature).mean().item()
    value, _ = relative_flatness(block_operator(model, inputs, targets, "weight"), model.weight)
    assert value == pytest.approx(expected, rel=1e-9)


def test_of_least_squares_it_is_the_ridge_penalty() -> None:
    # L = (1/N) Σ (wᵀx − y)² has H = (2/N) Σ x xᵀ, so κ = ‖w‖² (2/N) Σ ‖x‖².
    inputs, _ = samples()
    model = nn.Linear(6, 1, bias=False).double()
    operator = block_operator(model, inputs, inputs[:, :1], "weight", loss="mse")
    value, _ = relative_flatness(operator, model.weight)
    expected = model.weight.square().sum() * 2 * inputs.square().sum(1).mean()
    assert value == pytest.approx(expected.item(), rel=1e-9)


@pytest.mark.parametrize("layer", ["0.weight", "2.weight"])
def test_probes_give_it_within_their_standard_error(layer: str) -> None:
    model, (inputs, targets) = perceptron((20, 12, 15, 3)), samples(dim=20)
    operator = block_operator(model, inputs, targets, layer)
    exact = definition(model, inputs, targets, layer)
    weight = model.get_parameter(layer)
    values, stderrs = zip(*(relative_flatness(operator, weight, 40, seed) for seed in range(30)), strict=True)
    errors = torch.tensor(values) - exact
    assert min(stderrs) > 0
    assert abs(errors.mean()) < 4 * errors.std() / math.sqrt(30)
    assert errors.std() == pytest.approx(sum(stderrs) / 30, rel=0.4)


def test_batches_of_vectors_make_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    model, (inputs, targets) = perceptron((20, 12, 15, 3)), samples(dim=20)
    whole = measure(model, inputs, targets, SETTINGS)
    monkeypatch.setattr(module, "BATCH_BYTES", 1)
    for one, other in zip(whole, measure(model, inputs, targets, SETTINGS), strict=True):
        assert (other.value, other.stderr) == pytest.approx((one.value, one.stderr), rel=1e-9)


def test_rescaling_layers_against_each_other_changes_nothing() -> None:
    model, (inputs, targets) = perceptron(), samples()
    before = {row.layer: row.value for row in measure(model, inputs, targets, SETTINGS)}
    rescaled = rescale_layers(model, {"0.weight": 4.0, "2.weight": 0.5, "4.weight": 0.5})
    for row in measure(rescaled, inputs, targets, SETTINGS):
        assert row.value == pytest.approx(before[row.layer], rel=1e-8)


def test_rescaling_a_neuron_against_the_weights_above_it_leaves_its_own_layer() -> None:
    model, (inputs, targets) = perceptron(), samples()
    before = {row.layer: row.value for row in measure(model, inputs, targets, SETTINGS)}
    outputs = model(inputs)
    with torch.no_grad():
        model.get_parameter("0.weight")[1].mul_(3)
        model.get_parameter("0.bias")[1].mul_(3)
        model.get_parameter("2.weight")[:, 1].div_(3)
    torch.testing.assert_close(model(inputs), outputs)
    after = {row.layer: row.value for row in measure(model, inputs, targets, SETTINGS)}
    for layer in ("0.weight", "4.weight"):
        assert after[layer] == pytest.approx(before[layer], rel=1e-8)


def test_all_layers_have_the_sum_over_layers() -> None:
    model, (inputs, targets) = perceptron((20, 12, 15, 3)), samples(dim=20)
    rows = {row.layer: row for row in measure(model, inputs, targets, SETTINGS)}
    layers = [row for layer, row in rows.items() if layer != "all"]
    assert rows["all"].value == pytest.approx(sum(row.value or 0.0 for row in layers))
    assert rows["all"].stderr == pytest.approx(math.hypot(*(row.stderr or 0.0 for row in layers)))


def test_filters_of_different_groups_are_not_compared() -> None:
    model = nn.Sequential(nn.Conv2d(4, 4, 3, groups=2), nn.Flatten(), nn.Linear(16, 2)).double()
    inputs = torch.randn(5, 4, 4, 4, dtype=torch.float64)
    rows = {row.layer: row for row in measure(model, inputs, torch.arange(5) % 2, SETTINGS)}
    assert rows["2.weight"].value is not None
    for layer in ("0.weight", "all"):
        assert rows[layer].value is None
        assert "2 groups" in str(rows[layer].reason)
