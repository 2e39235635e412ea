"""Eigen-SAM: SAM turned toward the Hessian's leading eigenvector (Luo et al. 2024, arXiv 2412.21018)."""

import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.amp.grad_scaler import GradScaler
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.optim import Optimizer
from torch.optim.optimizer import ParamsT
from torch.overrides import TorchFunctionMode

from analysis.sharpness.layers import evaluation_mode
from trainables.errors import TrainingError
from trainables.optimizers.sharpness_aware import Closure, SharpnessAware
from trainables.optimizers.tensor_lists import TensorList, global_norm, inner_product


class EigenSAM(SharpnessAware):
    """ε = ρ(ĝ + α sign(ĝ·v) v⊥), with ĝ = g/‖g‖, v⊥ = v − (ĝ·v)ĝ and v the eigenvector of the largest |λ|.

    v comes from a few power iterations on the Hessian of the batch's loss in eval mode, every `period` steps, started
    from the previous v. Before the first update of v, steps are those of SAM. The sum is not renormalized by default:
    ‖ε‖ = ρ√(1 + α²‖v⊥‖²). An update of v costs a forward and a backward pass, and two backward passes an iteration.

    `step(closure)` computes v from the closure's own loss: the closure's call of `backward` does nothing then, and the
    loss is differentiated twice instead. The closure must not change the model's mode. With `first_step` and
    `second_step`, call `update_eigenvector(closure)` when it is due.

    Args:
        params: parameters, named parameters or groups of them; a group may have its own `rho`.
        base_optimizer: an optimizer class of torch, called with `params` and `base_kwargs`.
        rho: radius ρ of the SAM part.
        model: the network, put in eval mode for the power iterations and back.
        alpha: weight of the eigenvector's part orthogonal to g.
        period: steps between two updates of v, counted from the start of each epoch.
        iterations: power iterations an update.
        renormalize: scale ε to length ρ.
        synchronize: sum the Hessian products over the workers of torch.distributed, so that all have the same v.
        seed: determines the first v.
        bn_second_pass: "freeze" holds batch-norm's running statistics in the second pass, "update" lets them move.
        base_kwargs: lr, momentum, weight_decay, … of the base optimizer.

    Raises:
        ValueError: an argument outside its range.
    """

    def __init__(
        self,
        params: ParamsT,
        base_optimizer: Callable[..., Optimizer] = torch.optim.SGD,
        rho: float = 0.05,
        *,
        model: nn.Module,
        alpha: float = 0.2,
        period: int = 100,
        iterations: int = 5,
        renormalize: bool = False,
        synchronize: bool = True,
        seed: int = 0,
        bn_second_pass: Literal["freeze", "update"] = "freeze",
        **base_kwargs: Any,
    ) -> None:
        for name, value in (("period", period), ("iterations", iterations)):
            if value < 1:
                raise ValueError(f"{name} must be at least 1; got {value}")
        if not alpha >= 0:
            raise ValueError(f"alpha must be at least 0; got {alpha}")
        super().__init__(params, base_optimizer, rho, bn_second_pass, base_kwargs)
        self.model = model
        self.alpha = alpha
        self.period = period
        self.iterations = iterations
        self.renormalize = renormalize
        self.synchronize = synchronize
        self.seed = seed
        self.eigenvalue = torch.zeros(())
        self.progress = {"step": 0, "eigenvector": None}

    def step(self, closure: Closure | None = None, scaler: GradScaler | None = None) -> Any:
        """Take the step of every method, after an update of v if one is due."""
        count = self.progress["step"]
        if closure is not None and count > 0 and count % self.period == 0:
            self.update_eigenvector(closure, scaler)
        return super().step(closure, scaler)

    def second_step(self) -> None:
        """Take the second step of every method, and count it."""
        super().second_step()
        self.progress["step"] += 1

    def end_epoch(self, validation_accuracy: float | None = None) -> None:
        """Start the count of steps to the next update of v again, as the authors' code does."""
        self.progress["step"] = 0

    def log_values(self) -> dict[str, Tensor]:
        """‖ε‖ of the last step and the leading eigenvalue of the last update, as 0-dimensional tensors."""
        return {"epsilon_norm": self.epsilon_norm, "eigenvalue": self.eigenvalue}

    def update_eigenvector(self, closure: Closure, scaler: GradScaler | None = None) -> None:
        """Update v by power iterations on the Hessian of the closure's loss, divided by the scale of `scaler`.

        Raises:
            TrainingError: the closure does not call `backward`.
        """
        parameters = [p for group in self.param_groups for p in group["params"] if p.requires_grad]
        vector = self.progress["eigenvector"] or _random_unit_vector(parameters, self.seed)
        # Neither the fused attention kernels nor compiled graphs have second derivatives.
        with evaluation_mode(self.model), sdpa_kernel(SDPBackend.MATH), _uncompiled(), torch.enable_grad():
            with _WithheldBackward() as withheld:
                closure()
            if not withheld.losses:
                raise TrainingError("EigenSAM's closure must call backward on its loss")
            loss = torch.stack(withheld.losses).sum() / (1.0 if scaler is None else scaler.get_scale())
            gradient = torch.autograd.grad(loss, parameters, create_graph=True, materialize_grads=True)
            for _ in range(self.iterations):
                product = self._hessian_product(gradient, parameters, vector)
                self.eigenvalue = inner_product(vector, product)
                norm = global_norm([product])
                inverse = torch.where(torch.isfinite(norm) & (norm > 0), 1 / norm, 0)
                vector = [
                    torch.where(inverse.to(old) > 0, new * inverse.to(new), old)
                    for new, old in zip(product, vector, strict=True)
                ]
        self.progress["eigenvector"] = vector

    def _hessian_product(
        self, gradient: tuple[Tensor, ...], parameters: list[Tensor], vector: list[Tensor]
    ) -> list[Tensor]:
        # A constant gradient (zero, or of a linear loss) has no graph, and its part of the product is 0.
        pairs = [(g, v) for g, v in zip(gradient, vector, strict=True) if g.requires_grad]
        product = list(
            torch.autograd.grad(
                [g for g, _ in pairs],
                parameters,
                grad_outputs=[v for _, v in pairs],
                retain_graph=True,
                materialize_grads=True,
            )
        )
        if self.synchronize and torch.distributed.is_available() and torch.distributed.is_initialized():
            for part in product:
                torch.distributed.all_reduce(part)
                part /= torch.distributed.get_world_size()
        return product

    def _perturb(self, lists: list[TensorList]) -> Tensor:
        norm = global_norm(part.gradients for part in lists)
        for part in lists:
            part.scale_(1 / (norm + 1e-12))
        if self.progress["eigenvector"] is not None:
            self._lean(lists)
        for part in lists:
            part.scale_(part.group["rho"])
        return global_norm(part.gradients for part in lists)

    def _lean(self, lists: list[TensorList]) -> None:
        """ĝ to ĝ + α sign(c) v⊥ = (1 − α|c|) ĝ + α sign(c) v, c = ĝ·v, at length 1 if renormalized."""
        ordered = (p for group in self.param_groups for p in group["params"] if p.requires_grad)
        vector = dict(zip(ordered, self.progress["eigenvector"], strict=True))
        cosine = inner_product(
            (gradient for part in lists for gradient in part.gradients),
            (vector[parameter] for part in lists for parameter in part.parameters),
        )
        for part in lists:
            torch._foreach_copy_(part.spare, [vector[parameter] for parameter in part.parameters])
            torch._foreach_mul_(part.spare, (self.alpha * torch.sign(cosine)).to(part.spare[0]))
            part.scale_(1 - self.alpha * cosine.abs())
            torch._foreach_add_(part.gradients, part.spare)
        if self.renormalize:
            norm = global_norm(part.gradients for part in lists)
            for part in lists:
                part.scale_(1 / (norm + 1e-12))

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from `state_dict()`, v included."""
        super().load_state_dict(state_dict)
        if self.progress["eigenvector"] is not None:
            parameters = (p for group in self.param_groups for p in group["params"] if p.requires_grad)
            self.progress["eigenvector"] = [
                part.to(parameter) for part, parameter in zip(self.progress["eigenvector"], parameters, strict=True)
            ]


class _WithheldBackward(TorchFunctionMode):
    """Collects the losses on which `backward` is called, and does not run it."""

    def __init__(self) -> None:
        super().__init__()
        self.losses: list[Tensor] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is Tensor.backward:
            self.losses.append(args[0])
            return None
        return func(*args, **(kwargs or {}))


def _uncompiled() -> AbstractContextManager[None]:
    """Run compiled modules as plain Python. If nothing was compiled it does nothing, since it would import dynamo."""
    if "torch._dynamo" not in sys.modules:
        return nullcontext()
    stance: AbstractContextManager[None] = torch.compiler.set_stance("force_eager")
    return stance


def _random_unit_vector(parameters: list[Tensor], seed: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    vector = [torch.randn(p.shape, generator=generator, dtype=torch.float64).to(p) for p in parameters]
    norm = global_norm([vector])
    return [part / norm.to(part) for part in vector]
