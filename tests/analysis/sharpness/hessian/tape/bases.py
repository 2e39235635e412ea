"""An oracle for bases: the convolution done directly."""

import math

import torch
from torch import Tensor

from analysis.sharpness.hessian.tape.bases import Basis, Kernels
from analysis.sharpness.hessian.tape.linear_maps import Convolution


def draw(*size: int, seed: int = 0) -> Tensor:
    return torch.randn(*size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def assert_same_sums(basis: Basis, convolution: Convolution, shape: tuple[int, ...], num_outputs: int = 5) -> None:
    """Products of either kind, summed over two pairs, on inputs of this shape."""
    x, dx = draw(*shape), draw(*shape, seed=1)
    direct = Kernels(convolution, num_outputs, x)
    width = math.prod(convolution.kernel)
    W, V, b = draw(num_outputs, width), draw(num_outputs, width, seed=1), draw(num_outputs)
    result = convolution.apply(x, W, None)
    dz, cotangent = draw(*result.shape), draw(*result.shape, seed=1)
    results = []
    ways: list[Basis] = [basis, direct]
    for way in ways:
        inputs, outputs = [(way.inputs(x), way.inputs(dx)), (way.cotangents(dz), way.cotangents(cotangent))]
        weights = way.weights(W), way.weights(V)
        gradient = way.weight_gradient(inputs[0], outputs[0])
        results.append(
            [
                way.apply(list(zip(inputs, weights, strict=True)), b),
                way.transpose(list(zip(outputs, weights, strict=True)), x),
                way.weight_matrix(way.weight_gradient(inputs[1], outputs[1], into=gradient)),
                way.bias_gradient(outputs[0]),
            ]
        )
    for own, expected in zip(*results, strict=True):
        assert torch.allclose(own, expected, rtol=0, atol=1e-12 * float(expected.abs().max()))
