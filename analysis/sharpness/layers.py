"""Which parameters of a network count as its layers, and how it is kept in eval mode while it is measured."""

import difflib
from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

from analysis.errors import AnalysisError


def weight_layers(model: nn.Module) -> list[str]:
    """Names of the layers: parameters with at least 2 dimensions and "weight" in their name, in registration order.

    These are all convolutions (1×1 shortcuts included), linear maps and attention projections; biases and
    normalization parameters are not layers (21 for ResNet-18, 26 for SimpleViT).

    >>> import renyi
    >>> renyi.weight_layers(renyi.build_model("digits_cnn", 10, 1))[-1]
    'classifier.weight'
    """
    return [name for name, parameter in model.named_parameters() if parameter.ndim >= 2 and "weight" in name]


def select_parameters(model: nn.Module, layer: str | None) -> dict[str, nn.Parameter]:
    """The parameters of one layer, or with None all trainable ones, by name.

    Raises:
        AnalysisError: the model has no such layer (the nearest names are given), or nothing to train.
    """
    parameters = dict(model.named_parameters())
    if layer is None:
        trainable = {name: parameter for name, parameter in parameters.items() if parameter.requires_grad}
        if not trainable:
            raise AnalysisError("the model has no trainable parameter")
        return trainable
    if layer not in parameters:
        near = difflib.get_close_matches(layer, parameters, n=3) or list(parameters)[:3]
        raise AnalysisError(f"the model has no layer {layer!r}; nearest names: {', '.join(near)}")
    return {layer: parameters[layer]}


@contextmanager
def evaluation_mode(model: nn.Module) -> Iterator[None]:
    """Hold every module in eval mode, and put each one's own flag back afterwards."""
    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True
