"""Sharpness measures of a network: (model, inputs, targets) in, measurements out. Torch only; no files, no trials."""

from analysis.schema import Measurement
from analysis.sharpness.hessian import block_operator
from analysis.sharpness.layers import weight_layers
from analysis.sharpness.measure import MEASURES, measure
from analysis.sharpness.renyi import layer_spectra

__all__ = ["MEASURES", "Measurement", "block_operator", "layer_spectra", "measure", "weight_layers"]
