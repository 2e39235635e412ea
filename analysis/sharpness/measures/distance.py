"""How far training moved the weights."""

from collections.abc import Callable

import torch
from torch import Tensor

from analysis.errors import AnalysisError, UndefinedMeasureError
from analysis.schema import ALL_LAYERS, Measurement
from analysis.sharpness.layers import weight_layers
from analysis.sharpness.measures.effective_weights import groups_of, spectral_norm
from analysis.sharpness.subject import Subject, Values, tabulate


def moved(subject: Subject, layer: str) -> Tensor:
    """W_l − W_l⁰ of a layer, in float64.

    The weights are those that the optimizer moved: batch-norms are not folded in, since before training their
    statistics are those of no data.

    Raises:
        UndefinedMeasureError: the initial weights are not known.
        AnalysisError: they are those of another network.
    """
    if subject.initial is None:
        raise UndefinedMeasureError("the initial weights are not known; pass their state dict as `initial`")
    weight, start = subject.model.get_parameter(layer).detach(), subject.initial.get(layer)
    if start is None or start.shape != weight.shape:
        found = "missing" if start is None else f"of shape {tuple(start.shape)}"
        raise AnalysisError(
            f"the initial weights do not fit the network: {layer} is {found}, not {tuple(weight.shape)}"
        )
    return weight.double() - start.to(weight.device).double()


def dist_l2(subject: Subject, measure: str) -> list[Measurement]:
    """The rows of `dist_l2`: ‖W_l − W_l⁰‖_F, and for all layers sqrt(Σ_l ‖W_l − W_l⁰‖_F²). Cost: no pass.

    Source: Nagarajan and Kolter 2019; Jiang et al. 2019, appendix C.4.
    """
    return _rows(subject, measure, lambda layer, weight: torch.linalg.vector_norm(weight).item())


def dist_spec(subject: Subject, measure: str) -> list[Measurement]:
    """The rows of `dist_spec`: ‖W_l − W_l⁰‖₂, and for all layers sqrt(Σ_l ‖W_l − W_l⁰‖₂²). Cost: no pass.

    The norm is `spectral_norm`. Source: Jiang et al. 2019, appendix C.4, without the root.
    """
    return _rows(subject, measure, lambda layer, weight: spectral_norm(weight, groups_of(subject.model, layer)))


def _rows(subject: Subject, measure: str, norm: Callable[[str, Tensor], float]) -> list[Measurement]:
    def values(block: str) -> Values:
        layers = weight_layers(subject.model) if block == ALL_LAYERS else [block]
        return {None: (sum(norm(layer, moved(subject, layer)) ** 2 for layer in layers) ** 0.5, 0.0)}

    return tabulate(measure, subject.blocks(measure), [None], values)
