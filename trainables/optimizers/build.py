"""From an optimizer's specification to the optimizer."""

from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from analysis.seeding import derive_seed
from trainables.optimizers.asam import ASAM
from trainables.optimizers.eigen_sam import EigenSAM
from trainables.optimizers.friendly_sam import FriendlySAM
from trainables.optimizers.gsam import GSAM
from trainables.optimizers.look_sam import LookSAM
from trainables.optimizers.rsam import RSAM
from trainables.optimizers.sam import SAM
from trainables.optimizers.sharpness_aware import SharpnessAware
from trainables.trial.specs import (
    AdamSpec,
    AdamWSpec,
    ASAMSpec,
    EigenSAMSpec,
    FriendlySAMSpec,
    GSAMSpec,
    LookSAMSpec,
    OptimizerSpec,
    RSAMSpec,
    SAMSpec,
    SGDSpec,
)


def build_optimizer(spec: OptimizerSpec, model: nn.Module, seed: int = 0) -> Optimizer:
    """The optimizer over all trainable parameters, biases and batch-norm included.

    Args:
        spec: the optimizer and its settings.
        model: the network to train.
        seed: the trial's seed, from which Eigen-SAM draws its first vector.
    """
    named = [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]
    if isinstance(spec, AdamSpec):
        return torch.optim.Adam(named, lr=spec.learning_rate, weight_decay=spec.weight_decay)
    if isinstance(spec, AdamWSpec):
        return torch.optim.AdamW(named, lr=spec.learning_rate, weight_decay=spec.weight_decay)
    base: dict[str, Any] = {
        "lr": spec.learning_rate,
        "momentum": spec.momentum,
        "weight_decay": spec.weight_decay,
        "nesterov": spec.nesterov,
    }
    if isinstance(spec, SGDSpec):
        return torch.optim.SGD(named, **base)
    base |= {"rho": spec.rho, "bn_second_pass": spec.bn_second_pass}
    match spec:
        case SAMSpec():
            return SAM(named, **base)
        case ASAMSpec():
            return ASAM(named, eta=spec.eta, **base)
        case EigenSAMSpec():
            return EigenSAM(
                named,
                model=model,
                alpha=spec.alpha,
                period=spec.period,
                iterations=spec.power_iterations,
                renormalize=spec.renormalize,
                seed=derive_seed(seed, "first eigenvector"),
                **base,
            )
        case LookSAMSpec():
            return LookSAM(named, period=spec.period, alpha=spec.alpha, **base)
        case GSAMSpec():
            return GSAM(named, alpha=spec.alpha, rho_min=spec.rho_min, **base)
        case FriendlySAMSpec():
            return FriendlySAM(named, sigma=spec.sigma, mean_decay=spec.mean_decay, **base)
        case RSAMSpec():
            return RSAM(
                named,
                order=spec.order,
                perturbation=spec.perturbation,
                warmup_epochs=spec.plain_epochs if spec.plain_until_accuracy is None else 0,
                warmup_accuracy=spec.plain_until_accuracy,
                max_eps_norm=spec.max_eps_norm,
                **base,
            )


def base_optimizer(optimizer: Optimizer) -> Optimizer:
    """The optimizer that takes the final step: the one given, or the one that it wraps."""
    return optimizer.base_optimizer if isinstance(optimizer, SharpnessAware) else optimizer
