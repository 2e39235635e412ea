"""Which parameters of a network count as its layers, and how it is kept in eval mode while it is measured."""

import copy
import difflib
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import nn
from torch.nn.utils.parametrize import ParametrizationList

from analysis.errors import AnalysisError

PARALLEL = (nn.DataParallel, nn.parallel.DistributedDataParallel)
NARROW = (torch.bfloat16, torch.float16)  # types of weights that are measured in float32


def unwrapped(model: nn.Module, say: bool = False) -> nn.Module:
    """The network inside `DataParallel`, `DistributedDataParallel` and `torch.compile`; parameters have its names.

    With `say`, a warning tells that it is measured without them, eagerly.
    """
    inner, wrappers = model, []
    while isinstance(inner, PARALLEL) or isinstance(getattr(inner, "_orig_mod", None), nn.Module):
        wrappers.append(type(inner).__name__)
        inner = inner.module if isinstance(inner, PARALLEL) else inner._orig_mod  # type: ignore[assignment]
    if say and wrappers:
        text = f"the model is measured without {', '.join(wrappers)}: eagerly, on one device; layers have its own names"
        warnings.warn(text, RuntimeWarning, stacklevel=3)
    return inner


def widened_copy(model: nn.Module) -> nn.Module:
    """A copy in the precision in which the network is measured: float32 where a weight is of a narrower type."""
    copied = copy.deepcopy(model)
    return copied.float() if any(parameter.dtype in NARROW for parameter in copied.parameters()) else copied


def weight_layers(model: nn.Module, frozen: bool = False) -> list[str]:
    """Names of the layers: parameters with at least 2 dimensions and "weight" in their name, in registration order.

    These are all convolutions (1×1 shortcuts included), linear maps and attention projections; biases and
    normalization parameters are not layers (21 for ResNet-18, 26 for SimpleViT). A parametrized weight is a layer by
    the tensor that has its shape: of a weight-normalized one the direction, not the magnitudes.

    Args:
        model: any network.
        frozen: whether layers that are not trained (`requires_grad` is False) count too.

    >>> import renyi
    >>> renyi.weight_layers(renyi.build_model("digits_cnn", 10, 1))[-1]
    'classifier.weight'
    """
    model = unwrapped(model)
    magnitudes = _magnitudes(model)
    return [
        name
        for name, parameter in model.named_parameters()
        if parameter.ndim >= 2 and "weight" in name and name not in magnitudes and (frozen or parameter.requires_grad)
    ]


def default_layers(model: nn.Module) -> list[str]:
    """The layers that are measured if none are named; a warning lists what else a user may take for a layer.

    These are trained matrices, such as stacked experts or positional embeddings, without "weight" in their name.
    """
    model = unwrapped(model)
    layers, magnitudes = weight_layers(model), _magnitudes(model)
    left_out = [
        name
        for name, parameter in model.named_parameters()
        if parameter.ndim >= 2 and parameter.requires_grad and not any(part in name for part in ("weight", "bias"))
    ]
    left_out = [name for name in left_out if name not in magnitudes]
    if left_out:
        more = f", … ({len(left_out)} in all)" if len(left_out) > 3 else ""
        text = f"not measured layer by layer, since 'weight' is not in their names: {', '.join(left_out[:3])}{more}"
        warnings.warn(f"{text}; name them in `layers` to measure them", RuntimeWarning, stacklevel=3)
    return layers


def _magnitudes(model: nn.Module) -> set[str]:
    """Of weights that are made of several tensors, those with fewer entries than the largest."""
    found: set[str] = set()
    for path, module in model.named_modules():
        own = {name: parameter.numel() for name, parameter in module.named_parameters(recurse=False)}
        prefix = f"{path}." if path else ""
        if isinstance(module, ParametrizationList):
            found.update(prefix + name for name, size in own.items() if size < max(own.values()))
        # The older weight norm keeps weight_g beside weight_v.
        found.update(prefix + name for name in own if name.endswith("_g") and f"{name[:-2]}_v" in own)
    return found


def select_parameters(model: nn.Module, layer: str | None) -> dict[str, nn.Parameter]:
    """The parameters of one layer, or with None all trainable ones, by name.

    A module's name stands for its only weight, and a warning says so.

    Raises:
        AnalysisError: the model has no such layer (the nearest names are given), or nothing to train.
    """
    model = unwrapped(model)
    parameters = dict(model.named_parameters())
    if layer is None:
        trainable = {name: parameter for name, parameter in parameters.items() if parameter.requires_grad}
        if not trainable:
            raise AnalysisError("the model has no trainable parameter: all are frozen; requires_grad_() frees them")
        return trainable
    if layer in parameters:
        return {layer: parameters[layer]}
    inside = [name for name in weight_layers(model, frozen=True) if name.startswith(f"{layer}.")]
    if len(inside) == 1:
        warnings.warn(f"layer {layer!r} is read as {inside[0]!r}", UserWarning, stacklevel=2)
        return {inside[0]: parameters[inside[0]]}
    if inside:
        raise AnalysisError(f"the model has no layer {layer!r}; inside that module: {', '.join(inside)}")
    near = _nearest(layer, parameters)
    raise AnalysisError(f"the model has no layer {layer!r}; nearest names: {', '.join(near)}")


def _nearest(layer: str, names: Iterable[str]) -> list[str]:
    """Up to three names: those that share parts of their path first, then those that are spelled alike."""
    parts = set(layer.split("."))
    known = list(names)
    shared = {name: len(parts.intersection(name.split(".")) - {"weight", "bias"}) for name in known}
    by_path = sorted((name for name in known if shared[name]), key=lambda name: -shared[name])
    return list(dict.fromkeys([*by_path, *difflib.get_close_matches(layer, known, n=3), *known]))[:3]


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
