"""What the argument `loss` takes, and the loss that it means."""

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn
from torch.nn import functional

from analysis.dotted import import_dotted
from analysis.errors import AnalysisError, closest
from analysis.settings import LossSettings
from analysis.sharpness.loss.cross_entropy import CrossEntropy
from analysis.sharpness.loss.elementwise import BinaryCrossEntropy, MeanSquaredError
from analysis.sharpness.loss.function import LossFunction
from analysis.sharpness.loss.interface import Loss

LossLike = str | Loss | nn.Module | Callable[..., Any]
LOSSES: dict[str, Loss] = {loss.name: loss for loss in (CrossEntropy(), MeanSquaredError(), BinaryCrossEntropy())}
FUNCTIONS: dict[Callable[..., Any], Loss] = {
    functional.cross_entropy: LOSSES["cross_entropy"],
    functional.mse_loss: LOSSES["mse"],
    functional.binary_cross_entropy_with_logits: LOSSES["bce"],
}
KNOWN = (nn.CrossEntropyLoss, nn.MSELoss, nn.BCEWithLogitsLoss)


def loss_of(given: LossLike) -> Loss:
    """The loss that an argument means.

    Args:
        given: a name (`cross_entropy`, `mse`, `bce`), a `Loss`, one of torch's loss modules or functions, or any
            function (outputs, targets) → losses of the samples or their mean. Torch's cross-entropies and squared error
            become the losses of these names, so that they keep their fast engines.

    Raises:
        AnalysisError: none of these, or a module that does not return a mean.
    """
    if isinstance(given, Loss):
        return given
    if isinstance(given, str):
        if given not in LOSSES:
            raise AnalysisError(f"loss must be one of {', '.join(LOSSES)}; got {given!r}; {closest(given, LOSSES)}")
        return LOSSES[given]
    if isinstance(given, nn.Module):
        return _of_module(given)
    if callable(given):
        return FUNCTIONS.get(given) or LossFunction(given)
    raise AnalysisError(
        f"loss must be one of {', '.join(LOSSES)}, a Loss, a loss module of torch's or a function of outputs and "
        f"targets; got {type(given).__name__}"
    )


def loss_in(settings: LossSettings) -> Loss:
    """The loss that settings name.

    Raises:
        AnalysisError: a dotted path can't be imported, or is not callable.
    """
    if settings.name == "cross_entropy":
        return CrossEntropy(settings.label_smoothing, settings.class_weights)
    try:
        return loss_of(import_dotted(settings.name))
    except ImportError as error:
        raise AnalysisError(f"loss {settings.name!r} can't be imported: {error}") from error


def _of_module(module: nn.Module) -> Loss:
    reduction = getattr(module, "reduction", "mean")
    if reduction == "sum" or (reduction != "mean" and type(module) in KNOWN):
        raise AnalysisError(
            f"{type(module).__name__} with reduction={reduction!r} is not a mean over samples; leave the reduction at "
            "'mean'"
        )
    if type(module) is nn.CrossEntropyLoss:
        return CrossEntropy(module.label_smoothing, _numbers(module.weight), module.ignore_index)
    if type(module) is nn.MSELoss:
        return LOSSES["mse"]
    if type(module) is nn.BCEWithLogitsLoss and module.weight is None:
        return BinaryCrossEntropy(_numbers(module.pos_weight))
    return LossFunction(module)


def _numbers(weight: Tensor | None) -> tuple[float, ...] | None:
    return None if weight is None else tuple(weight.flatten().tolist())
