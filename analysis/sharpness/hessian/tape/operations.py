"""The operations without parameters that a tape knows.

Each is linear in its input, given what the primal pass saved (a mask, an index). Primal tensors are (B, …), tangents
and cotangents (B, P, …): P directions a sample, side by side, so that a tensor of directions is at once a batch of
B·P samples and a batch of B samples with P times the channels.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor, fx, nn
from torch.nn import functional

from analysis.sharpness.hessian.tape.linear_maps import UnsupportedError, computes_as

aten = torch.ops.aten


class Operation(Protocol):
    """A step of the network with no parameter."""

    @property
    def per_channel(self) -> bool:
        """Whether every channel of the result depends on the same channel of the input alone."""

    def primal(self, x: Tensor, /) -> tuple[Tensor, Any]:
        """The output, and what the Jacobian depends on."""

    def push(self, saved: Any, dx: Tensor, overwrite: bool = False) -> Tensor:
        """Tangent of the input to tangent of the output; in the memory of the first where it may be overwritten."""

    def pull(self, saved: Any, dy: Tensor, overwrite: bool = False) -> Tensor:
        """Cotangent of the output to cotangent of the input: the transpose of `push`."""


@dataclass(frozen=True)
class Add:
    """The sum of two results: the one step with two inputs."""


@dataclass(frozen=True)
class Rectify:
    """ReLU, or leaky ReLU: the sign of the input decides."""

    slope: float = 0.0
    per_channel: ClassVar[bool] = True

    def primal(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The output itself is saved: it has the sign of the input, and the next layer saves it anyway."""
        y = functional.relu(x) if self.slope == 0 else functional.leaky_relu(x, self.slope)
        return y, y

    def push(self, saved: Tensor, dx: Tensor, overwrite: bool = False) -> Tensor:
        """Masked by the sign."""
        out = dx if overwrite else torch.empty_like(dx)
        if self.slope == 0:
            aten.threshold_backward.grad_input(dx, saved[:, None], 0, grad_input=out)
        else:
            aten.leaky_relu_backward.grad_input(dx, saved[:, None], self.slope, True, grad_input=out)
        return out

    def pull(self, saved: Tensor, dy: Tensor, overwrite: bool = False) -> Tensor:
        """Its own transpose."""
        return self.push(saved, dy, overwrite)


@dataclass(frozen=True)
class Linear:
    """Any linear map without parameters (average pooling, mean, flattening)."""

    function: Callable[[Tensor], Tensor]
    per_channel: bool = False

    def primal(self, x: Tensor) -> tuple[Tensor, torch.Size]:
        """The shape of the input is saved."""
        return self.function(x), x.shape[1:]

    def push(self, saved: torch.Size, dx: Tensor, overwrite: bool = False) -> Tensor:
        """The map itself."""
        return torch.unflatten(self.function(dx.flatten(0, 1)), 0, dx.shape[:2])

    def pull(self, saved: torch.Size, dy: Tensor, overwrite: bool = False) -> Tensor:
        """Its transpose, by differentiating it."""
        with torch.enable_grad():
            x = dy.new_zeros(dy.shape[0] * dy.shape[1], *saved, requires_grad=True)
            (dx,) = torch.autograd.grad(self.function(x), x, dy.flatten(0, 1))
        return torch.unflatten(dx, 0, dy.shape[:2])


@dataclass(frozen=True)
class MaxPool:
    """Max-pooling: picks the entry of the input that was largest."""

    module: nn.MaxPool2d
    per_channel: ClassVar[bool] = True

    def primal(self, x: Tensor) -> tuple[Tensor, tuple[Tensor, torch.Size]]:
        """Indices of the winners are saved."""
        m = self.module
        y, winners = functional.max_pool2d(
            x, m.kernel_size, m.stride, m.padding, m.dilation, ceil_mode=m.ceil_mode, return_indices=True
        )
        return y, (winners, x.shape[2:])

    def push(self, saved: tuple[Tensor, torch.Size], dx: Tensor, overwrite: bool = False) -> Tensor:
        """Gathers the winners."""
        winners = saved[0][:, None].expand(-1, dx.shape[1], -1, -1, -1)
        return dx.flatten(3).gather(3, winners.flatten(3)).view(winners.shape)

    def pull(self, saved: tuple[Tensor, torch.Size], dy: Tensor, overwrite: bool = False) -> Tensor:
        """Scatters to the winners; windows that overlap add up."""
        winners = saved[0][:, None].expand(-1, dy.shape[1], -1, -1, -1)
        dx = dy.new_zeros(*dy.shape[:3], saved[1].numel())
        return torch.unflatten(dx.scatter_add_(3, winners.flatten(3), dy.flatten(3)), 3, saved[1])


