"""What a network of the zoo is: where it comes from, how it is built, and samples for it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

Inputs = Tensor | Mapping[str, Tensor]
NUM_CLASSES, NUM_SAMPLES = 5, 6


@dataclass(frozen=True)
class Case:
    """A network with random weights and samples, in float32."""

    model: nn.Module
    inputs: Inputs
    targets: Tensor

    def outputs(self, model: nn.Module, inputs: Inputs) -> Tensor:
        """(N, C), (N, C, …) or (N, …, C) logits of a network like this one."""
        result = model(**inputs) if isinstance(inputs, Mapping) else model(inputs)
        if isinstance(result, Tensor):
            return result
        logits: Tensor = result["out"] if "out" in result else result["logits"]
        return logits

    def loss(self, outputs: Tensor) -> Tensor:
        """The mean cross-entropy; positions with the target −100 do not count."""
        return cross_entropy(self.classes_second(outputs), self.targets)

    def classes_second(self, outputs: Tensor) -> Tensor:
        """(N, C, …) logits, whatever their order in the network."""
        dense_tokens = outputs.ndim > 2 and outputs.shape[:-1] == self.targets.shape
        return outputs.movedim(-1, 1) if dense_tokens else outputs


@dataclass(frozen=True)
class Entry:
    """One network of the zoo."""

    name: str
    source: str  # the package that defines it
    build: Callable[[], Case]


def images(model: nn.Module, size: int = 32, num_samples: int = NUM_SAMPLES, dense: bool = False) -> Case:
    """Random images and classes, of each image or of each pixel."""
    inputs = torch.randn(num_samples, 3, size, size)
    targets = torch.randint(0, NUM_CLASSES, (num_samples, size, size) if dense else (num_samples,))
    return Case(with_statistics(model).eval(), inputs, targets)


def with_statistics(model: nn.Module) -> nn.Module:
    """The network, its batch-norms with random statistics, γ and β."""
    for norm in model.modules():
        if isinstance(norm, nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d):
            for tensor in (norm.weight, norm.running_var):
                nn.init.uniform_(tensor, 0.7, 1.3)  # type: ignore[arg-type]
            for tensor in (norm.bias, norm.running_mean):
                nn.init.uniform_(tensor, -0.2, 0.2)  # type: ignore[arg-type]
    return model
