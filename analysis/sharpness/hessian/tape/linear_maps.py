"""Maps z = A(W) x that are linear in the weights and in the input, with every derivative an engine asks for.

Weights and their directions are matrices here, (C, K) and (P, C, K) with C the outputs; biases (C,) and (P, C).
Activations are (B, …), tangents and cotangents (B, P, …): P directions a sample.
"""

import math
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from analysis.sharpness.linalg import batched_times_transpose

aten = torch.ops.aten
CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)


class UnsupportedError(Exception):
    """The network does something that a specialised engine does not know; the message says what."""


def computes_as(module: nn.Module, *kinds: type[nn.Module]) -> bool:
    """Whether a module is of one of these classes and computes what that class does: no `forward` of its own."""
    kind = next((kind for kind in kinds if isinstance(module, kind)), None)
    if kind is None:
        return False
    own = [name for name in COMPUTING if getattr(type(module), name, None) is not getattr(kind, name, None)]
    return not own and not any(name in vars(module) for name in COMPUTING)


COMPUTING = ("forward", "_conv_forward", "__call__")  # the methods in which a torch module computes


class Bilinear(Protocol):
    """z = A(W) x + b."""

    def apply(self, x: Tensor, W: Tensor, b: Tensor | None) -> Tensor:
        """z, for (B, …) inputs."""

    def transpose(self, dz: Tensor, W: Tensor, x: Tensor) -> Tensor:
        """A(W)ᵀ dz: (B, P, …) cotangents of the input, shaped like x."""

    def weight_tangents(self, x: Tensor, V: Tensor) -> Tensor:
        """A(V_p) x: (B, P, …) tangents of the result, for x (B, …) and directions V (P, C, K) of the weights."""

    def weight_gradient(self, x: Tensor, dz: Tensor) -> Tensor:
        """Σ_samples ∂⟨dz_p, A(W) x⟩/∂W: (P, C, K), for x (B, …) and dz (B, P, …); transposes `weight_tangents`."""

    def patches(self, x: Tensor) -> Tensor:
        """What each of T positions of the result sees of x (B, …), by group of channels: (B, G, T, K)."""

    def by_position(self, dz: Tensor) -> Tensor:
        """Cotangents (B, P, …) of the result by group of channels and position: (B, P, G, C/G, T)."""

    def bias_gradient(self, dz: Tensor) -> Tensor:
        """Per sample ∂⟨dz_p, b⟩/∂b: (B, P, C)."""

    def sample_gradients(self, x: Tensor, dz: Tensor, scale: Tensor, out: Tensor) -> None:
        """Per sample ∂⟨dz_p, A(W) x⟩/∂W, rows times `scale` (C,), written to `out` (B, P, C, K)."""


