"""The loss that training lowers, and the loss that is reported."""

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from trainables.data.mixup import Mixture


def objective(
    logits: Tensor, targets: Tensor, smoothing: float = 0.0, mixture: Mixture | None = None
) -> tuple[Tensor, Tensor]:
    """The mean loss of a batch whose gradient is taken, and the same without label smoothing (detached).

    With smoothing ε and C classes the target is (1 − ε) y + ε/C, as torch's `label_smoothing`; with a mixture it is
    λ y + (1 − λ) y′, y′ the class of the partner. The second loss is what epochs report and a target loss is compared
    with: the one without smoothing, as everything is measured.

    Args:
        logits: (B, C).
        targets: (B,) classes.
        smoothing: ε in [0, 1).
        mixture: how the images were blended.
    """

    def loss(smoothing: float) -> Tensor:
        own = cross_entropy(logits, targets, label_smoothing=smoothing)
        if mixture is None:
            return own
        other = cross_entropy(logits, targets[mixture.partners], label_smoothing=smoothing)
        return mixture.share * own + (1 - mixture.share) * other

    lowered = loss(smoothing)
    if not smoothing:
        return lowered, lowered.detach()
    with torch.no_grad():
        return lowered, loss(0.0)
