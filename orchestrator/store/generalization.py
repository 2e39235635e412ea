"""The generalization quantities of a trial by name, the same for the tracking record and for the store."""

import math
from collections.abc import Mapping

from analysis import schema
from trainables.trial.folder import Generalization, ShiftedTest, Trained


def of_training(trained: Trained) -> dict[str, float]:
    """Losses, accuracies and gaps over whole data sets, each with its standard error, and two values of the epochs.

    The two are the test accuracy of the best epoch that was evaluated, and the validation accuracy of the last epoch,
    where there is one.
    """
    result, last = trained.generalization, trained.history[-1]
    gaps = (schema.GAP_LOSS, schema.GAP_ERROR)
    names = [*vars(result), *gaps, *(gap + schema.STDERR_SUFFIX for gap in gaps)]
    quantities = {name: getattr(result, name) for name in names}
    quantities[schema.TEST_ACCURACY_BEST] = max(
        epoch.test_accuracy for epoch in trained.history if epoch.test_accuracy is not None
    )
    if last.validation_accuracy is not None:
        quantities[schema.VALIDATION_ACCURACY] = last.validation_accuracy
    return quantities


def of_subset(result: Generalization, record: Mapping[str, float]) -> dict[str, float]:
    """The training loss on the samples of the measurement, and the generalization gap relative to it.

    Args:
        result: losses and accuracies of the trained network.
        record: the content of `MEASURED_FILE`.
    """
    loss, error = (record[schema.TRAIN_LOSS_SUBSET + suffix] for suffix in ("", schema.STDERR_SUFFIX))
    return {
        schema.TRAIN_LOSS_SUBSET: loss,
        schema.TRAIN_LOSS_SUBSET + schema.STDERR_SUFFIX: error,
        schema.GAP_LOSS_SUBSET: result.test_loss - loss,
        schema.GAP_LOSS_SUBSET + schema.STDERR_SUFFIX: math.hypot(result.test_loss_stderr, error),
    }


def of_shift(result: Generalization, shift: str, shifted: ShiftedTest) -> dict[str, float]:
    """Test loss and accuracy under a shift, and the gap in loss: shifted test loss − training loss; with errors.

    Args:
        result: losses and accuracies of the trained network.
        shift: its name.
        shifted: what was evaluated under it.
    """
    values = {
        schema.TEST_LOSS: (shifted.test_loss, shifted.test_loss_stderr),
        schema.TEST_ACCURACY: (shifted.test_accuracy, shifted.test_accuracy_stderr),
        schema.GAP_LOSS: (
            shifted.test_loss - result.train_loss,
            math.hypot(shifted.test_loss_stderr, result.train_loss_stderr),
        ),
    }
    return {
        schema.under(name, shift) + suffix: value
        for name, pair in values.items()
        for suffix, value in zip(("", schema.STDERR_SUFFIX), pair, strict=True)
    }
