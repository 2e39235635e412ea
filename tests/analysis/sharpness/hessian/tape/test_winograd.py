"""Convolutions by tiles against the same convolutions done directly, alone and within the R-operator."""

import pytest
import torch
from torch import Tensor, nn

from analysis.sharpness.hessian import layer_operators
from analysis.sharpness.hessian.tape import winograd
from analysis.sharpness.hessian.tape.bases import basis_of
from analysis.sharpness.hessian.tape.linear_maps import Convolution
from analysis.sharpness.hessian.tape.winograd import Winograd, suits
from analysis.sharpness.layers import select_parameters, weight_layers
from tests.analysis.sharpness.hessian.networks import build, hessian_rows, samples
from tests.analysis.sharpness.hessian.tape.bases import assert_same_sums, draw

CONVOLUTION = Convolution.of(nn.Conv2d(3, 5, 3, padding=1))
SHAPE = (7, 3, 8, 12)


@pytest.fixture(params=[1, 3, 7])
def basis(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Winograd:
    """With so many samples in a block."""
    monkeypatch.setattr(winograd, "BLOCK_BYTES", request.param * 36 * 6 * 5 * 8)
    basis = Winograd.of(draw(*SHAPE), 5)
    assert basis == Winograd(8, 12, request.param)
    return basis


def test_sums_are_those_of_the_convolution(basis: Winograd) -> None:
    assert_same_sums(basis, CONVOLUTION, SHAPE)


def test_either_order_of_activations_in_memory(basis: Winograd) -> None:
    x, W = draw(*SHAPE), draw(5, 27)
    last = x.contiguous(memory_format=torch.channels_last)
    assert torch.equal(*[basis.apply([(basis.inputs(images), basis.weights(W))]) for images in (x, last)])


@pytest.mark.parametrize(
    ("module", "size", "tiled"),
    [
        (nn.Conv2d(32, 48, 3, padding=1), (4, 8), True),
        (nn.Conv2d(16, 48, 3, padding=1), (8, 8), False),
        (nn.Conv2d(32, 16, 3, padding=1), (8, 8), False),
        (nn.Conv2d(32, 32, 3, padding=1), (8, 7), False),
        (nn.Conv2d(32, 32, 3, padding=1, stride=2), (8, 8), False),
        (nn.Conv2d(32, 32, 3, padding=2, dilation=2), (8, 8), False),
        (nn.Conv2d(32, 32, 3, padding=1, groups=2), (8, 8), False),
        (nn.Conv2d(32, 32, 3), (8, 8), False),
        (nn.Conv2d(32, 32, 1), (8, 8), False),
        (nn.Conv1d(32, 32, 3, padding=1), (8,), False),
    ],
)
def test_which_convolutions_are_done_by_tiles(module: nn.Conv2d, size: tuple[int, ...], tiled: bool) -> None:
    x, convolution = torch.zeros(3, module.in_channels, *size), Convolution.of(module)
    assert suits(convolution, x, module.out_channels, moved=True) is tiled
    assert isinstance(basis_of(convolution, x, module.out_channels, moved=True), Winograd) is tiled
    assert not isinstance(basis_of(convolution, x, module.out_channels, moved=True, tiled=False), Winograd)
    assert not suits(convolution, x, module.out_channels, moved=False)
    assert not suits(convolution, x[:1], module.out_channels, moved=True)
    assert not suits(convolution, x.to("meta"), module.out_channels, moved=True)
    assert not suits(convolution, x.bfloat16(), module.out_channels, moved=True)


def test_wide_convolutions_are_done_by_tiles_in_passing_too() -> None:
    convolution = Convolution.of(nn.Conv2d(128, 128, 3, padding=1))
    assert suits(convolution, torch.zeros(1, 128, 4, 4), 128, moved=False)
    assert not suits(convolution, torch.zeros(1, 128, 4, 4), 128, moved=True)


@pytest.mark.parametrize("network", ["resnet", "bottleneck", "wide_resnet", "digits_cnn_bn", "odd"])
def test_products_of_the_r_operator(network: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(winograd, "MOVED_CHANNELS", 1)
    monkeypatch.setattr(winograd, "PASSED_CHANNELS", 1)
    monkeypatch.setattr(winograd, "BLOCK_BYTES", 2 * 36 * 4 * 3 * 8)
    blocks = set()
    transformed = Winograd.inputs

    def noted(basis: Winograd, x: Tensor) -> list[Tensor]:
        parts = transformed(basis, x)
        blocks.add(len(parts))
        return parts

    monkeypatch.setattr(Winograd, "inputs", noted)
    model, (inputs, targets) = build(network), samples(5)
    for block in layer_operators(model, inputs, targets, [*weight_layers(model), None], engine="r_operator"):
        assert block.engine == "r_operator"
        V = draw(2, block.dim)
        reference = hessian_rows(model, inputs, targets, list(select_parameters(model, block.layer)), V)
        assert float((block.matmat(V) - reference).norm() / reference.norm()) < 1e-9, block.layer
    assert max(blocks) > 1


def test_round_off_in_float32_is_small() -> None:
    convolution = Convolution.of(nn.Conv2d(64, 64, 3, padding=1))
    x, W = draw(4, 64, 8, 8), draw(64, 576)
    basis = Winograd.of(x.float(), 64)
    z = basis.apply([(basis.inputs(x.float()), basis.weights(W.float()))])
    expected = convolution.apply(x, W, None)
    assert float((z - expected).norm() / expected.norm()) < 1e-5
