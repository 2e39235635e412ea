"""The generalization quantities of a trial (SPEC §2) by name: the same in the tracking record and from the store."""

import math
from collections.abc import Mapping

from analysis import schema
from trainables.trial_folder import Generalization


def of_training(result: Generalization) -> dict[str, float]:
    """Losses, accuracies and gaps over whole data sets, each with its standard error."""
    gaps = (schema.GAP_LOSS, schema.GAP_ERROR)
    names = [*vars(result), *gaps, *(gap + schema.STDERR_SUFFIX for gap in gaps)]
    return {name: getattr(result, name) for name in names}


def of_subset(result: Generalization, record: Mapping[str, float]) -> dict[str, float]:
    """The training loss of the samples that were measured on, and the gap against it.

    Args:
        result: how the trained network does.
        record: what measuring wrote to `MEASURED_FILE`.
    """
    loss, error = (record[schema.TRAIN_LOSS_SUBSET + suffix] for suffix in ("", schema.STDERR_SUFFIX))
    return {
        schema.TRAIN_LOSS_SUBSET: loss,
        schema.TRAIN_LOSS_SUBSET + schema.STDERR_SUFFIX: error,
        schema.GAP_LOSS_SUBSET: result.test_loss - loss,
        schema.GAP_LOSS_SUBSET + schema.STDERR_SUFFIX: math.hypot(result.test_loss_stderr, error),
    }
