"""Networks that can't be differentiated twice: which operation is to blame, and an operator that says so when used."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from analysis.errors import UndefinedMeasureError
from analysis.sharpness.hessian.setting import Block, Setting
from analysis.sharpness.problem import Problem, held_still

# How PyTorch says that an operation has no derivative, or none of second order.
MISSING = re.compile(
    r"derivative for (?P<op>\S+) is not implemented|[Dd]ouble backwards? is not supported|once_differentiable"
)
MEMORY = re.compile(r"out of memory|can't allocate memory|not enough memory", re.IGNORECASE)


class Undefined:
    """The block of a layer whose second derivative can't be taken: its products raise the reason."""

    def __init__(self, setting: Setting, block: Block, reason: UndefinedMeasureError) -> None:
        self.dim = setting.profile.size(block.names)
        self.device, self.dtype = setting.problem.device, setting.problem.dtype
        self.reason = reason

    def matmat(self, V: Tensor) -> Tensor:
        """Never returns.

        Raises:
            UndefinedMeasureError: always.
        """
        raise self.reason


def without_second_derivative(layer: str | None) -> UndefinedMeasureError:
    """The reason for a block whose gradient passes an operation that can be differentiated once."""
    return UndefinedMeasureError(
        f"the Hessian of {layer or 'all layers'} takes the second derivative of an autograd function that is marked "
        "once_differentiable; write its backward pass with differentiable operations"
    )


@contextmanager
def naming_derivatives(problem: Problem, layer: str | None) -> Iterator[None]:
    """What the network's own operations raise on the way back is this block's alone, and named.

    Raises:
        UndefinedMeasureError: an operation has no second derivative, or fails when it is differentiated.
    """
    try:
        yield
    except RuntimeError as error:
        if MEMORY.search(str(error)):
            raise
        raise UndefinedMeasureError(_text(problem, layer, error)) from error


def _text(problem: Problem, layer: str | None, error: RuntimeError) -> str:
    block = layer or "all layers"
    found = MISSING.search(str(error))
    if found is None:
        return f"the Hessian of {block} can't be computed: {type(error).__name__}: {str(error).splitlines()[0]}"
    if found["op"] is None:
        return (
            f"the Hessian of {block} takes a second derivative that PyTorch does not have: {str(error).splitlines()[0]}"
        )
    operation = re.sub(r"^(aten::)?_?|_backward$", "", found["op"])
    place = _place(problem, operation)
    where = "" if place is None else f" in {place}"
    return f"the Hessian of {block} takes the second derivative of {operation}{where}, which PyTorch does not have"


def _place(problem: Problem, operation: str) -> str | None:
    """The module that calls an operation, with its class; None if it can't be told."""
    calls = _Calls(operation)
    names = {module: name for name, module in problem.model.named_modules()}

    def enter(module: nn.Module, args: object) -> None:
        calls.inside.append(f"{names.get(module) or 'the model'} ({type(module).__name__})")

    def leave(module: nn.Module, args: object, result: object) -> None:
        calls.inside.pop()

    handles = [module.register_forward_pre_hook(enter) for module in names]
    handles += [module.register_forward_hook(leave) for module in names]
    try:
        with held_still(problem.model), torch.no_grad(), calls:
            problem.subset(slice(0, 1)).outputs()
    except RuntimeError:
        return None
    finally:
        for handle in handles:
            handle.remove()
    return calls.place


class _Calls(TorchDispatchMode):
    """Notes the innermost module in which an operation is called first."""

    def __init__(self, operation: str) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._operation = operation
        self.inside: list[str] = []
        self.place: str | None = None

    def __torch_dispatch__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        called = str(getattr(func, "_opname", ""))
        if self.place is None and self.inside and called.strip("_") == self._operation.strip("_"):
            self.place = self.inside[-1]
        return func(*args, **(kwargs or {}))
