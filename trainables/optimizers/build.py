"""From an optimizer's specification to the optimizer."""

import torch
from torch import nn
from torch.optim import Optimizer

from trainables.specs import AdamSpec, OptimizerSpec, SGDSpec


def build_optimizer(spec: OptimizerSpec, model: nn.Module) -> Optimizer:
    """The optimizer over all trainable parameters, biases and batch-norm included (SPEC §4.1)."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    match spec:
        case SGDSpec():
            return torch.optim.SGD(
                parameters, lr=spec.learning_rate, momentum=spec.momentum, weight_decay=spec.weight_decay
            )
        case AdamSpec():
            return torch.optim.Adam(parameters, lr=spec.learning_rate, weight_decay=spec.weight_decay)
