import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from analysis.errors import AnalysisError, UndefinedMeasureError
from analysis.sharpness import loss_landscape
from analysis.sharpness.landscape import Landscape
from tests.analysis.sharpness.networks import perceptron, quadratic, samples


def test_losses_and_gradient_are_those_of_the_network() -> None:
    model, (inputs, targets) = perceptron(), samples()
    landscape = loss_landscape(model, inputs, targets, "2.weight")
    losses = cross_entropy(model(inputs), targets, reduction="none")
    assert torch.allclose(landscape.own_losses, losses.detach())
    loss, gradient = landscape.loss_and_gradient(landscape.weights)
    (expected,) = torch.autograd.grad(losses.mean(), model.get_parameter("2.weight"))
    assert loss == pytest.approx(losses.mean().item())
    assert torch.allclose(gradient, expected.flatten())


def test_moving_weights_moves_only_the_block_and_leaves_the_model_alone() -> None:
    model, (inputs, targets) = perceptron(), samples()
    before = [parameter.detach().clone() for parameter in model.parameters()]
    landscape = loss_landscape(model, inputs, targets, "0.weight")
    moved = landscape.losses(2 * landscape.weights)
    assert all(torch.equal(parameter, kept) for parameter, kept in zip(model.parameters(), before, strict=True))
    with torch.no_grad():
        model.get_parameter("0.weight").mul_(2)
    assert torch.allclose(moved, cross_entropy(model(inputs), targets, reduction="none"))
    assert model.training


@pytest.mark.parametrize("size", [1, 7, 30, 512])
def test_chunks_make_no_difference(size: int) -> None:
    whole = loss_landscape(perceptron(), *samples())
    chunked = Landscape(whole.problem, whole.names, samples_at_once=size)
    assert torch.allclose(chunked.own_losses, whole.own_losses, rtol=1e-12)
    assert torch.allclose(chunked.outputs(), whole.outputs(), rtol=1e-12)
    assert chunked.accuracy(whole.weights) == whole.accuracy(whole.weights)
    for ours, theirs in zip(
        chunked.loss_and_gradient(whole.weights), whole.loss_and_gradient(whole.weights), strict=True
    ):
        assert torch.allclose(torch.as_tensor(ours), torch.as_tensor(theirs), rtol=1e-12)


def test_the_squared_error_is_a_loss_too() -> None:
    assert quadratic().own_losses.tolist() == [1.0]
    assert quadratic().loss_and_gradient(quadratic().weights)[1].tolist() == [1.0, 2.0]


def test_all_layers_are_all_trainable_parameters() -> None:
    model = perceptron()
    model.get_parameter("0.bias").requires_grad_(False)
    landscape = loss_landscape(model, *samples())
    assert "0.bias" not in landscape.names
    assert landscape.weights.numel() == sum(parameter.numel() for parameter in model.parameters()) - 8


def test_noise_depends_on_its_purpose_alone() -> None:
    one, other = loss_landscape(perceptron(seed=0), *samples()), loss_landscape(perceptron(seed=1), *samples())
    assert torch.equal(one.noise(0, "a"), other.noise(0, "a"))
    assert not torch.equal(one.noise(0, "a"), one.noise(1, "a"))


def test_unknown_layers_and_weights_that_are_nan_are_refused() -> None:
    with pytest.raises(AnalysisError, match="nearest names"):
        loss_landscape(perceptron(), *samples(), layer="0.wieght")
    model = perceptron()
    nn.init.constant_(model.get_parameter("0.bias"), float("nan"))
    with pytest.raises(UndefinedMeasureError, match=r"0\.bias"):
        loss_landscape(model, *samples())
