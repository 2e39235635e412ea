"""Products of a vector with the Hessian of the loss that a closure computes."""

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.overrides import TorchFunctionMode

from analysis.sharpness.layers import evaluation_mode
from trainables.errors import TrainingError
from trainables.optimizers.step.shards import is_sharded, local

Closure = Callable[[], Any]
Vector = list[Tensor]  # a tensor (of a sharded parameter: this process's shard) for each parameter
Product = Callable[[Vector], Vector]


@contextmanager
def hessian_products(model: nn.Module, closure: Closure, parameters: list[Tensor], scale: float) -> Iterator[Product]:
    """While entered, the function v ↦ H v, H the Hessian of the closure's loss divided by `scale`, in eval mode.

    Exact where the closure calls `backward` on its losses: the call does nothing then, and they are differentiated
    twice; a product costs two backward passes. Where it makes gradients in another way (`torch.autograd.backward`,
    `torch.autograd.grad`), and for sharded parameters, which have no second derivatives, a central difference of its
    gradients, (∇L(w + δv) − ∇L(w − δv))/2δ; a product costs two calls. δ is the square root of the type's precision,
    less than is best for smooth losses: at the cube root ReLU's kinks lie between, and spoil the second digit.

    Raises:
        TrainingError: the closure makes no gradient, or differences are needed of weights in half precision.
    """
    # Neither the fused attention kernels nor compiled graphs have second derivatives.
    with evaluation_mode(model), sdpa_kernel(SDPBackend.MATH), _uncompiled(), torch.enable_grad():
        try:
            yield _exact(closure, parameters, scale) or _by_differences(closure, parameters, scale)
        finally:
            _clear(parameters)


def _exact(closure: Closure, parameters: list[Tensor], scale: float) -> Product | None:
    """The products by differentiating twice; None where not every gradient comes from a call of `backward`."""
    if any(is_sharded(parameter) for parameter in parameters):
        return None
    _clear(parameters)
    with _WithheldBackward() as withheld:
        closure()
    if any(parameter.grad is not None for parameter in parameters):
        return None
    if not withheld.losses:
        raise TrainingError("EigenSAM's closure must call backward on its loss")
    loss = torch.stack(withheld.losses).sum() / scale
    gradient = torch.autograd.grad(loss, parameters, create_graph=True, materialize_grads=True)

    def product(vector: Vector) -> Vector:
        # A constant gradient (zero, or of a linear loss) has no graph, and its part of the product is 0.
        pairs = [(g, v.to(g.dtype)) for g, v in zip(gradient, vector, strict=True) if g.requires_grad]
        return list(
            torch.autograd.grad(
                [g for g, _ in pairs],
                parameters,
                grad_outputs=[v for _, v in pairs],
                retain_graph=True,
                materialize_grads=True,
            )
        )

    return product


def _by_differences(closure: Closure, parameters: list[Tensor], scale: float) -> Product:
    types = {parameter.dtype for parameter in parameters}
    if types & {torch.float16, torch.bfloat16}:
        raise TrainingError(
            "EigenSAM differentiates this closure by differences, for which weights in half precision are too coarse; "
            "keep them in float32, or call loss.backward() in the closure"
        )
    distance = max(torch.finfo(dtype).eps for dtype in types) ** 0.5

    def gradient(vector: Vector, factor: float) -> Vector:
        with torch.no_grad():
            torch._foreach_add_([local(parameter) for parameter in parameters], vector, alpha=factor)
        _clear(parameters)
        closure()
        return [local(torch.zeros_like(p) if p.grad is None else p.grad.detach()) for p in parameters]

    def product(vector: Vector) -> Vector:
        with torch.no_grad():
            weights = [local(parameter).clone() for parameter in parameters]
        try:
            above = gradient(vector, distance)
            _set(parameters, weights)
            below = gradient(vector, -distance)
        finally:
            _set(parameters, weights)
        return [(high - low) / (2 * distance * scale) for high, low in zip(above, below, strict=True)]

    return product


@torch.no_grad()
def _set(parameters: list[Tensor], weights: list[Tensor]) -> None:
    torch._foreach_copy_([local(parameter) for parameter in parameters], weights)


def _clear(parameters: list[Tensor]) -> None:
    for parameter in parameters:
        parameter.grad = None


class _WithheldBackward(TorchFunctionMode):
    """Collects the losses on which `backward` is called, weighted as the call weights them, and does not run it."""

    def __init__(self) -> None:
        super().__init__()
        self.losses: list[Tensor] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is Tensor.backward:
            self._collect(*args, **(kwargs or {}))
            return None
        return func(*args, **(kwargs or {}))

    def _collect(self, loss: Tensor, gradient: Tensor | None = None, *_: Any, **__: Any) -> None:
        self.losses.append(loss.sum() if gradient is None else (loss * gradient).sum())


def _uncompiled() -> AbstractContextManager[None]:
    """Run compiled modules as plain Python. If nothing was compiled it does nothing, since it would import dynamo."""
    if "torch._dynamo" not in sys.modules:
        return nullcontext()
    stance: AbstractContextManager[None] = torch.compiler.set_stance("force_eager")
    return stance
