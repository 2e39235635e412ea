"""Convolutions that can be differentiated twice without work that is not needed.

PyTorch's second derivative of a convolution always convolves once more for a gradient in the weights, also where
these are held fixed: a third of the convolutions in one block's Hessian product. Here z = A(W) x is an
autograd function whose derivatives are such functions again, each computed only where it is needed:
    ⟨dz, A(W) x⟩ differentiated in x is A(W)ᵀ dz, in W it is dz ⊗ x, and each of the three is bilinear again.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd import Function
from torch.overrides import TorchFunctionMode

from analysis.sharpness.hessian.tape.linear_maps import Convolution

DIMENSIONS: dict[object, int] = {torch.conv1d: 1, torch.conv2d: 2, torch.conv3d: 3}


class LeanConvolutions(TorchFunctionMode):
    """While this mode is active, the functions below compute the convolutions of a network."""

    def __init__(self) -> None:
        super().__init__()
        self.held: set[int] = set()  # identities of weights

    @contextmanager
    def holding(self, weights: Iterable[Tensor]) -> Iterator[None]:
        """Take no gradient in these weights, although they require one, on a graph that serves other weights too."""
        before, self.held = self.held, {id(weight) for weight in weights}
        try:
            yield
        finally:
            self.held = before

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func in DIMENSIONS:
            call = _read(DIMENSIONS[func], *args, **(kwargs or {}))
            if call is not None:
                x, W, b, convolution = call
                return _Convolve.apply(x, W, b, _Use(convolution, self, id(W)))
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
    """The operands of a call of torch.conv1d, conv2d or conv3d; None for a call that is left to PyTorch."""
    if isinstance(padding, str) or input.ndim != dimensions + 2 or torch._C._are_functorch_transforms_active():
        return None
    stride, padding, dilation = (
        [size] * dimensions if isinstance(size, int) else list(size) for size in (stride, padding, dilation)
    )
    return input, weight, bias, Convolution(tuple(weight.shape[1:]), stride, padding, dilation, groups)


class _Use(NamedTuple):
    """One convolution of the network, or one that its derivatives are made of."""

    convolution: Convolution
    lean: LeanConvolutions
    weight: int | None = None  # identity of W; None: W is a direction or a cotangent

    @property
    def is_held(self) -> bool:
        """Whether no gradient is to be taken in W."""
        return self.weight in self.lean.held


class _Convolve(Function):
    """A(W) x + b."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, W: Tensor, b: Tensor | None, use: _Use) -> Tensor:
        ctx.save_for_backward(x, W)
        ctx.use = use
        return use.convolution.convolve(x, W, b)

    @staticmethod
    def backward(ctx: Any, dz: Tensor) -> tuple[Tensor | None, ...]:
        (x, W), use, (in_x, in_W, in_b, _) = ctx.saved_tensors, ctx.use, ctx.needs_input_grad
        dx = _InputGradient.apply(dz, W, x.detach(), use) if in_x else None
        dW = _KernelGradient.apply(dz, x, W.detach(), use) if in_W and not use.is_held else None
        db = dz.flatten(2).sum((0, 2)) if in_b else None
        return dx, dW, db, None


class _InputGradient(Function):
    """A(W)ᵀ dz."""

    @staticmethod
    def forward(ctx: Any, dz: Tensor, W: Tensor, like: Tensor, use: _Use) -> Tensor:
        ctx.save_for_backward(dz, W)
        ctx.use = use
        return use.convolution.input_gradient(dz, like, W)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
        (dz, W), use, (in_dz, in_W, _, _) = ctx.saved_tensors, ctx.use, ctx.needs_input_grad
        d_dz = _Convolve.apply(g, W, None, use) if in_dz else None
        dW = _KernelGradient.apply(dz, g, W.detach(), use) if in_W and not use.is_held else None
        return d_dz, dW, None, None


class _KernelGradient(Function):
    """dz ⊗ x: the gradient of ⟨dz, A(W) x⟩ in W."""

    @staticmethod
    def forward(ctx: Any, dz: Tensor, x: Tensor, like: Tensor, use: _Use) -> Tensor:
        ctx.save_for_backward(dz, x)
        ctx.use = use._replace(weight=None)
        return use.convolution.kernel_gradient(dz, x, like)

    @staticmethod
    def backward(ctx: Any, G: Tensor) -> tuple[Tensor | None, ...]:
        (dz, x), use, (in_dz, in_x, _, _) = ctx.saved_tensors, ctx.use, ctx.needs_input_grad
        d_dz = _Convolve.apply(x, G, None, use) if in_dz else None
        dx = _InputGradient.apply(dz, G, x.detach(), use) if in_x else None
        return d_dz, dx, None, None
