"""Relative flatness: the curvature that each pair of a layer's neurons shares, times the product of their weights."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from analysis.errors import UndefinedMeasureError
from analysis.measures import FLATNESS_PROBES
from analysis.schema import ALL_LAYERS, Measurement
from analysis.seeding import derive_seed
from analysis.sharpness.hessian import layer_operators
from analysis.sharpness.linalg import BlockOperator
from analysis.sharpness.means import mean_and_stderr
from analysis.sharpness.measures.effective_weights import groups_of
from analysis.sharpness.subject import Subject, Values, tabulate

BATCH_BYTES = 2**28  # of the vectors that are multiplied at once

Flatness = dict[str, tuple[float, float] | UndefinedMeasureError]  # by layer: value and standard error, or the reason


def relative_flatness(
    operator: BlockOperator, weight: Tensor, num_probes: int = FLATNESS_PROBES, seed: int = 0
) -> tuple[float, float]:
    """κ = Σ_{s,s'} ⟨w_s, w_s'⟩ Tr H_{s,s'}, with its standard error over the probes.

    w_s is the weight vector of neuron s, a row of the weights as a (d, m) matrix W, and H_{s,s'} the m×m block of the
    layer's Hessian that belongs to two neurons. So κ = Tr[H (W Wᵀ ⊗ I_m)], the mean of vᵀHv over v = R Z with
    R Rᵀ = W Wᵀ and Z of random signs. A filter of a convolution is a neuron. In a ReLU network κ does not change if
    layers are rescaled against each other, nor if a neuron of the layer is rescaled against the weights above it, nor
    with a scale that batch-norm undoes.

    Args:
        operator: the Hessian of the layer.
        weight: (d, …) its weights.
        num_probes: products; if they are as many as the pairs of a column of R with an entry of w_s, the value is exact
            and its standard error 0.
        seed: of the signs, the same for every network.

    Cost: `num_probes` products.

    Source: Petzka et al. 2021, definition 3.
    """
    values = [
        (vectors.double() * operator.matmat(vectors).double()).sum(dim=1)
        for vectors in _directions(operator, weight, num_probes, seed)
    ]
    products = torch.cat(values).cpu()
    if _is_exact(weight, num_probes):
        return products.sum().item(), 0.0
    return mean_and_stderr(products)


def _is_exact(weight: Tensor, num_probes: int) -> bool:
    neurons, width = len(weight), weight[0].numel()
    return min(neurons, width) * width <= num_probes


def _directions(operator: BlockOperator, weight: Tensor, num_probes: int, seed: int) -> Iterator[Tensor]:
    """(p, d·m) vectors in batches: the columns of R ⊗ I_m where they are few, else random sums of them."""
    matrix = weight.detach().flatten(1)
    root = _root(matrix)
    width = matrix.shape[1]
    columns = root.shape[1] * width
    exact = _is_exact(weight, num_probes)
    rows = max(BATCH_BYTES // (operator.dim * operator.dtype.itemsize), 1)
    for batch in torch.arange(columns if exact else num_probes).split(rows):
        if exact:
            signs = torch.nn.functional.one_hot(batch, columns)
        else:
            signs = torch.stack([_signs(columns, derive_seed(seed, "relative flatness", int(k))) for k in batch])
        Z = signs.to(device=operator.device, dtype=operator.dtype).view(len(batch), root.shape[1], width)
        yield (root.to(operator.dtype) @ Z).flatten(1)


def _root(matrix: Tensor) -> Tensor:
    """R with R Rᵀ = W Wᵀ: W itself, or for a wide W the symmetric root, which has fewer columns."""
    if matrix.shape[1] < matrix.shape[0]:
        return matrix
    wide = matrix.double()
    eigenvalues, vectors = torch.linalg.eigh(wide @ wide.T)
    root: Tensor = (vectors * eigenvalues.clamp(min=0).sqrt()) @ vectors.T
    return root


def _signs(count: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    signs: Tensor = 2 * torch.randint(0, 2, (count,), generator=generator, dtype=torch.int8) - 1
    return signs


def rows(subject: Subject, measure: str) -> list[Measurement]:
    """The rows of `relative_flatness`: of each layer, and for all layers the sum over those that are measured."""

    def values(block: str) -> Values:
        found = subject.shared(_by_layer)
        total, variance = 0.0, 0.0
        for layer in subject.layers if block == ALL_LAYERS else [block]:
            one = found[layer]
            if isinstance(one, UndefinedMeasureError):
                raise one
            total, variance = total + one[0], variance + one[1] ** 2
        return {None: (total, math.sqrt(variance))}

    return tabulate(measure, subject.blocks(measure), [None], values)


def _by_layer(subject: Subject) -> Flatness:
    found: Flatness = {}
    for block in layer_operators(
        subject.model,
        subject.inputs,
        subject.targets,
        subject.layers,
        loss=subject.measured_loss,
        memory_budget=subject.memory_budget,
        num_products=FLATNESS_PROBES,
    ):
        layer = block.layer or ""
        groups = groups_of(subject.model, layer)
        if groups > 1:
            found[layer] = UndefinedMeasureError(
                f"{layer} is a convolution of {groups} groups, whose filters see different channels: they have no "
                "common weights to multiply"
            )
            continue
        weight = subject.model.get_parameter(layer)
        value, stderr = relative_flatness(block, weight, seed=derive_seed(subject.settings.seed, layer))
        found[layer] = (value, stderr)
    return found
