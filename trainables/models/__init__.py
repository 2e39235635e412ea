"""Networks by name, or a network of the user's by its dotted path."""

import importlib
from collections.abc import Callable

from torch import nn

from trainables.catalogue import NETWORKS
from trainables.errors import TrainingError


def build_model(name: str, num_classes: int, in_channels: int = 3) -> nn.Module:
    """A network with new initial weights, drawn from torch's global generator.

    Args:
        name: a key of `NETWORKS`, or the dotted path of a callable that takes (num_classes, in_channels).

    Raises:
        TrainingError: there is no such name, the path can not be imported, or the callable returns no module.
    """
    factory = _import(f"{__name__}.{NETWORKS[name].factory}" if name in NETWORKS else name)
    model = factory(num_classes, in_channels)
    if not isinstance(model, nn.Module):
        raise TrainingError(f"model {name!r} must return a torch.nn.Module; it returned {type(model).__name__}")
    return model


def _import(path: str) -> Callable[[int, int], nn.Module]:
    module, _, attribute = path.rpartition(".")
    if not module:
        raise TrainingError(f"model {path!r} is neither one of {', '.join(NETWORKS)} nor a dotted path")
    try:
        factory: Callable[[int, int], nn.Module] = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise TrainingError(f"model {path!r} can't be imported: {error}") from error
    return factory
