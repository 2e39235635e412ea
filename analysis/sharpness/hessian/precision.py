"""In which precision a network computes inside, whatever type it is given."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class Narrowest(TorchDispatchMode):
    """While this mode is active, `dtype` becomes the least precise type into which a tensor of a wider type goes.

    A normalization that computes in float32 loses what float64 holds, so products agree to float32 only.
    """

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.dtype = dtype

    def __torch_dispatch__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        given = _coarsest(tree_leaves((args, kwargs)))
        made = _coarsest(tree_leaves(result))
        if given is not None and made is not None and _eps(made) > max(_eps(given), _eps(self.dtype)):
            self.dtype = made
        return result


def _coarsest(values: Iterable[Any]) -> torch.dtype | None:
    types = [value.dtype for value in values if isinstance(value, Tensor) and value.is_floating_point()]
    return max(types, key=_eps, default=None)


def _eps(dtype: torch.dtype) -> float:
    return torch.finfo(dtype).eps
