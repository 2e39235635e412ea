"""The contract of SAM and its variants: two gradients on one batch, one step of a base optimizer.

g = ∇L(w) → ε → ∇L(w + ε) → w restored → base step with that gradient, its weight decay at the restored w.
"""

from abc import abstractmethod
from collections.abc import Callable
from enum import Enum
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor
from torch.amp.grad_scaler import GradScaler
from torch.optim import Optimizer
from torch.optim.optimizer import ParamsT

from trainables.errors import TrainingError
from trainables.optimizers.step.batch_norm import RunningStatistics
from trainables.optimizers.step.loss_scaling import ScaleGuard, unscale
from trainables.optimizers.step.own_state import (
    complete,
    is_state_asked_for,
    make,
    put_back,
    set_aside,
    split,
    through_hooks,
)
from trainables.optimizers.step.requirements import require_base, require_finite, require_group
from trainables.optimizers.step.tensor_lists import TensorList, add, gather, working_type

Closure = Callable[[], Any]  # zero_grad, forward, backward; returns the loss


class Pass(Enum):
    """Where an optimizer stands between its two steps."""

    NONE = "no step has begun"
    PERTURBED = "the weights are w + ε, and the second gradient is missing"
    PLAIN = "no perturbation is due: the step uses the present gradient"
    SKIPPED = "the gradient was not finite: no step is taken"