POOLINGS = (nn.MaxPool2d, nn.AvgPool1d, nn.AvgPool2d, nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d)
KNOWN_MODULES = (nn.ReLU, nn.LeakyReLU, nn.Identity, nn.Dropout, nn.Dropout2d, nn.Flatten, *POOLINGS)


def step_of_module(module: nn.Module) -> Operation | None:
    """The operation of a module without parameters, in eval mode; None for the identity.

    Raises:
        UnsupportedError: a module that is not piecewise linear, or not known.
    """
    if not computes_as(module, *KNOWN_MODULES):
        raise UnsupportedError(f"{type(module).__name__} is not one of the piecewise-linear modules known")
    match module:
        case nn.ReLU():
            return Rectify()
        case nn.LeakyReLU():
            return Rectify(module.negative_slope)
        case nn.Identity() | nn.Dropout() | nn.Dropout2d():
            return None
        case nn.MaxPool2d():
            return MaxPool(module)
        case nn.AvgPool1d() | nn.AvgPool2d() | nn.AdaptiveAvgPool1d() | nn.AdaptiveAvgPool2d():
            return Linear(module, per_channel=True)
        case nn.Flatten():
            return Linear(module)
    raise UnsupportedError(f"{type(module).__name__} is not one of the piecewise-linear modules known")


# Functions and methods by name.
SUMS, RECTIFIERS, VIEWS, IDENTITIES = ("add", "iadd", "add_"), ("relu", "relu_"), ("view", "reshape"), ("dropout",)


def step_of_call(node: fx.Node) -> tuple[list[fx.Node], Operation | Add | None]:
    """The nodes that a function or method call takes tensors from, and its operation; None for the identity.

    Raises:
        UnsupportedError: a call that is not known, or constants among its operands.
    """
    name = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", str(node.target))
    if name not in (*SUMS, *RECTIFIERS, *VIEWS, *IDENTITIES, *LINEAR_CALLS):
        raise UnsupportedError(f"{name} is not one of the piecewise-linear operations known")
    source = node.args[0] if node.args else None
    if not isinstance(source, fx.Node):
        raise UnsupportedError(f"{name} of something that is not computed from the inputs")
    if name in SUMS:
        other = node.args[1]
        if not isinstance(other, fx.Node) or node.kwargs:
            raise UnsupportedError("an addition of a constant")
        return [source, other], Add()
    if name in RECTIFIERS:
        return [source], Rectify()
    if name in VIEWS:
        if len(node.args) != 3 or not _is_number_of_samples(node.args[1]) or node.args[2] != -1:
            raise UnsupportedError("a reshape other than x.view(x.size(0), -1)")
        return [source], Linear(partial(torch.flatten, start_dim=1))
    if name in IDENTITIES:
        return [source], None
    if name in LINEAR_CALLS and node.op in ("call_function", "call_method"):
        if any(isinstance(value, fx.Node) for value in (*node.args[1:], *node.kwargs.values())):
            raise UnsupportedError(f"{name} with arguments that are computed")
        per_channel = "pool" in name or (name == "mean" and node.args[1:] in POSITIONS and not node.kwargs)
        return [source], Linear(partial(_call, LINEAR_CALLS[name], node.args[1:], dict(node.kwargs)), per_channel)
    raise UnsupportedError(f"{name} is not one of the piecewise-linear operations known")


def _is_number_of_samples(value: object) -> bool:
    """Whether a node is `x.size(0)` or `x.shape[0]`."""
    if not isinstance(value, fx.Node):
        return False
    if value.op == "call_method" and value.target == "size":
        return tuple(value.args[1:]) == (0,)
    source = value.args[0] if value.args else None
    if getattr(value.target, "__name__", "") != "getitem" or value.args[1] != 0 or not isinstance(source, fx.Node):
        return False
    is_shape = getattr(source.target, "__name__", "") == "getattr" and source.args[1] == "shape"
    return is_shape or (source.op == "call_method" and source.target == "size" and len(source.args) == 1)


def _call(function: Callable[..., Tensor], args: tuple[object, ...], kwargs: dict[str, object], x: Tensor) -> Tensor:
    return function(x, *args, **kwargs)


# What a mean over the positions of an image is given.
POSITIONS: tuple[tuple[object, ...], ...] = (([2, 3],), ((2, 3),), ([-2, -1],), ((-2, -1),), ([-1, -2],), ((-1, -2),))

# Linear maps without parameters, by the name of the function or method.
LINEAR_CALLS: dict[str, Callable[..., Tensor]] = {
    "flatten": torch.flatten,
    "mean": torch.mean,
    "avg_pool2d": functional.avg_pool2d,
    "adaptive_avg_pool2d": functional.adaptive_avg_pool2d,
}
