"""Networks by name, or a network of the user's by its dotted path."""

from collections.abc import Callable

from torch import nn

from analysis.dotted import import_dotted
from trainables.catalogue import NETWORKS
from trainables.errors import TrainingError


def build_model(name: str, num_classes: int, in_channels: int = 3) -> nn.Module:
    """A network with new initial weights, drawn from torch's global generator.

    Args:
        name: a key of `NETWORKS`, or the dotted path of a callable that takes (num_classes, in_channels).

    Raises:
        TrainingError: there is no such name, the path can not be imported, or the callable returns no module.
    """
    model = model_factory(name)(num_classes, in_channels)
    if not isinstance(model, nn.Module):
        raise TrainingError(f"model {name!r} must return a torch.nn.Module; it returned {type(model).__name__}")
    return model


def model_factory(name: str) -> Callable[[int, int], nn.Module]:
    """What makes a network, called with (num_classes, in_channels).

    Raises:
        TrainingError: there is no such name, or its path can't be imported or called.
    """
    if name not in NETWORKS and "." not in name:
        raise TrainingError(f"model {name!r} is neither one of {', '.join(NETWORKS)} nor a dotted path")
    try:
        factory: Callable[[int, int], nn.Module] = import_dotted(
            f"{__name__}.{NETWORKS[name].factory}" if name in NETWORKS else name
        )
    except ImportError as error:
        raise TrainingError(f"model {name!r} can't be imported: {error}") from error
    if not callable(factory):
        raise TrainingError(f"model {name!r} must be callable with (num_classes, in_channels); it is {factory!r}")
    return factory