@dataclass(frozen=True)
class Convolution:
    """A convolution in one, two or three dimensions, zero-padded."""

    kernel: tuple[int, ...]  # (C_in/groups, k, …)
    stride: list[int]
    padding: list[int]
    dilation: list[int]
    groups: int

    @classmethod
    def of(cls, module: nn.Module) -> "Convolution":
        """From a module.

        Raises:
            UnsupportedError: another padding than zeros of a fixed width.
        """
        assert isinstance(module, nn.Conv1d | nn.Conv2d | nn.Conv3d)
        if module.padding_mode != "zeros" or isinstance(module.padding, str):
            raise UnsupportedError(f"a convolution padded by {module.padding_mode!r}, {module.padding!r}")
        shape = tuple(module.weight.shape[1:])
        return cls(shape, list(module.stride), list(module.padding), list(module.dilation), module.groups)

    def apply(self, x: Tensor, W: Tensor, b: Tensor | None) -> Tensor:
        return self.convolve(x, torch.unflatten(W, 1, self.kernel), b)

    def transpose(self, dz: Tensor, W: Tensor, x: Tensor) -> Tensor:
        # Only shape and memory format of the input matter here.
        like = x if dz.shape[1] == 1 else x.new_empty(1).expand(dz.shape[0] * dz.shape[1], *x.shape[1:])
        dx = self.input_gradient(dz.flatten(0, 1), like, torch.unflatten(W, 1, self.kernel))
        return torch.unflatten(dx, 0, dz.shape[:2])

    def weight_tangents(self, x: Tensor, V: Tensor) -> Tensor:
        kernels = torch.unflatten(self._interleave_channels(V[None])[0], 1, self.kernel)
        return self._separate(self.convolve(x, kernels, None), len(V), dim=1)

    def weight_gradient(self, x: Tensor, dz: Tensor) -> Tensor:
        num_directions, num_outputs = dz.shape[1:3]
        weights = x.new_empty(1).expand(num_directions * num_outputs, *self.kernel)
        gradient = self.kernel_gradient(self._interleave_channels(dz), x, weights)
        return self._separate(gradient, num_directions, dim=0).flatten(2)

    def bias_gradient(self, dz: Tensor) -> Tensor:
        return dz.flatten(3).sum(3)

    def sample_gradients(self, x: Tensor, dz: Tensor, scale: Tensor, out: Tensor) -> None:
        if self.groups == 1 and x.ndim == 4:
            by_row = scale.repeat(dz.shape[1])
            batched_times_transpose(dz.flatten(1, 2).flatten(2), self._windows(x), by_row, out.flatten(1, 2))
            return
        for row, x_i, dz_i in zip(out, x[:, None], dz[:, None], strict=True):
            torch.mul(self.weight_gradient(x_i, dz_i), scale[:, None], out=row)

    def patches(self, x: Tensor) -> Tensor:
        return torch.unflatten(self._windows(x), 1, (self.groups, -1)).transpose(2, 3)

    def by_position(self, dz: Tensor) -> Tensor:
        return torch.unflatten(dz.flatten(3), 2, (self.groups, -1))

    def _windows(self, x: Tensor) -> Tensor:
        """(B, K of all groups, T): what every position of the result sees.

        As `unfold`, by one strided copy and in any number of dimensions: measured 5 times faster.
        """
        x = functional.pad(x, [width for width in reversed(self.padding) for _ in range(2)])
        kernel, steps = self.kernel[1:], x.stride()[2:]
        spans = [d * (k - 1) + 1 for d, k in zip(self.dilation, kernel, strict=True)]
        counts = [(n - span) // s + 1 for n, span, s in zip(x.shape[2:], spans, self.stride, strict=True)]
        within = [step * d for step, d in zip(steps, self.dilation, strict=True)]
        between = [step * s for step, s in zip(steps, self.stride, strict=True)]
        windows = x.as_strided(
            (*x.shape[:2], *kernel, *counts), (*x.stride()[:2], *within, *between), x.storage_offset()
        )
        return windows.reshape(len(x), -1, math.prod(counts))

    def _interleave_channels(self, dz: Tensor) -> Tensor:
        """(B, P, G·c, …) to (B, G·P·c, …)."""
        if self.groups == 1:
            return dz.flatten(1, 2)
        return torch.unflatten(dz, 2, (self.groups, -1)).movedim(2, 1).flatten(1, 3)

    def _separate(self, z: Tensor, num_directions: int, dim: int) -> Tensor:
        """(G·P·c) in one dimension to (P, G·c), the directions in front: at `dim`."""
        z = torch.unflatten(z, dim, (self.groups, num_directions, -1)).movedim(dim + 1, dim)
        return z.flatten(dim + 1, dim + 2)

    # The map itself, for kernels (C, C_in/groups, k, …), whatever the number of channels

    def convolve(self, x: Tensor, kernels: Tensor, b: Tensor | None) -> Tensor:
        """(B, C_in, …) to (B, C, …)."""
        zero = [0] * len(self.stride)
        z: Tensor = aten.convolution(x, kernels, b, self.stride, self.padding, self.dilation, False, zero, self.groups)
        return z

    def input_gradient(self, dz: Tensor, like: Tensor, kernels: Tensor) -> Tensor:
        """∂⟨dz, convolve(x)⟩/∂x for an x of the shape and memory format of `like`, whose values are not read."""
        if not self.is_strided_pointwise:
            return self._backward(dz, like, kernels, 0)
        # At the positions it sees: measured 4 times faster.
        return self.back_to_positions(
            self.unit.input_gradient(dz, torch.empty_like(self.positions_read(like)), kernels), like
        )

    def kernel_gradient(self, dz: Tensor, x: Tensor, like: Tensor) -> Tensor:
        """∂⟨dz, convolve(x)⟩/∂kernels for kernels of the shape of `like`, whose values are not read."""
        return self._backward(dz, x, like, 1)

    def _backward(self, dz: Tensor, x: Tensor, kernels: Tensor, which: int) -> Tensor:
        zero = [0] * len(self.stride)
        mask = [which == 0, which == 1, False]
        args = (self.stride, self.padding, self.dilation, False, zero, self.groups, mask)
        gradient: Tensor = aten.convolution_backward(dz, x, kernels, None, *args)[which]
        return gradient

    # One that reads single positions and skips others

    @property
    def is_strided_pointwise(self) -> bool:
        """Whether it reads single positions, and not all of them, as a shortcut does."""
        return set(self.kernel[1:]) == {1} and max(self.stride) > 1 and not any(self.padding)

    @property
    def unit(self) -> "Convolution":
        """The same with stride 1, for the positions that are read."""
        return replace(self, stride=[1] * len(self.stride))

    def positions_read(self, x: Tensor) -> Tensor:
        """The positions of (B, C_in, …) that such a convolution reads, in the memory of `x`."""
        for dim, step in enumerate(self.stride, start=2):
            x = x.movedim(dim, 0)[::step].movedim(0, dim)
        return x

    def back_to_positions(self, read: Tensor, like: Tensor) -> Tensor:
        """The transpose of `positions_read`: zeros elsewhere, shaped like `like`, whose values are not used."""
        x = torch.zeros_like(like)
        self.positions_read(x).copy_(read)
        return x


@dataclass(frozen=True)
class MatrixProduct:
    """z = W x on the last dimension; dimensions between it and the batch (tokens) share the weights."""

    def apply(self, x: Tensor, W: Tensor, b: Tensor | None) -> Tensor:
        return functional.linear(x, W, b)

    def transpose(self, dz: Tensor, W: Tensor, x: Tensor) -> Tensor:
        return dz @ W

    def weight_tangents(self, x: Tensor, V: Tensor) -> Tensor:
        tangents = functional.linear(x, V.flatten(0, 1))  # (…, P·C)
        return torch.unflatten(tangents, -1, V.shape[:2]).movedim(-2, 1)

    def weight_gradient(self, x: Tensor, dz: Tensor) -> Tensor:
        return torch.einsum("bptc,btk->pck", _tokens(dz, 2), _tokens(x, 1))

    def patches(self, x: Tensor) -> Tensor:
        return _tokens(x, 1)[:, None]

    def by_position(self, dz: Tensor) -> Tensor:
        return _tokens(dz, 2).transpose(2, 3)[:, :, None]

    def bias_gradient(self, dz: Tensor) -> Tensor:
        return _tokens(dz, 2).sum(2)

    def sample_gradients(self, x: Tensor, dz: Tensor, scale: Tensor, out: Tensor) -> None:
        batched = _tokens(dz * scale, 2).transpose(2, 3).flatten(1, 2)  # (B, P·C, tokens)
        torch.bmm(batched, _tokens(x, 1), out=out.flatten(1, 2))


def _tokens(x: Tensor, batch_dims: int) -> Tensor:
    """Everything between the batch and the features flattened to one dimension."""
    return x.unsqueeze(batch_dims) if x.ndim == batch_dims + 1 else x.flatten(batch_dims, -2)


@dataclass(frozen=True)
class ChannelScale:
    """z_c = w_c x_c, as in a batch-norm with fixed statistics: W is (C, 1), channels come right after the batch."""

    def apply(self, x: Tensor, W: Tensor, b: Tensor | None) -> Tensor:
        z = x * spread(W[:, 0], x.ndim - 1)
        return z if b is None else z + spread(b, x.ndim - 1)

    def transpose(self, dz: Tensor, W: Tensor, x: Tensor) -> Tensor:
        return dz * spread(W[:, 0], x.ndim - 1)

    def weight_tangents(self, x: Tensor, V: Tensor) -> Tensor:
        return x[:, None] * spread(V[:, :, 0], x.ndim)

    def weight_gradient(self, x: Tensor, dz: Tensor) -> Tensor:
        return self._contract(x[:, None], dz).sum(0)[:, :, None]

    def patches(self, x: Tensor) -> Tensor:
        return x.flatten(2)[..., None] if x.ndim > 2 else x[:, :, None, None]

    def by_position(self, dz: Tensor) -> Tensor:
        return dz.flatten(3)[:, :, :, None] if dz.ndim > 3 else dz[..., None, None]

    def bias_gradient(self, dz: Tensor) -> Tensor:
        return dz.flatten(3).sum(3) if dz.ndim > 3 else dz

    def sample_gradients(self, x: Tensor, dz: Tensor, scale: Tensor, out: Tensor) -> None:
        torch.mul(self._contract(x[:, None], dz), scale, out=out[..., 0])

    def _contract(self, x: Tensor, dz: Tensor) -> Tensor:
        """(B, P, C): x ∘ dz summed over positions."""
        product = x * dz
        return product.flatten(3).sum(3) if product.ndim > 3 else product


def spread(w: Tensor, ndim: int) -> Tensor:
    """(…, C) to (…, C, 1, …) so that it has `ndim` dimensions from the first of its own on."""
    return w.reshape(w.shape + (1,) * (ndim - w.ndim))
