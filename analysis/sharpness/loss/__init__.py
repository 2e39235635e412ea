"""The losses: their values and normalization, their curvature in the outputs, and a square root of that curvature."""

from analysis.sharpness.loss.cross_entropy import CrossEntropy
from analysis.sharpness.loss.elementwise import BinaryCrossEntropy, MeanSquaredError
from analysis.sharpness.loss.function import LossFunction
from analysis.sharpness.loss.given import LOSSES, LossLike, loss_in, loss_of
from analysis.sharpness.loss.interface import Loss, Targets

__all__ = [
    "LOSSES",
    "BinaryCrossEntropy",
    "CrossEntropy",
    "Loss",
    "LossFunction",
    "LossLike",
    "MeanSquaredError",
    "Targets",
    "loss_in",
    "loss_of",
]
