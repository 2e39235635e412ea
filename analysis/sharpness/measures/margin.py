"""The margin by which a network classifies its samples."""

import torch
from torch import Tensor

from analysis.errors import UndefinedMeasureError
from analysis.schema import ALL_LAYERS, Measurement
from analysis.sharpness.landscape import Landscape
from analysis.sharpness.loss import CrossEntropy
from analysis.sharpness.subject import Subject, Values, tabulate

MARGIN = "_margin"  # how the keys of measures over the squared margin end
PERCENTILE = 0.1  # of the margins, as in Jiang et al. 2019: the least one depends on a single sample


def margins(landscape: Landscape) -> Tensor:
    """(N,) f_y − max_{j≠y} f_j of each sample's outputs f: negative where it is classified wrongly. Cost: a pass.

    Samples whose target does not count (`ignore_index`) are left out.

    Raises:
        UndefinedMeasureError: the targets are no classes, or there is a prediction for each of many positions.
    """
    return torch.cat([_margins(chunk) for chunk in landscape.chunks()])


def _margins(chunk: Landscape) -> Tensor:
    problem = chunk.problem
    loss, targets = problem.loss, problem.targets
    if not isinstance(loss, CrossEntropy) or len(problem.shape) != 1 or targets.is_floating_point():
        raise UndefinedMeasureError(
            f"a margin needs one class a sample; the loss is {loss.name}, with outputs of shape {problem.shape}"
        )
    kept = targets != loss.ignore_index
    outputs, classes = chunk.outputs().double()[kept], targets[kept].long()[:, None]
    right = outputs.gather(1, classes)[:, 0]
    return right - outputs.scatter(1, classes, -torch.inf).max(dim=1).values


def output_margin(landscape: Landscape) -> float:
    """γ, the 10th percentile of the margins: the ⌊N/10⌋-th smallest of N (the smallest of fewer than ten).

    Raises:
        UndefinedMeasureError: it is not positive, since a tenth of the samples or more are classified wrongly.

    Source: Jiang et al. 2019, appendix C.2; Dziugaite et al. 2020, who take its absolute value instead.
    """
    found = margins(landscape)
    gamma = found.kthvalue(max(int(PERCENTILE * len(found)), 1)).values.item()
    if not gamma > 0:
        wrong = (found <= 0).double().mean().item()
        raise UndefinedMeasureError(
            f"the 10th percentile of the margins is {gamma:.3g}, not positive: {wrong:.0%} of the samples are not "
            "classified rightly"
        )
    return gamma


def margin_of(subject: Subject) -> float:
    """The output margin γ of a subject; to be shared by the measures that divide by it."""
    return output_margin(subject.landscape(ALL_LAYERS))


def inverse_margin(subject: Subject, measure: str) -> list[Measurement]:
    """The row of `inverse_margin`: 1/γ²."""

    def values(_: str) -> Values:
        return {None: (subject.shared(margin_of) ** -2, 0.0)}

    return tabulate(measure, [ALL_LAYERS], [None], values)
