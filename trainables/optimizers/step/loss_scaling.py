"""How an optimizer that uses two gradients a step works with `torch.amp.GradScaler`."""

import gc
import weakref

from torch.amp.grad_scaler import GradScaler, OptState
from torch.optim import Optimizer

from trainables.errors import TrainingError
from trainables.optimizers.step.live_objects import live_instances


def is_unscaled(scaler: GradScaler, optimizer: Optimizer) -> bool:
    """Whether `scaler` has unscaled this optimizer's gradients since its last update."""
    state = scaler._per_optimizer_states.get(id(optimizer))
    return state is not None and state["stage"] is OptState.UNSCALED


def unscale(scaler: GradScaler, optimizer: Optimizer) -> bool:
    """Unscale the optimizer's gradients unless they are unscaled already, and return whether all are finite.

    Waits for the device, as `GradScaler.step` does for every optimizer.
    """
    if not is_unscaled(scaler, optimizer):
        scaler.unscale_(optimizer)
    return not any(found.item() for found in scaler._found_inf_per_device(optimizer).values())


class ScaleGuard:
    """Refuses gradients that a scaler in use may have scaled: their size does not show whether it has.

    The scalers of the process are searched for at the first call, and again at the first call after each of Python's
    full garbage collections, which cost about as much: a scaler that is made later is found late, but it is found.
    """

    def __init__(self) -> None:
        self._scalers: weakref.WeakSet[GradScaler] = weakref.WeakSet()
        self._searched = -1  # full collections before the last search

    def __reduce__(self) -> tuple[type["ScaleGuard"], tuple[()]]:
        # A copy, perhaps in another process, searches for its own scalers.
        return ScaleGuard, ()

    def require_unscaled(self, optimizer: Optimizer, owner: Optimizer | None = None) -> None:
        """Check every enabled scaler that has scaled a loss.

        Args:
            optimizer: the one to which the scaler has to be given.
            owner: the one for which the scaler must have unscaled the gradients; None for the same.

        Raises:
            TrainingError: one of them has not unscaled the gradients.
        """
        collections = gc.get_stats()[-1]["collections"]
        if collections != self._searched:
            self._scalers, self._searched = live_instances(GradScaler), collections
        for scaler in self._scalers:
            if scaler.is_enabled() and scaler._scale is not None and not is_unscaled(scaler, owner or optimizer):
                raise TrainingError(
                    f"{type(optimizer).__name__} needs unscaled gradients, for ε and for the step, but a GradScaler is "
                    "in use: pass it, as in step(closure, scaler=scaler) or first_step(scaler=scaler); if this loss "
                    "is not scaled, pass GradScaler(enabled=False)"
                )
