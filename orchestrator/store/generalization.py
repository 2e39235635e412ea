"""The generalization quantities of a trial (SPEC §2) by name, the same for the tracking record and for the store."""

import math
from collections.abc import Mapping

from analysis import schema
from trainables.trial.folder import Generalization, Trained


def of_training(trained: Trained) -> dict[str, float]:
    """Losses, accuracies and gaps over whole data sets, each with its standard error, and two values of the epochs.

    The two are the best epoch's test accuracy, and the last epoch's validation accuracy where there is one.
    """
    result, last = trained.generalization, trained.history[-1]
    gaps = (schema.GAP_LOSS, schema.GAP_ERROR)
    names = [*vars(result), *gaps, *(gap + schema.STDERR_SUFFIX for gap in gaps)]
    quantities = {name: getattr(result, name) for name in names}
    quantities[schema.TEST_ACCURACY_BEST] = max(epoch.test_accuracy for epoch in trained.history)
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
