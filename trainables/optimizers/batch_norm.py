"""Batch-norm that uses its batch's statistics but leaves the running ones alone."""

import weakref
from typing import Any

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.module import register_module_forward_pre_hook
from torch.utils.hooks import RemovableHandle


class RunningStatistics:
    """Holds the running statistics of every batch-norm module that runs between `freeze` and `release`.

    An optimizer knows parameters, not modules, and a batch-norm may have no parameters at all. So the modules are met
    as they run, by torch's global forward hook, and told not to track; they are told to again at `release`.
    """

    def __init__(self) -> None:
        self._held: list[_BatchNorm] = []
        self._hook: RemovableHandle | None = None

    def freeze(self) -> None:
        """From now on, batch-norm modules in train mode don't update their running statistics."""
        owner = weakref.ref(self)

        def hold(module: nn.Module, args: Any) -> None:
            statistics = owner()
            if statistics is None:  # dropped without `release`, in a notebook for instance: nothing is frozen any more
                hook.remove()
            elif isinstance(module, _BatchNorm) and module.training and module.track_running_stats:
                module.track_running_stats = False
                statistics._held.append(module)

        hook = self._hook = register_module_forward_pre_hook(hold)

    def release(self) -> None:
        """Track again, in every module that was held."""
        if self._hook is not None:
            self._hook.remove()
            self._hook = None
        for module in self._held:
            module.track_running_stats = True
        self._held.clear()

    def __del__(self) -> None:
        self.release()
