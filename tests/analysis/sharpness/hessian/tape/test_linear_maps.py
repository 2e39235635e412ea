"""Every derivative of a bilinear map against autograd."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from analysis.sharpness.hessian.tape.linear_maps import (
    Bilinear,
    ChannelScale,
    Convolution,
    MatrixProduct,
    UnsupportedError,
)

MAPS: dict[str, tuple[Bilinear, tuple[int, ...], tuple[int, int]]] = {  # the map, the input of a sample, (C, K)
    "conv1d": (Convolution.of(nn.Conv1d(3, 4, 3, stride=2, padding=1)), (3, 7), (4, 9)),
    "conv2d": (Convolution.of(nn.Conv2d(3, 4, (3, 2), padding=(1, 0), dilation=(1, 2))), (3, 5, 6), (4, 18)),
    "conv2d grouped": (Convolution.of(nn.Conv2d(4, 6, 3, stride=2, padding=2, groups=2)), (4, 5, 5), (6, 18)),
    "conv2d shortcut": (Convolution.of(nn.Conv2d(4, 6, 1, stride=2, groups=2)), (4, 5, 6), (6, 2)),
    "conv3d": (Convolution.of(nn.Conv3d(2, 3, 2)), (2, 3, 3, 4), (3, 16)),
    "linear": (MatrixProduct(), (5,), (3, 5)),
    "linear on tokens": (MatrixProduct(), (4, 5), (3, 5)),
    "scale": (ChannelScale(), (4, 3, 3), (4, 1)),
    "scale of features": (ChannelScale(), (4,), (4, 1)),
}
Case = tuple[Bilinear, Tensor, Tensor]


@pytest.fixture(params=list(MAPS))
def case(request: pytest.FixtureRequest) -> Case:
    """The map, x (B, …) and W (C, K)."""
    bilinear, shape, weights = MAPS[request.param]
    generator = torch.Generator().manual_seed(0)

    def draw(*size: int) -> Tensor:
        return torch.randn(*size, generator=generator, dtype=torch.float64)

    return bilinear, draw(2, *shape), draw(*weights)


def test_gradients_are_those_of_autograd(case: Case) -> None:
    bilinear, x, W = case
    dz = torch.stack([torch.sin(p + bilinear.apply(x, W, None)) for p in range(3)], dim=1)
    back, weight = bilinear.transpose(dz, W, x), bilinear.weight_gradient(x, dz)
    single = torch.empty(2, 3, *W.shape, dtype=torch.float64)
    scale = torch.arange(1.0, len(W) + 1, dtype=torch.float64)
    bilinear.sample_gradients(x, dz, scale, single)
    assert torch.allclose(single.sum(0), scale[:, None] * weight)
    for p in range(3):
        inputs, weights = x.clone().requires_grad_(), W.clone().requires_grad_()
        bias = torch.zeros(len(W), dtype=torch.float64, requires_grad=True)
        expected = torch.autograd.grad(bilinear.apply(inputs, weights, bias), (inputs, weights, bias), dz[:, p])
        assert torch.allclose(back[:, p], expected[0])
        assert torch.allclose(weight[p], expected[1])
        assert torch.allclose(bilinear.bias_gradient(dz).sum(0)[p], expected[2])


@pytest.mark.parametrize("options", [{"padding": "same"}, {"padding": 1, "padding_mode": "circular"}])
def test_odd_padding_is_not_supported(options: dict[str, Any]) -> None:
    with pytest.raises(UnsupportedError, match="a convolution padded by"):
        Convolution.of(nn.Conv2d(2, 2, 3, **options))
