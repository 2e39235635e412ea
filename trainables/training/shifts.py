"""Trained networks on shifted test sets, from their last checkpoints."""

from collections.abc import Sequence

import torch

from trainables.catalogue import SHIFTS
from trainables.data import load_dataset
from trainables.models import build_model
from trainables.training.checkpoints import load_checkpoint, weights_digest
from trainables.training.evaluation import shifted_test
from trainables.training.trainer import determinism, memory_format
from trainables.trial.folder import FAILED_FILE, LAST_CHECKPOINT, TrialFolder
from trainables.trial.specs import DataSpec, TrialSpec


def evaluate_shifts(
    spec: TrialSpec, trial: TrialFolder, names: Sequence[str], device: torch.device, data_spec: DataSpec | None = None
) -> None:
    """Write the test loss and accuracy of a trained trial under each shift, computed as those without a shift were.

    Costs an evaluation of the test set for each.

    Args:
        spec: the trial, as the sweep's file has it; what the checkpoint's own specification names is not imported.
        trial: the folder that holds the last checkpoint.
        names: keys of `SHIFTS`.
        device: where to evaluate.
        data_spec: where the images are now; None if they are still where they were during training.

    Raises:
        FileNotFoundError: there is no checkpoint.
        TrainingError: the checkpoint or the data can't be read.
        DivergedError: a loss is not finite.
    """
    checkpoint = load_checkpoint(trial.folder, LAST_CHECKPOINT, device, spec.trial_id)
    data = load_dataset(data_spec or spec.data)
    with determinism(spec.training.deterministic):
        model = build_model(spec.model, data.num_classes, data.in_channels)
        model.load_state_dict(checkpoint.model)
        model = model.to(device, memory_format=memory_format(spec.training))  # type: ignore[call-overload]
        test = data.test.to(device)
        weights = weights_digest(checkpoint.model)
        for name in names:
            trial.write_shift(name, shifted_test(model, test, data.normalize, SHIFTS[name]), weights)
    trial.shifts.delete(FAILED_FILE)  # of an earlier attempt
