"""The weights as a network applies them: with each batch-norm folded into the layer before it."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from analysis.errors import UndefinedMeasureError
from analysis.schema import ALL_LAYERS
from analysis.sharpness.batch_norm import Pair, fold_batch_norm, normalized_pairs
from analysis.sharpness.layers import weight_layers
from analysis.sharpness.problem import BATCH_NORMS
from analysis.sharpness.subject import Subject

COMPUTED = ("weight_g", "weight_v", "weight_orig")  # parameters of torch's older weight norm, spectral norm and pruning


def folded_network(subject: Subject) -> nn.Module:
    """A copy in which each batch-norm that takes the output of one layer is part of that layer.

    Without folding, a norm of weights would change with a rescaling that batch-norm undoes, which is no property of
    what the network computes. Batch-norms that can't be folded stay. Cost: a forward pass of a few samples.

    Raises:
        UndefinedMeasureError: a module computes its weights from other parameters, so they are not the parameters.
    """
    for name, module in subject.model.named_modules():
        own = {own_name for own_name, _ in module.named_parameters(recurse=False)}
        if hasattr(module, "parametrizations") or own & {*COMPUTED}:
            raise UndefinedMeasureError(
                f"{name!r} computes its weights from other parameters (weight norm, spectral norm, pruning); "
                "remove that parametrization first"
            )
    return fold_batch_norm(subject.model, subject.shared(_pairs))


def effective_weights(subject: Subject) -> dict[str, Tensor]:
    """The weight tensor of each layer, with batch-norms folded in.

    Raises:
        UndefinedMeasureError: a batch-norm takes something else than one layer's output (as in a network with
            pre-activation), so that its scale belongs to no layer's weights.
    """
    folded = subject.shared(folded_network)
    loose = [name for name, module in folded.named_modules() if isinstance(module, BATCH_NORMS)]
    if loose:
        raise UndefinedMeasureError(
            f"batch-norm {loose[0]!r} does not take the output of a single layer, so it can't be folded into weights"
        )
    return {name: folded.get_parameter(name).detach() for name in weight_layers(folded)}


def spectral_norm(weight: Tensor, groups: int = 1) -> float:
    """The largest singular value of a layer's weights (c, …) as a matrix of c rows, one an output feature or filter.

    For a linear map it is the operator's norm. For a convolution it is the norm of the reshaped kernel, (out, in·k·k):
    the map from one patch to one output. It is exact, the same for every image size, stride and padding, and what the
    published code of Dziugaite et al. 2020 takes first. The norm of the whole operator is at most k times as large for
    k×k kernels; Sedghi et al. 2019 give it for stride 1 and circular padding, which these networks do not have. With
    groups it is the largest of the groups' norms, since the matrix is block-diagonal. Cost: no pass; an eigenproblem of
    the smaller side.

    Raises:
        UndefinedMeasureError: the weights are not finite.

    Source: Yoshida and Miyato 2017, §3.2.
    """
    if not torch.isfinite(weight).all():
        raise UndefinedMeasureError("the weights have NaN or infinite entries")
    blocks = weight.detach().double().reshape(groups, weight.shape[0] // groups, -1)
    smaller = blocks if blocks.shape[1] <= blocks.shape[2] else blocks.mT
    return math.sqrt(max(torch.linalg.eigvalsh(smaller @ smaller.mT).max().item(), 0.0))


def groups_of(model: nn.Module, layer: str) -> int:
    """The groups of a convolution's channels; 1 for every other layer."""
    return int(getattr(model.get_submodule(layer.rpartition(".")[0]), "groups", 1))


def spectral_norms(subject: Subject) -> dict[str, float]:
    """‖W_l‖₂ of each layer, with batch-norms folded in."""
    weights = subject.shared(effective_weights)
    return {name: spectral_norm(weight, groups_of(subject.model, name)) for name, weight in weights.items()}


def frobenius_norms(subject: Subject) -> dict[str, float]:
    """‖W_l‖_F of each layer, with batch-norms folded in."""
    weights = subject.shared(effective_weights)
    return {name: torch.linalg.vector_norm(weight, dtype=torch.float64).item() for name, weight in weights.items()}


def log_product(norms: Mapping[str, float]) -> float:
    """Σ_l log ‖W_l‖².

    Raises:
        UndefinedMeasureError: a norm is 0.
    """
    for layer, norm in norms.items():
        if norm == 0:
            raise UndefinedMeasureError(f"the weights of {layer} are zero, so their norm has no logarithm")
    return 2 * sum(math.log(norm) for norm in norms.values())


def _pairs(subject: Subject) -> list[Pair]:
    return normalized_pairs(subject.landscape(ALL_LAYERS).problem)
