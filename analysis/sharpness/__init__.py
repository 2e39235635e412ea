"""Sharpness measures of a network: (model, inputs, targets) in, measurements out. Torch only; no files, no trials."""

from analysis.schema import Measurement
from analysis.sharpness.estimators.spectra import layer_spectra
from analysis.sharpness.hessian import block_operator
from analysis.sharpness.invariance import check_invariance
from analysis.sharpness.landscape import loss_landscape
from analysis.sharpness.layers import weight_layers
from analysis.sharpness.loss import BinaryCrossEntropy, CrossEntropy, MeanSquaredError
from analysis.sharpness.measure import measure

__all__ = [
    "BinaryCrossEntropy",
    "CrossEntropy",
    "MeanSquaredError",
    "Measurement",
    "block_operator",
    "check_invariance",
    "layer_spectra",
    "loss_landscape",
    "measure",
    "weight_layers",
]
