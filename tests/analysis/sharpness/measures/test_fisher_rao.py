import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from analysis.sharpness import loss_landscape
from analysis.sharpness.invariance import rescale_layers
from analysis.sharpness.landscape import Landscape
from analysis.sharpness.measures.fisher_rao import fisher_rao_norm
from tests.analysis.sharpness.networks import perceptron, residual_network, samples


def by_sample(model: nn.Module, inputs: Tensor, targets: Tensor, names: set[str]) -> float:
    """The definition, a backward pass a sample."""
    squares = []
    for x, y in zip(inputs, targets, strict=True):
        model.zero_grad()
        cross_entropy(model(x[None]), y[None]).backward()
        parameters = [(name, p) for name, p in model.named_parameters() if name in names]
        squares.append(sum((p * p.grad).sum().item() for _, p in parameters if p.grad is not None) ** 2)
    return float(torch.tensor(squares, dtype=torch.float64).mean().sqrt().item())


def test_the_closed_form() -> None:
    model = nn.Linear(1, 2, bias=False).double()
    model.weight = nn.Parameter(torch.tensor([[1.0], [0.0]], dtype=torch.float64))
    landscape = loss_landscape(model, torch.ones(1, 1, dtype=torch.float64), torch.tensor([0]))
    assert fisher_rao_norm(landscape) ** 2 == pytest.approx(0.0723295, abs=5e-8)


@pytest.mark.parametrize("layer", ["conv2.weight", "head.weight", None])
def test_one_pass_gives_what_a_gradient_a_sample_gives(layer: str | None) -> None:
    model, inputs, targets = residual_network()
    names = {layer} if layer else {name for name, _ in model.named_parameters()}
    norm = fisher_rao_norm(loss_landscape(model, inputs, targets, layer))
    assert norm == pytest.approx(by_sample(model, inputs, targets, names), rel=1e-10)


def test_homogeneous_networks_have_it_from_their_outputs() -> None:
    # K²·mean ⟨∂ℓ/∂f, f⟩² for K bias-free layers.
    model, (inputs, targets) = perceptron(bias=False), samples()
    f = model(inputs).detach().requires_grad_()
    (slope,) = torch.autograd.grad(cross_entropy(f, targets, reduction="sum"), f)
    expected = 3 * (slope * f).sum(1).square().mean().sqrt().item()
    assert fisher_rao_norm(loss_landscape(model, inputs, targets)) == pytest.approx(expected, rel=1e-12)


@settings(max_examples=20)
@given(st.floats(0.1, 10), st.floats(0.1, 10))
def test_rescaled_layers_do_not_move_it(a: float, b: float) -> None:
    model, (inputs, targets) = perceptron(bias=False), samples()
    rescaled = rescale_layers(model, {"0.weight": a, "2.weight": b, "4.weight": 1 / (a * b)})
    for layer in ("0.weight", "4.weight", None):
        before, after = (fisher_rao_norm(loss_landscape(m, inputs, targets, layer)) for m in (model, rescaled))
        assert after == pytest.approx(before, rel=1e-10)


def test_chunks_make_no_difference() -> None:
    whole = loss_landscape(perceptron(), *samples())
    chunked = Landscape(whole.problem, whole.names, samples_at_once=7)
    assert fisher_rao_norm(chunked) == pytest.approx(fisher_rao_norm(whole), rel=1e-12)
