"""Batch-norm that normalizes by its batch and does not change its running statistics."""

import weakref

from torch.nn.modules.batchnorm import _BatchNorm

from trainables.optimizers.step.live_objects import live_instances


class RunningStatistics:
    """Keeps the running statistics of all batch-norm modules in the process constant between `freeze` and `release`.

    An optimizer knows parameters, not modules, and a batch-norm may have no parameters at all. So the modules are
    searched for, once, at the first `freeze`. It sets their `track_running_stats` to False, a flag that compiled models
    respect (a forward hook would not run inside them). `release` sets it back, and so does the end of this object.
    """

    def __init__(self) -> None:
        self._modules: weakref.WeakSet[_BatchNorm] | None = None
        self._held: list[_BatchNorm] = []

    def freeze(self) -> None:
        """Stop the updates of running statistics, in all batch-norm modules in train mode."""
        if self._modules is None:
            self._modules = live_instances(_BatchNorm)
        self._held = [module for module in self._modules if module.track_running_stats]
        self._set_tracking(False)

    def release(self) -> None:
        """Allow the updates again, in every module where `freeze` stopped them."""
        self._set_tracking(True)
        self._held = []

    def _set_tracking(self, value: bool) -> None:
        for module in self._held:
            # What the module's own __setattr__ would do, after 3 µs of searching for a parameter of that name.
            vars(module)["track_running_stats"] = value

    def __del__(self) -> None:
        self.release()

    def __reduce__(self) -> tuple[type["RunningStatistics"], tuple[()]]:
        # A copy, perhaps in another process, searches for its own modules.
        return RunningStatistics, ()