class SharpnessAware(Optimizer):
    """A base optimizer whose steps use the gradient at w + ε instead of the gradient at w.

    Parameter groups and state are the base optimizer's own: schedulers may be given either optimizer, a group may have
    its own `rho`, and a state dict of the base optimizer alone can be loaded. What an optimizer keeps for itself is in
    the same groups and state, so `torch.distributed.checkpoint` saves it too. Weights are restored bit for bit from a
    copy, the only extra memory unless an optimizer says otherwise. Norms are global over all parameters, and over all
    shards of each (FSDP2's `fully_shard`). A step costs two forward and backward passes.

    With `maximize=True` of the base optimizer the step is that on −L, bit for bit: ε goes downhill.

    ε is computed in float32 at least. Where weights are float16 or bfloat16, w + ε is rounded to them, and
    `epsilon_norm` is that of the rounded ε; if w + ε does not fit into float16 the step is refused.

    Batch-norm modules that exist at the first perturbation keep their running statistics in the second pass, compiled
    or not, unless `bn_second_pass` is "update"; they normalize by the batch in both. Dropout draws again.

    Clip the final gradient only: before `second_step`, or with `base_optimizer.register_step_pre_hook`.
    Accumulate by letting the closure run over all micro-batches, or all backwards before `first_step`, then again.

    Under DistributedDataParallel both gradients are averaged over the workers, so ε is that of the global batch. With
    the first backward under `model.no_sync()` each worker has its own ε (m-sharpness with m the local batch, as Foret
    et al. 2021 train); weights agree again after every step. Not so for RSAM, whose ε is not additive over workers.
    """

    # Makes GradScaler.step pass its scale, by which `step` notices that it was called through the scaler.
    _step_supports_amp_scaling = True
    # What it keeps of each parameter, by name in `state`.
    _kept: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self,
        params: ParamsT,
        base_optimizer: Callable[..., Optimizer],
        rho: float,
        bn_second_pass: Literal["freeze", "update"],
        base_kwargs: dict[str, Any],
        progress: dict[str, Any] | None = None,
    ) -> None:
        if bn_second_pass not in ("freeze", "update"):
            raise ValueError(f"bn_second_pass must be 'freeze' or 'update'; got {bn_second_pass!r}")
        require_base(base_optimizer)
        self.base_optimizer = base_optimizer(params, **base_kwargs)
        require_base(type(self.base_optimizer))
        defaults = {**self.base_optimizer.defaults, "rho": rho, **(progress or {})}
        super().__init__(self.base_optimizer.param_groups, defaults)
        self._share_with_base()
        self._num_groups = len(self.param_groups)
        self.bn_second_pass = bn_second_pass
        self.epsilon_norm = torch.zeros(())  # ‖ε‖ of the last step
        self._pass = Pass.NONE
        self._scaler: GradScaler | None = None
        self._scale_is_known = False
        self._guard = ScaleGuard()
        self._moved: list[TensorList] = []
        self._statistics = RunningStatistics()

    def _share_with_base(self) -> None:
        self.param_groups = self.base_optimizer.param_groups
        self.state = self.base_optimizer.state

    @abstractmethod
    def _perturb(self, lists: list[TensorList]) -> Tensor:
        """Overwrite the gradients by ε and return ‖ε‖₂; `spare` is free for intermediate values."""

    def _finish(self, reached: Pass) -> None:
        """Change the gradients before the base optimizer's step; they are finite and unscaled, the weights w."""

    def _fresh(self, name: str, parameter: Tensor) -> Any:
        """What is kept of a parameter under this name before anything is known: zeros."""
        return torch.zeros_like(parameter, dtype=working_type(parameter.dtype), requires_grad=False)

    def progress(self, name: str) -> Any:
        """A number that this optimizer keeps in its parameter groups."""
        return self.param_groups[0][name]

    def _note(self, **values: Any) -> None:
        for group in self.param_groups:
            group.update(values)

    @property
    def active(self) -> bool:
        """Whether steps perturb; False while an optimizer warms up as its base."""
        return True

    @property
    def perturbed(self) -> bool:
        """Whether the weights are w + ε now: True inside the second call of a closure."""
        return self._pass is Pass.PERTURBED

    def log_values(self) -> dict[str, Tensor]:
        """Values of the last step to log, as 0-dimensional tensors; reading one waits for the device."""
        return {"epsilon_norm": self.epsilon_norm}

    def end_epoch(self, validation_accuracy: float | None = None) -> None:
        """Note that an epoch has ended, with its accuracy in [0, 1] on held-out data if that was measured."""

    @torch.no_grad()
    def step(self, closure: Closure | None = None, scaler: GradScaler | None = None) -> Any:
        """Do both passes and the update, and return what the closure returned at w.

        Args:
            closure: clears the gradients, computes the loss, calls backward, returns the loss; called twice, or once
                while no perturbation is due. With loss scaling it calls `scaler.scale(loss).backward()`. None after
                `first_step`: the same as `second_step`, for trainers that call `step` themselves.
            scaler: the GradScaler in use; call its `update` afterwards. Gradients are unscaled before ε, and when they
                are not finite both passes are skipped.

        Raises:
            TrainingError: there is no closure, or it was called by `GradScaler.step`, or between the two steps below;
                or the reasons of `first_step`.
        """
        if vars(self).pop("found_inf", None) is not None:
            vars(self).pop("grad_scale")
            raise TrainingError(f"call {self._name}.step(closure, scaler=scaler), not scaler.step(optimizer)")
        if closure is None and self._pass is not Pass.NONE:
            return self.second_step()
        if closure is None:
            if is_state_asked_for(self):
                return self._step_of_base()
            raise TrainingError(
                f"{self._name}.step needs a closure that clears the gradients, computes the loss, calls backward and "
                "returns the loss; without one, call first_step() and second_step()"
            )
        with torch.enable_grad():
            loss = closure()
        if self.first_step(scaler):
            try:
                with torch.enable_grad():
                    closure()
            except BaseException:
                self.restore()
                raise
        self.second_step()
        return loss

    @torch.no_grad()
    def first_step(self, scaler: GradScaler | None = None) -> bool:
        """Move the weights to w + ε, clear the gradients, and return whether a second backward is due.

        When it returns False (warm-up, or a gradient that is not finite under `scaler`) weights and gradients are
        unchanged: call `second_step` at once, which takes the plain step, or none.

        Raises:
            TrainingError: the weights are w + ε already, no parameter has a gradient, a gradient is sparse, w + ε does
                not fit into float16, or a GradScaler is in use that is not given and has not unscaled the gradients.
        """
        if self._pass is not Pass.NONE:
            raise TrainingError(f"{self._name}.first_step: {self._pass.value}; call second_step() or restore() first")
        self._complete_groups()
        self._scaler = scaler if scaler is not None and scaler.is_enabled() else None
        self._scale_is_known = scaler is not None
        if not self._scale_is_known:
            self._guard.require_unscaled(self)
        if self._scaler is not None and not unscale(self._scaler, self):
            self._pass = Pass.SKIPPED
        elif not self.active:
            self._pass = Pass.PLAIN
        else:
            self._move(gather(self.param_groups))
            self._pass = Pass.PERTURBED
        return self.perturbed

    def _move(self, lists: list[TensorList]) -> None:
        if not lists:
            raise TrainingError(f"{self._name}.first_step: no parameter has a gradient; call backward first")
        for part in lists:
            if part.group.get("maximize"):
                torch._foreach_neg_(part.gradients)
        self.epsilon_norm = self._perturb(lists)
        for part in lists:
            torch._foreach_copy_(part.spare, part.parameters)
        self._moved = lists  # from here on `restore` can undo an interrupted step
        added = add(lists)
        if added is not None:
            try:
                require_finite(self._name, self.epsilon_norm, added, lists)
            except TrainingError:
                self.restore()
                raise
            self.epsilon_norm = added
        for part in lists:
            part.gradients.clear()
            for parameter in part.owners:
                parameter.grad = None
        if self.bn_second_pass == "freeze":
            self._statistics.freeze()

    @torch.no_grad()
    def second_step(self) -> None:
        """Restore the weights and take the base optimizer's step with the present gradient.

        Raises:
            TrainingError: no `first_step` came before, or a GradScaler is in use that was not given to it and has not
                unscaled this gradient.
        """
        reached = self._pass
        if reached is Pass.NONE:
            raise TrainingError(f"{self._name}.second_step: {reached.value}; call first_step() before")
        self.restore()
        finite = reached is not Pass.SKIPPED
        if reached is Pass.PERTURBED and self._scaler is not None:
            finite = unscale(self._scaler, self.base_optimizer)
        elif reached is Pass.PERTURBED and not self._scale_is_known:
            self._guard.require_unscaled(self, self.base_optimizer)
        if finite:
            self._finish(reached)
            self._step_of_base()
        # What LRScheduler sets around `step`, to warn when it is called before the optimizer.
        self._opt_called = True

    def _step_of_base(self) -> None:
        with set_aside(self.state, self._kept):
            self.base_optimizer.step()
        self._make_state()

    def _make_state(self) -> None:
        make(self, self._kept, self._fresh)

    @torch.no_grad()
    def restore(self) -> None:
        """Restore the weights to those before `first_step`, without a step: after an error, for instance."""
        for part in self._moved:
            torch._foreach_copy_(part.parameters, part.spare)
        self._moved = []
        self._statistics.release()
        self._pass = Pass.NONE

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group of parameters to this optimizer and its base.

        Raises:
            ValueError: rho is negative or not finite, or a parameter is sparse, complex or an integer.
        """
        super().add_param_group(param_group)
        try:
            require_group(self.param_groups[-1])
        except ValueError:
            self.param_groups.pop()
            raise

    def _complete_groups(self) -> None:
        """Give groups that were added to the base optimizer what they lack."""
        if len(self.param_groups) != self._num_groups:
            complete(self.param_groups, self.defaults)
            for group in self.param_groups:
                require_group(group)
            self._num_groups = len(self.param_groups)

    def state_dict(self) -> dict[str, Any]:
        """The base optimizer's state dict, with what this optimizer keeps in the same places; hooks of both are run."""
        for hook in self._optimizer_state_dict_pre_hooks.values():
            hook(self)
        state_dict = self.base_optimizer.state_dict()
        return through_hooks(self._optimizer_state_dict_post_hooks, self, state_dict)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load a `state_dict()` of this optimizer, or of the base optimizer alone; hooks of both are run."""
        state_dict = through_hooks(self._optimizer_load_state_dict_pre_hooks, self, state_dict.copy())
        base, own = split(state_dict["state"], self._kept)
        self.base_optimizer.load_state_dict({**state_dict, "state": base})
        self._share_with_base()
        complete(self.param_groups, self.defaults)
        put_back(own, state_dict["param_groups"], self)
        self._load_earlier(state_dict.get("progress", {}))
        for done in self._optimizer_load_state_dict_post_hooks.values():
            done(self)

    def _load_earlier(self, progress: dict[str, Any]) -> None:
        """Take over what checkpoints of version 0.1 hold beside groups and state."""

    def __getstate__(self) -> dict[str, Any]:
        # Without what schedulers add, hooks and a patched `step`: these can not be pickled.
        return {name: value for name, value in vars(self).items() if name != "step" and "_hooks" not in name}

    @property
    def _name(self) -> str:
        return type(self).__name__
