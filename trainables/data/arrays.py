"""Samples in a numpy archive (.npz): one array of inputs, one of targets."""

import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from analysis.seeding import derive_seed
from trainables.errors import TrainingError

NAMES = (("inputs", "targets"), ("x", "y"), ("X", "y"), ("images", "labels"), ("x_train", "y_train"))


def load_arrays(path: Path, num_samples: int, seed: int = 0) -> tuple[Any, Any]:
    """Inputs and targets of at most so many samples, drawn without replacement; all, in order, if there are fewer.

    Raises:
        TrainingError: no such file or arrays, arrays of different lengths, or ones that hold Python objects.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            pair = next((names for names in NAMES if set(names) <= set(archive.files)), None)
            if pair is None:
                raise TrainingError(
                    f"{path}: must hold the arrays `inputs` and `targets`; it holds "
                    f"{', '.join(archive.files) or 'none'}"
                )
            inputs, targets = (archive[name] for name in pair)
    except FileNotFoundError as error:
        raise TrainingError(f"{path}: no such file") from error
    except (OSError, ValueError, zipfile.BadZipFile, AttributeError) as error:
        raise TrainingError(f"{path}: not a readable .npz archive of numbers: {error}") from error
    if inputs.ndim == 0 or targets.ndim == 0 or len(inputs) != len(targets):
        raise TrainingError(f"{path}: inputs and targets must have one length; got {inputs.shape} and {targets.shape}")
    if len(inputs) <= num_samples:
        return inputs, targets
    chosen = np.sort(
        np.random.default_rng(derive_seed(seed, "samples of arrays")).permutation(len(inputs))[:num_samples]
    )
    return inputs[chosen], targets[chosen]
