"""The one thing every estimator needs of a Hessian block, and the choice of the engine that provides it."""

from typing import Literal, Protocol

import torch
from torch import Tensor, nn

from analysis.errors import AnalysisError
from analysis.sharpness.hessian.double_backward import DoubleBackward
from analysis.sharpness.layers import select_parameters

Engine = Literal["auto", "double_backward"]


class BlockOperator(Protocol):
    """A symmetric matrix known through its products."""

    @property
    def dim(self) -> int:
        """Number of rows, n."""

    @property
    def engine(self) -> str:
        """The way the products are computed."""

    @property
    def device(self) -> torch.device:
        """Where vectors must live."""

    @property
    def dtype(self) -> torch.dtype:
        """Type of the vectors."""

    def matmat(self, V: Tensor) -> Tensor:
        """(p, n) vectors, one a row, to their (p, n) products."""


def block_operator(
    model: nn.Module, inputs: Tensor, targets: Tensor, layer: str | None, engine: Engine = "auto"
) -> BlockOperator:
    """The block of the loss Hessian that belongs to one layer, as an operator.

    H_ll = ∂²L/∂w_l∂w_l, L the mean cross-entropy over the samples, the model in eval mode; it is left as it was found.

    Args:
        model: any differentiable classifier.
        inputs: (N, …) float tensor.
        targets: (N,) int64 classes.
        layer: a name from `weight_layers`, any other parameter's name, or None for all trainable parameters.
        engine: `double_backward`, exact for anything differentiable; `auto` chooses it.

    Raises:
        AnalysisError: unknown layer, inputs that do not fit the targets, or a loss that is not finite.
    """
    if engine not in ("auto", "double_backward"):
        raise AnalysisError(f"engine must be 'auto' or 'double_backward'; got {engine!r}")
    if len(inputs) != len(targets) or len(inputs) == 0:
        raise AnalysisError(f"inputs and targets must hold the same samples; got {len(inputs)} and {len(targets)}")
    return DoubleBackward(model, inputs, targets, list(select_parameters(model, layer)))
