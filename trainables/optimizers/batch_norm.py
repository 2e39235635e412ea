"""Batch-norm that uses its batch's statistics but leaves the running ones alone."""

import weakref

from torch.nn.modules.batchnorm import _BatchNorm

from trainables.optimizers.live_objects import live_instances


class RunningStatistics:
    """Holds the running statistics of the process's batch-norm modules between `freeze` and `release`.

    An optimizer knows parameters, not modules, and a batch-norm may have no parameters at all, so the modules are
    looked for: once, at the first `freeze`. They are told not to track, which `torch.compile` guards on (a forward
    hook would not run inside a compiled model), and told to again at `release`, or when this object is dropped.
    """

    def __init__(self) -> None:
        self._modules: weakref.WeakSet[_BatchNorm] | None = None
        self._held: list[_BatchNorm] = []

    def freeze(self) -> None:
        """From now on batch-norm modules in train mode don't update their running statistics."""
        if self._modules is None:
            self._modules = live_instances(_BatchNorm)
        self._held = [module for module in self._modules if module.track_running_stats]
        self._set_tracking(False)

    def release(self) -> None:
        """Track again, in every module that was held."""
        self._set_tracking(True)
        self._held = []

    def _set_tracking(self, value: bool) -> None:
        for module in self._held:
            # Where a module's own __setattr__ puts it after 3 µs of looking for parameters of that name.
            vars(module)["track_running_stats"] = value

    def __del__(self) -> None:
        self.release()

    def __reduce__(self) -> tuple[type["RunningStatistics"], tuple[()]]:
        # A copy, perhaps in another process, looks for its own.
        return RunningStatistics, ()
