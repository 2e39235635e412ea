"""What an optimizer keeps beside its base optimizer, in the places where torch looks for an optimizer's state.

Tensors of a parameter are in `state[parameter]`, numbers in every parameter group. So `state_dict`, schedulers and
`torch.distributed.checkpoint` carry them along, and they follow parameters rather than positions.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import Any

from torch import Tensor
from torch.optim import Optimizer

from trainables.optimizers.step.shards import has_nonzero

State = Mapping[Any, Any]  # by parameter, or in a state dict by its number or name


def split(state: State, names: Sequence[str]) -> tuple[dict[Any, Any], dict[Any, dict[str, Any]]]:
    """The state without the entries of these names, and these entries alone, by parameter.

    Some optimizers keep values in their state that belong to no parameter; they stay as they are.
    """
    own = {key: {name: of[name] for name in names if name in of} for key, of in state.items() if isinstance(of, dict)}
    base = dict(state)
    base.update({key: {name: state[key][name] for name in state[key] if name not in names} for key in own})
    return base, own


@contextmanager
def set_aside(state: State, names: Sequence[str]) -> Iterator[None]:
    """While entered, the state is without the entries of these names: base optimizers make theirs where it is empty."""
    kept = [of for of in state.values() if isinstance(of, dict)] if names else []
    own = [(of, {name: of.pop(name) for name in names if name in of}) for of in kept]
    try:
        yield
    finally:
        for of, entries in own:
            of.update(entries)


def through_hooks(
    hooks: Mapping[int, Callable[..., Any]], optimizer: Optimizer, state_dict: dict[str, Any]
) -> dict[str, Any]:
    """The state dict after hooks that may return another in its place."""
    for hook in hooks.values():
        replaced = hook(optimizer, state_dict)
        state_dict = state_dict if replaced is None else replaced
    return state_dict


def complete(groups: list[dict[str, Any]], defaults: dict[str, Any]) -> None:
    """Give groups that the base optimizer was given, or has loaded, what they lack."""
    for group in groups:
        for name, default in defaults.items():
            group.setdefault(name, default)


def make(optimizer: Optimizer, names: Sequence[str], fresh: Callable[[str, Tensor], Any]) -> None:
    """Make the entries of parameters that have a gradient, where there are none yet."""
    for group in optimizer.param_groups if names else ():
        for parameter in group["params"]:
            for name in names if parameter.grad is not None else ():
                if name not in optimizer.state[parameter]:
                    optimizer.state[parameter][name] = fresh(name, parameter)


def put_back(own: State, saved_groups: list[dict[str, Any]], optimizer: Optimizer) -> None:
    """Give the entries of a state dict to the parameters that stand where they stood when it was saved."""
    saved = chain.from_iterable(group["params"] for group in saved_groups)
    present = chain.from_iterable(group["params"] for group in optimizer.param_groups)
    for key, parameter in zip(saved, present, strict=True):
        for name, value in own.get(key, {}).items():
            copy = value.to(parameter.device, copy=True) if isinstance(value, Tensor) else value
            optimizer.state[parameter][name] = copy


def is_state_asked_for(optimizer: Optimizer) -> bool:
    """Whether this is the step by which `torch.distributed.checkpoint` has an optimizer make its state.

    It sets all learning rates and all gradients to 0 and calls `step` without a closure.
    """
    gradients = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
    still = all(float(group.get("lr", 1)) == 0 for group in optimizer.param_groups)
    return still and len(gradients) > 0 and not has_nonzero(gradients)
