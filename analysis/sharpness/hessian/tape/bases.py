"""The bases in which the R-operator multiplies a layer's activations, cotangents and weights.

A layer's part in a Hessian product is a sum of two products of each kind, A(W) x, A(W)ᵀ dz and dz ⊗ x. Most of their
factors occur twice. In Winograd's basis the products are cheaper, and each factor is transformed only once.
"""

from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from analysis.sharpness.hessian.tape.linear_maps import Bilinear, Convolution
from analysis.sharpness.hessian.tape.winograd import Winograd, suits

InBasis = Any  # activations, tangents or cotangents in a basis; only the basis knows their form


class Basis(Protocol):
    """How to bring the (B, …) activations and (C, K) weights of one layer into a basis, and multiply them there."""

    def inputs(self, x: Tensor) -> InBasis:
        """Into the basis: inputs of the layer, or their tangents."""

    def cotangents(self, dz: Tensor) -> InBasis:
        """Into the basis: cotangents of the layer's result."""

    def weights(self, W: Tensor) -> Tensor:
        """Into the basis: weights, or a direction of theirs."""

    def weight_matrix(self, gradient: Tensor) -> Tensor:
        """Out of the basis: a (C, K) gradient in the weights; the transpose of `weights`."""

    def apply(self, pairs: Sequence[tuple[InBasis, Tensor]], b: Tensor | None = None) -> Tensor:
        """Σ A(W) x + b over pairs (x, W), out of the basis."""

    def transpose(self, pairs: Sequence[tuple[InBasis, Tensor]], like: Tensor) -> Tensor:
        """Σ A(W)ᵀ dz over pairs (dz, W), out of the basis; `like` is an input, whose values are not read."""

    def bias_gradient(self, dz: InBasis) -> Tensor:
        """Σ dz over samples and positions, (C,), out of the basis."""

    def weight_gradient(self, x: InBasis, dz: InBasis, into: Tensor | None = None) -> Tensor:
        """Σ_samples dz ⊗ x within the basis; added to `into`, whose memory is reused."""


class Standard:
    """The basis in which nothing is transformed."""

    def __init__(self, bilinear: Bilinear) -> None:
        self._map = bilinear

    def inputs(self, x: Tensor) -> Tensor:
        return x

    def cotangents(self, dz: Tensor) -> Tensor:
        return dz

    def weights(self, W: Tensor) -> Tensor:
        return W

    def weight_matrix(self, gradient: Tensor) -> Tensor:
        return gradient

    def apply(self, pairs: Sequence[tuple[Tensor, Tensor]], b: Tensor | None = None) -> Tensor:
        (x, W), *rest = pairs
        z = self._apply(x, W, b)
        for x, W in rest:
            z.add_(self._apply(x, W, None))
        return z

    def transpose(self, pairs: Sequence[tuple[Tensor, Tensor]], like: Tensor) -> Tensor:
        (dz, W), *rest = pairs
        dx = self._transpose(dz, W, like)
        for dz, W in rest:
            dx.add_(self._transpose(dz, W, like))
        return dx

    def bias_gradient(self, dz: Tensor) -> Tensor:
        return self._map.bias_gradient(dz.unsqueeze(1)).sum((0, 1))

    def weight_gradient(self, x: Tensor, dz: Tensor, into: Tensor | None = None) -> Tensor:
        gradient = self._weight_gradient(x, dz)
        return gradient if into is None else into.add_(gradient)

    def _apply(self, x: Tensor, W: Tensor, b: Tensor | None) -> Tensor:
        return self._map.apply(x, W, b)

    def _transpose(self, dz: Tensor, W: Tensor, like: Tensor) -> Tensor:
        return self._map.transpose(dz.unsqueeze(1), W, like).squeeze(1)

    def _weight_gradient(self, x: Tensor, dz: Tensor) -> Tensor:
        return self._map.weight_gradient(x, dz.unsqueeze(1)).squeeze(0)


class Kernels(Standard):
    """The weights of a convolution as kernels, (C, C_in/groups, k, …)."""

    def __init__(self, convolution: Convolution, num_outputs: int, like: Tensor) -> None:
        super().__init__(convolution)
        self._convolution = convolution
        self._like = like.new_empty(1).expand(num_outputs, *convolution.kernel)

    def weights(self, W: Tensor) -> Tensor:
        return torch.unflatten(W, 1, self._convolution.kernel)

    def weight_matrix(self, gradient: Tensor) -> Tensor:
        return gradient.flatten(1)

    def _apply(self, x: Tensor, W: Tensor, b: Tensor | None) -> Tensor:
        return self._convolution.convolve(x, W, b)

    def _transpose(self, dz: Tensor, W: Tensor, like: Tensor) -> Tensor:
        return self._convolution.input_gradient(dz, like, W)

    def _weight_gradient(self, x: Tensor, dz: Tensor) -> Tensor:
        return self._convolution.kernel_gradient(dz, x, self._like)


class StridedPointwise(Kernels):
    """For a convolution that reads single positions and skips others: only the positions that it reads."""

    def __init__(self, convolution: Convolution, num_outputs: int, like: Tensor) -> None:
        super().__init__(convolution.unit, num_outputs, like)
        self._whole = convolution

    def inputs(self, x: Tensor) -> Tensor:
        return self._whole.positions_read(x).clone()

    def transpose(self, pairs: Sequence[tuple[Tensor, Tensor]], like: Tensor) -> Tensor:
        read = super().transpose(pairs, torch.empty_like(self._whole.positions_read(like)))
        return self._whole.back_to_positions(read, like)


def basis_of(bilinear: Bilinear, x: Tensor, num_outputs: int, moved: bool, tiled: bool = True) -> Basis:
    """The cheapest basis for a map on (B, …) inputs like `x`, whose values are not read.

    Args:
        moved: whether this map's own weights are among those that products are taken in.
        tiled: whether there is memory for transformed kernels.
    """
    if tiled and suits(bilinear, x, num_outputs, moved):
        return Winograd.of(x, num_outputs)
    if not isinstance(bilinear, Convolution):
        return Standard(bilinear)
    return (
        StridedPointwise(bilinear, num_outputs, x)
        if bilinear.is_strided_pointwise
        else Kernels(bilinear, num_outputs, x)
    )
