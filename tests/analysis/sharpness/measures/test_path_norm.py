import itertools
import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from analysis.errors import UndefinedMeasureError
from analysis.settings import SharpnessSettings
from analysis.sharpness import measure
from analysis.sharpness.measures.path_norm import path_norm
from tests.analysis.sharpness.networks import perceptron, residual_network, samples
from trainables.models import build_model

ONE_IMAGE = torch.zeros(1, 1, 8, 8)


def paths_of(model: nn.Sequential) -> float:
    """The sum over every path of a perceptron, one by one, from each input or bias to each output."""
    layers = [module for module in model if isinstance(module, nn.Linear)]
    widths = [layers[0].in_features, *(layer.out_features for layer in layers)]
    total = 0.0
    for start in range(len(layers) + 1):  # 0: from an input; k: from a bias of layer k
        for path in itertools.product(*(range(width) for width in widths[start:])):
            value = 1.0 if start == 0 else layers[start - 1].bias[path[0]].item() ** 2
            for layer, (i, j) in zip(layers[start:], itertools.pairwise(path), strict=True):
                value *= layer.weight[j, i].item() ** 2
            total += value
    return total


def test_it_is_the_sum_over_all_paths() -> None:
    model = perceptron(widths=(3, 4, 2, 3))
    assert path_norm(model, torch.zeros(1, 3)) == pytest.approx(paths_of(model), rel=1e-12)


def test_two_weights_in_a_row() -> None:
    model = nn.Sequential(nn.Linear(1, 1, bias=False), nn.ReLU(), nn.Linear(1, 1)).double()
    with torch.no_grad():
        model.get_parameter("0.weight").fill_(-2)
        model.get_parameter("2.weight").fill_(3)
        model.get_parameter("2.bias").fill_(-5)
    assert path_norm(model, torch.zeros(1, 1)) == pytest.approx(4 * 9 + 25)


def test_a_shortcut_adds_its_paths() -> None:
    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Linear(2, 2, bias=False)

        def forward(self, x: Tensor) -> Tensor:
            result: Tensor = (x + self.inner(x)).relu()
            return result

    block = Block().double()
    with torch.no_grad():
        block.inner.weight.copy_(torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
    assert path_norm(block, torch.zeros(1, 2)) == pytest.approx(2 + 1 + 4 + 9 + 16)


def test_rescaling_layers_or_neurons_changes_nothing() -> None:
    model = perceptron(bias=False)
    before = path_norm(model, torch.zeros(1, 6))
    with torch.no_grad():
        model.get_parameter("0.weight")[2].mul_(5)
        model.get_parameter("2.weight")[:, 2].div_(5)
        model.get_parameter("2.weight").mul_(3)
        model.get_parameter("4.weight").div_(3)
    assert path_norm(model, torch.zeros(1, 6)) == pytest.approx(before)


@pytest.mark.parametrize("before", ["folded", "loose"])
def test_a_batch_norm_is_a_scale_of_each_channel(before: str) -> None:
    # The same network with its batch-norm as a layer of its own that no other layer takes in.
    norm = nn.BatchNorm1d(2).double()
    with torch.no_grad():
        norm.weight.copy_(torch.tensor([2.0, 3.0]))
        norm.bias.copy_(torch.tensor([0.0, 0.5]))
        norm.get_buffer("running_var").fill_(1 - norm.eps)
    linear = nn.Linear(2, 2, bias=False).double()
    with torch.no_grad():
        linear.weight.copy_(torch.eye(2))
    model = nn.Sequential(linear, nn.Identity() if before == "folded" else nn.ReLU(), norm).eval()
    inputs, targets = torch.rand(4, 2, dtype=torch.float64), torch.tensor([0, 1, 0, 1])
    (row,) = measure(model, inputs, targets, SharpnessSettings(measures=("path_norm",)))
    assert row.value == pytest.approx(4 + 9 + 0.25)


def test_networks_of_this_project_have_one_or_say_why_not() -> None:
    model, inputs, _ = residual_network()
    targets = model(inputs).argmax(1)
    rows = measure(
        model, inputs, targets, SharpnessSettings(measures=("path_norm", "inverse_margin", "path_norm_margin"))
    )
    plain, margin, over = (row.value for row in rows)
    assert plain is not None
    assert margin is not None
    assert over == pytest.approx(plain * margin)
    for name in ("digits_cnn", "digits_cnn_bn"):
        network = build_model(name, 10, 1).eval()
        assert math.isfinite(path_norm(network, ONE_IMAGE))
    pooled = nn.Sequential(nn.Conv2d(1, 3, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(48, 2))
    assert math.isfinite(path_norm(pooled, ONE_IMAGE))


@pytest.mark.parametrize(
    "activation",
    [nn.GELU, nn.Tanh, nn.Sigmoid, nn.SiLU, nn.Softplus, lambda: nn.LayerNorm(8), lambda: nn.Softmax(dim=1)],
)
def test_a_network_of_something_else_than_linear_maps_and_relu_is_refused(activation: Callable[[], nn.Module]) -> None:
    model = nn.Sequential(nn.Linear(6, 8), activation(), nn.Linear(8, 3)).double()
    with pytest.raises(UndefinedMeasureError, match="has no paths"):
        path_norm(model, torch.zeros(1, 6))
    rows = measure(model, *samples(), SharpnessSettings(measures=("path_norm", "path_norm_margin")))
    assert [row.value for row in rows] == [None, None]


def test_attention_has_no_paths() -> None:
    with pytest.raises(UndefinedMeasureError, match="has no paths"):
        path_norm(nn.TransformerEncoderLayer(4, 2, 8, batch_first=True).eval(), torch.zeros(1, 5, 4))
