"""What is valid key by key and can't work together: told before anything is trained."""

import math
from collections.abc import Iterator

from orchestrator.config.problems import ConfigProblem
from orchestrator.config.sweep_config import SweepConfig
from trainables.catalogue import DATA_SETS

MAX_TRIALS = 100_000  # in a sample, each of which is drawn and checked


def check_consistency(config: SweepConfig) -> list[ConfigProblem]:
    """The problems of keys that are valid by themselves, as far as the catalogue tells them."""
    return [*_sample(config), *_normalization(config), *_images(config)]


def _sample(config: SweepConfig) -> Iterator[ConfigProblem]:
    if config.sample is not None and config.sample.trials > MAX_TRIALS:
        yield ConfigProblem("sample.trials", f"must be at most {MAX_TRIALS}; got {config.sample.trials}")


def _normalization(config: SweepConfig) -> Iterator[ConfigProblem]:
    for key in ("mean", "std"):
        values = getattr(config.data, key)
        if values is None:
            continue
        if DATA_SETS[config.data.dataset].fixed_normalization:
            # Not refused by DataSpec itself: stores of earlier versions have specifications with it.
            yield ConfigProblem(f"data.{key}", f"{config.data.dataset} has its own and ignores it; leave it out")
        elif not all(map(math.isfinite, values)):
            yield ConfigProblem(f"data.{key}", f"must be finite; got {list(values)}")


def _images(config: SweepConfig) -> Iterator[ConfigProblem]:
    """More samples, or validation images, than the data set has to train on."""
    images = DATA_SETS[config.data.dataset].train_images
    held_out = config.data.validation or 0
    if not images:
        return
    if held_out >= images:
        yield ConfigProblem("data.validation", f"must be less than the {images} training images; got {held_out}")
    elif config.sharpness.samples > images - held_out:
        given = "" if "samples" in config.sharpness.model_fields_set else " (the default)"
        problem = f"must be at most {images - held_out}, the number of training images; got {config.sharpness.samples}"
        yield ConfigProblem("sharpness.samples", problem + given)
