"""Learning rates over epochs."""

import math

from trainables.trial.specs import TrainingSpec

WARMUP_START = 0.001  # of the base rate, at epoch 0
DECAY_FACTOR = 0.1  # at a milestone, where the sweep gives no other: torch's default


def learning_rate_factor(epoch: int, training: TrainingSpec) -> float:
    """The factor on the base learning rate during a zero-based epoch.

    Linear from 0.001 to 1 over the warm-up epochs. Then ½(1 + cos(π t/T)) over the T remaining epochs; or constant; or
    multi-step, the decay factor to the power of the milestones that have been reached. It changes once an epoch.
    """
    if epoch < training.warmup_epochs:
        return WARMUP_START + (1 - WARMUP_START) * epoch / training.warmup_epochs
    if training.schedule == "constant":
        return 1.0
    if training.schedule == "multi_step":
        reached = sum(milestone <= epoch for milestone in training.milestones or ())
        decay = DECAY_FACTOR if training.decay_factor is None else training.decay_factor
        return float(decay**reached)
    progress = (epoch - training.warmup_epochs) / (training.epochs - training.warmup_epochs)
    return 0.5 * (1 + math.cos(math.pi * progress))
