"""Learning rates over epochs."""

import math

from trainables.trial.specs import TrainingSpec

WARMUP_START = 0.001  # of the base rate, at epoch 0


def learning_rate_factor(epoch: int, training: TrainingSpec) -> float:
    """The factor on the base learning rate during a zero-based epoch.

    Linear from 0.001 to 1 over the warm-up epochs, then ½(1 + cos(π t/T)) over the T remaining epochs, or constant. It
    changes once an epoch.
    """
    if epoch < training.warmup_epochs:
        return WARMUP_START + (1 - WARMUP_START) * epoch / training.warmup_epochs
    if training.schedule == "constant":
        return 1.0
    progress = (epoch - training.warmup_epochs) / (training.epochs - training.warmup_epochs)
    return 0.5 * (1 + math.cos(math.pi * progress))
