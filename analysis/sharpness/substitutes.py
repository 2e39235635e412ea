"""Ways in which networks compute that can't be differentiated twice with replaced weights, computed in another way."""

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode
from torch.utils import checkpoint

# What `checkpoint` runs around a function without reentry, under its name in older and newer versions of PyTorch.
GENERATORS = ("_checkpoint_without_reentrant_generator", "_checkpoint_without_reentrant_generator_impl")

_active: ContextVar[bool] = ContextVar("substitutes are active", default=False)


class _Decomposed(TorchFunctionMode):
    """Piecewise-linear functions whose second derivative PyTorch lacks, by ones that it has."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func in (functional.hardsigmoid, torch._C._nn.hardsigmoid):
            return _hardsigmoid(*args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))


def _hardsigmoid(input: Tensor, inplace: bool = False) -> Tensor:
    value = functional.relu6(input + 3) / 6
    return input.copy_(value) if inplace else value


class _Kept:
    """Stands for the reentrant checkpoint: calls the function, whose activations are then kept."""

    @staticmethod
    def apply(function: Callable[..., Any], preserve_rng_state: bool, *args: Any) -> Any:
        return function(*args)


def _kept(*args: Any, **kwargs: Any) -> Iterator[None]:
    """Stands for the checkpoint without reentry: nothing around the call."""
    yield


@contextmanager
def substitutes() -> Iterator[None]:
    """While this is active, Hardsigmoid is decomposed, nothing is checkpointed, and what is compiled runs eagerly.

    A checkpoint computes activations again on the way back, when the replaced weights are gone. Entered again inside,
    this does nothing: every mode of functions costs time in each operation.
    """
    if _active.get():
        yield
        return
    with ExitStack() as stack:
        stack.callback(_active.reset, _active.set(True))
        stack.enter_context(patch.object(checkpoint, "CheckpointFunction", _Kept))
        for name in GENERATORS:
            if hasattr(checkpoint, name):
                stack.enter_context(patch.object(checkpoint, name, _kept))
        if "torch._dynamo" in sys.modules:  # else nothing is compiled, and to import it takes seconds
            stack.enter_context(torch.compiler.set_stance("force_eager"))
        stack.enter_context(_Decomposed())
        yield
