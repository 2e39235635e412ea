"""Networks by name, or any network of the user's by its dotted path."""

import importlib
from collections.abc import Callable
from functools import partial

from torch import nn

from trainables.errors import TrainingError
from trainables.models.digits_cnn import DigitsCNN
from trainables.models.resnet import resnet18, resnet18_tiny, resnet20, resnet34, resnet50_tiny, resnet56
from trainables.models.simple_vit import simple_vit
from trainables.models.wide_resnet import wide_resnet28_10

# Each takes (num_classes, in_channels).
MODELS: dict[str, Callable[[int, int], nn.Module]] = {
    "digits_cnn": DigitsCNN,
    "digits_cnn_bn": partial(DigitsCNN, batch_norm=True),
    "resnet18": resnet18,
    "resnet34": resnet34,
    "resnet18_tiny": resnet18_tiny,
    "resnet20": resnet20,
    "resnet56": resnet56,
    "resnet50_tiny": resnet50_tiny,
    "wide_resnet28_10": wide_resnet28_10,
    "simple_vit": simple_vit,
}


def build_model(name: str, num_classes: int, in_channels: int = 3) -> nn.Module:
    """A freshly initialized network, drawn from torch's global generator.

    Args:
        name: a key of `MODELS`, or the dotted path of a callable that takes (num_classes, in_channels).

    Raises:
        TrainingError: no such name; the path does not import; or what it returns is not a module.
    """
    factory = MODELS.get(name) or _import(name)
    model = factory(num_classes, in_channels)
    if not isinstance(model, nn.Module):
        raise TrainingError(f"model {name!r} must return a torch.nn.Module; it returned {type(model).__name__}")
    return model


def _import(path: str) -> Callable[[int, int], nn.Module]:
    module, _, attribute = path.rpartition(".")
    if not module:
        raise TrainingError(f"model {path!r} is neither one of {', '.join(MODELS)} nor a dotted path")
    try:
        factory: Callable[[int, int], nn.Module] = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise TrainingError(f"model {path!r} can't be imported: {error}") from error
    return factory
