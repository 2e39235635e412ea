"""Convolutions that can be differentiated twice without work that nobody asked for.

PyTorch's second derivative of a convolution always convolves once more for a gradient in the weights, also where they
are held fixed: of the convolutions in one block's Hessian product a third. Here z = A(W) x is an autograd function
whose derivatives are such functions again, each computed only where it is wanted:
    ⟨dz, A(W) x⟩ differentiated in x is A(W)ᵀ dz, in W it is dz ⊗ x, and the three are linear in what they are made of.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.overrides import TorchFunctionMode

from analysis.sharpness.hessian.bilinear import Convolution

DIMENSIONS: dict[object, int] = {torch.conv1d: 1, torch.conv2d: 2, torch.conv3d: 3}


class LeanConvolutions(TorchFunctionMode):
    """While it is entered, the convolutions of a network are the functions below."""

    def __init__(self) -> None:
        super().__init__()
        self._fixed: set[int] = set()

    @contextmanager
    def holding(self, weights: Iterable[Tensor]) -> Iterator[None]:
        """No gradient is taken in these weights, though they ask for one: in a graph that others are used with too."""
        before, self._fixed = self._fixed, {id(weight) for weight in weights}
        try:
            yield
        finally:
            self._fixed = before

    def wants(self, weight: int | None) -> bool:
        """Whether a gradient is to be taken in the weight with this identity; None: in what is no weight."""
        return weight not in self._fixed

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func in DIMENSIONS:
            call = _read(DIMENSIONS[func], *args, **(kwargs or {}))
            if call is not None:
                x, W, b, convolution = call
                return _Convolve.apply(x, W, b, convolution, self, id(W))
        return func(*args, **(kwargs or {}))


def _read(
    dimensions: int,
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> tuple[Tensor, Tensor, Tensor | None, Convolution] | None:
    """A call of torch.conv1d, conv2d or conv3d, by their names of the arguments; None for one left to PyTorch."""
    if isinstance(padding, str) or input.ndim != dimensions + 2 or torch._C._are_functorch_transforms_active():
        return None

    def each(size: Any) -> list[int]:
        return [size] * dimensions if isinstance(size, int) else list(size)

    return (
        input,
        weight,
        bias,
        Convolution(tuple(weight.shape[1:]), each(stride), each(padding), each(dilation), groups),
    )


class _Convolve(Function):
    """A(W) x + b."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        W: Tensor,
        b: Tensor | None,
        convolution: Convolution,
        lean: LeanConvolutions,
        weight: int | None,
    ) -> Tensor:
        ctx.save_for_backward(x, W)
        ctx.rest = convolution, lean, weight
        return convolution.convolve(x, W, b)

    @staticmethod
    def backward(ctx: Any, dz: Tensor) -> tuple[Tensor | None, ...]:
        (x, W), (convolution, lean, weight) = ctx.saved_tensors, ctx.rest
        in_x, in_W, in_b = ctx.needs_input_grad[:3]
        dx = _InputGradient.apply(dz, W, x.detach(), *ctx.rest) if in_x else None
        dW = _KernelGradient.apply(dz, x, W.detach(), convolution, lean) if in_W and lean.wants(weight) else None
        db = dz.flatten(2).sum((0, 2)) if in_b else None
        return dx, dW, db, None, None, None


class _InputGradient(Function):
    """A(W)ᵀ dz."""

    @staticmethod
    def forward(
        ctx: Any,
        dz: Tensor,
        W: Tensor,
        like: Tensor,
        convolution: Convolution,
        lean: LeanConvolutions,
        weight: int | None,
    ) -> Tensor:
        ctx.save_for_backward(dz, W)
        ctx.rest = convolution, lean, weight
        return convolution.input_gradient(dz, like, W)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
        (dz, W), (convolution, lean, weight) = ctx.saved_tensors, ctx.rest
        in_dz, in_W = ctx.needs_input_grad[:2]
        d_dz = _Convolve.apply(g, W, None, *ctx.rest) if in_dz else None
        dW = _KernelGradient.apply(dz, g, W.detach(), convolution, lean) if in_W and lean.wants(weight) else None
        return d_dz, dW, None, None, None, None


class _KernelGradient(Function):
    """dz ⊗ x: the gradient of ⟨dz, A(W) x⟩ in W."""

    @staticmethod
    def forward(
        ctx: Any, dz: Tensor, x: Tensor, like: Tensor, convolution: Convolution, lean: LeanConvolutions
    ) -> Tensor:
        ctx.save_for_backward(dz, x)
        ctx.rest = convolution, lean
        return convolution.kernel_gradient(dz, x, like)

    @staticmethod
    def backward(ctx: Any, G: Tensor) -> tuple[Tensor | None, ...]:
        (dz, x), (convolution, lean) = ctx.saved_tensors, ctx.rest
        in_dz, in_x = ctx.needs_input_grad[:2]
        d_dz = _Convolve.apply(x, G, None, convolution, lean, None) if in_dz else None
        dx = _InputGradient.apply(dz, G, x.detach(), convolution, lean, None) if in_x else None
        return d_dz, dx, None, None, None
