"""Eigen-SAM: SAM turned toward the Hessian's leading eigenvector (Luo et al. 2024, arXiv 2412.21018)."""

from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.amp.grad_scaler import GradScaler
from torch.optim import Optimizer
from torch.optim.optimizer import ParamsT

from trainables.optimizers.hessian_products import Product, Vector, hessian_products
from trainables.optimizers.sharpness_aware import Closure, SharpnessAware
from trainables.optimizers.step.shards import is_sharded, local, shard_of, sharded_like
from trainables.optimizers.step.tensor_lists import TensorList, gather, global_norm, inner_product, working_type


class EigenSAM(SharpnessAware):
    """ε = ρ(ĝ + α sign(ĝ·v) v⊥), with ĝ = g/‖g‖, v⊥ = v − (ĝ·v)ĝ and v the eigenvector of the largest |λ|.

    v comes from a few power iterations on the Hessian of the batch's loss in eval mode, every `period` steps, started
    from the previous v. Before the first update of v, steps are those of SAM. The sum is not renormalized by default:
    ‖ε‖ = ρ√(1 + α²‖v⊥‖²). An update of v costs a forward and a backward pass, and two backward passes an iteration.

    `step(closure)` computes v from the closure's own loss: the closure's calls of `backward` do nothing then, and their
    losses are differentiated twice instead. Where a closure makes gradients in another way, and where parameters are
    sharded (FSDP2), v comes from central differences of the closure's gradients: four passes an iteration. The closure
    must not change the model's mode. With `first_step` and `second_step`, call `update_eigenvector(closure)` when it is
    due.

    v belongs to parameters, not to positions: one that was frozen at the last update has no part of it.

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

    _kept = ("eigenvector", "eigenvector_updates")

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
        super().__init__(params, base_optimizer, rho, bn_second_pass, base_kwargs, {"steps_of_epoch": 0})
        self.model = model
        self.alpha = alpha
        self.period = period
        self.iterations = iterations
        self.renormalize = renormalize
        self.synchronize = synchronize
        self.seed = seed
        self.eigenvalue = torch.zeros(())

    def _fresh(self, name: str, parameter: Tensor) -> Any:
        if name == "eigenvector_updates":  # 0: its part of v is not known
            return 0
        return super()._fresh(name, parameter)

    def step(self, closure: Closure | None = None, scaler: GradScaler | None = None) -> Any:
        """Take the step of every method, after an update of v if one is due."""
        count = self.progress("steps_of_epoch")
        if closure is not None and count > 0 and count % self.period == 0:
            self.update_eigenvector(closure, scaler)
        return super().step(closure, scaler)

    def second_step(self) -> None:
        """Take the second step of every method, and count it."""
        super().second_step()
        self._note(steps_of_epoch=self.progress("steps_of_epoch") + 1)

    def end_epoch(self, validation_accuracy: float | None = None) -> None:
        """Start the count of steps to the next update of v again, as the authors' code does."""
        self._note(steps_of_epoch=0)

    def log_values(self) -> dict[str, Tensor]:
        """‖ε‖ of the last step and the leading eigenvalue of the last update, as 0-dimensional tensors."""
        return {"epsilon_norm": self.epsilon_norm, "eigenvalue": self.eigenvalue}

    @torch.no_grad()
    def update_eigenvector(self, closure: Closure, scaler: GradScaler | None = None) -> None:
        """Update v by power iterations on the Hessian of the closure's loss, divided by the scale of `scaler`.

        Raises:
            TrainingError: the closure does not call `backward`.
        """
        parameters = [p for group in self.param_groups for p in group["params"] if p.requires_grad]
        vector = self._start(parameters)
        scale = 1.0 if scaler is None else scaler.get_scale()
        with hessian_products(self.model, closure, parameters, scale) as product:
            for _ in range(self.iterations):
                vector = self._iteration(product, parameters, vector)
        for parameter in (p for group in self.param_groups for p in group["params"] if p in self.state):
            self.state[parameter]["eigenvector_updates"] = 0
        for parameter, part in zip(parameters, vector, strict=True):
            of = self.state[parameter]
            of["eigenvector"], of["eigenvector_updates"] = sharded_like(part, parameter), 1

    def _start(self, parameters: list[Tensor]) -> Vector:
        """The last v; of parameters that had no part in it, that of a random unit vector."""
        known = [self.state[p]["eigenvector"] if self._leans(p) else None for p in parameters]
        if all(part is not None for part in known):
            return [local(part) for part in known]
        fresh = _random_unit_vector(parameters, self.seed, self.param_groups)
        return [new if old is None else local(old) for new, old in zip(fresh, known, strict=True)]

    def _leans(self, parameter: Tensor) -> bool:
        return parameter in self.state and self.state[parameter].get("eigenvector_updates", 0) > 0

    def _iteration(self, product: Product, parameters: list[Tensor], vector: Vector) -> Vector:
        """v to H v/‖H v‖, and to itself where H v is 0 or not finite; v·H v becomes `eigenvalue`."""
        image = self._averaged(product(vector), parameters)
        lists = gather(self.param_groups, dict(zip(parameters, vector, strict=True)))
        images = dict(zip(parameters, image, strict=True))
        for part in lists:
            part.spare = [images[parameter].to(working_type(parameter.dtype)) for parameter in part.owners]
        self.eigenvalue = inner_product(lists)
        norm = global_norm(lists, "spare")
        inverse = torch.where(torch.isfinite(norm) & (norm > 0), 1 / norm, 0)
        return [
            torch.where(inverse.to(old) > 0, new.to(old) * inverse.to(old), old)
            for new, old in zip(image, vector, strict=True)
        ]

    def _averaged(self, image: Vector, parameters: list[Tensor]) -> Vector:
        """The mean over the workers; products of sharded parameters are means already."""
        if self.synchronize and torch.distributed.is_available() and torch.distributed.is_initialized():
            for part, parameter in zip(image, parameters, strict=True):
                if not is_sharded(parameter):
                    torch.distributed.all_reduce(part)
                    part /= torch.distributed.get_world_size()
        return image

    def _perturb(self, lists: list[TensorList]) -> Tensor:
        norm = global_norm(lists)
        for part in lists:
            part.scale_(1 / (norm + 1e-12))
        if any(self._leans(parameter) for part in lists for parameter in part.owners):
            self._lean(lists)
        for part in lists:
            part.scale_(part.group["rho"])
        return global_norm(lists)

    def _lean(self, lists: list[TensorList]) -> None:
        """ĝ to ĝ + α sign(c) v⊥ = (1 − α|c|) ĝ + α sign(c) v, c = ĝ·v, at length 1 if renormalized."""
        for part in lists:
            torch._foreach_zero_(part.spare)
            known = [number for number, parameter in enumerate(part.owners) if self._leans(parameter)]
            vector = [local(self.state[part.owners[number]]["eigenvector"]) for number in known]
            torch._foreach_copy_([part.spare[number] for number in known], vector)
        cosine = inner_product(lists)
        for part in lists:
            torch._foreach_mul_(part.spare, (self.alpha * torch.sign(cosine)).to(part.spare[0]))
            part.scale_(1 - self.alpha * cosine.abs())
            torch._foreach_add_(part.gradients, part.spare)
        if self.renormalize:
            norm = global_norm(lists)
            for part in lists:
                part.scale_(1 / (norm + 1e-12))

    def _load_earlier(self, progress: dict[str, Any]) -> None:
        if not progress:
            return
        self._note(steps_of_epoch=progress["step"])
        parameters = [p for group in self.param_groups for p in group["params"] if p.requires_grad]
        for parameter, part in zip(parameters, progress["eigenvector"] or [], strict=False):
            self.state[parameter].update(eigenvector=part.to(parameter), eigenvector_updates=1)


def _random_unit_vector(parameters: list[Tensor], seed: int, groups: list[dict[str, Any]]) -> Vector:
    """The same in every process, each of which takes its shards."""
    generator = torch.Generator().manual_seed(seed)
    vector = [
        shard_of(torch.randn(p.shape, generator=generator, dtype=torch.float64), p).to(p.device, working_type(p.dtype))
        for p in parameters
    ]
    norm = global_norm(gather(groups, dict(zip(parameters, vector, strict=True))))
    return [part / norm.to(part) for part in vector]
