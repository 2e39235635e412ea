"""Settings of training that contradict each other, or the images."""

from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trainables.trial.specs import TrainingSpec

_AUGMENTATION = ("crop_padding", "flip", "rotation")
_MULTI_STEP = ("milestones", "decay_factor")


def contradictions(training: "TrainingSpec") -> list[str]:
    """Every pair of settings that makes no sense, each as a sentence with the keys, the values and the remedy."""
    found = []
    if training.warmup_epochs >= training.epochs:
        found.append(f"warmup_epochs ({training.warmup_epochs}) must be less than epochs ({training.epochs})")
    if not training.augment:
        found += [f"{name} has no effect without augment: true" for name in _changed(training, *_AUGMENTATION)]
    if training.schedule == "multi_step":
        found += _of_milestones(training)
    else:
        found += [f"{name} has no effect without schedule: multi_step" for name in _changed(training, *_MULTI_STEP)]
    if training.target_train_loss is not None and training.mixup is not None:
        found.append(
            "target_train_loss and mixup exclude each other: the loss of blended images stays high, and says nothing "
            "about the images themselves; keep one"
        )
    return found


def misfits(training: "TrainingSpec", num_images: int, side: int) -> list[str]:
    """Every setting that does not fit so many training images, whose shorter side has so many pixels."""
    found = []
    if training.drop_last and training.batch_size > num_images:
        found.append(
            f"drop_last leaves no batch: batch_size ({training.batch_size}) must be at most the {num_images} training "
            "images"
        )
    if training.cutout is not None and training.cutout > side:
        found.append(f"cutout ({training.cutout}) must be at most the {side} pixels of the images' side")
    return found


def _of_milestones(training: "TrainingSpec") -> list[str]:
    found = []
    milestones = training.milestones or ()
    if not milestones:
        found.append("schedule: multi_step needs milestones, the epochs at which the rate falls, e.g. [60, 120, 160]")
    if any(later <= earlier for earlier, later in pairwise(milestones)):
        found.append(f"milestones must ascend; got {list(milestones)}")
    found += [
        f"milestone {milestone} has no effect: it must be above warmup_epochs ({training.warmup_epochs}) and below "
        f"epochs ({training.epochs})"
        for milestone in milestones
        if not training.warmup_epochs < milestone < training.epochs
    ]
    if training.learning_rate_floor:
        found.append("learning_rate_floor is where a cosine ends; with schedule: multi_step leave it out")
    return found


def _changed(training: "TrainingSpec", *names: str) -> list[str]:
    """Those settings that are not at their defaults."""
    return [name for name in names if getattr(training, name) != type(training).model_fields[name].default]
