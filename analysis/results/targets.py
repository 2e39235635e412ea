"""What measures are ranked against: the generalization gap in loss, also under a shift, or in error; the test error."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import pandas as pd

from analysis import schema
from analysis.errors import AnalysisError, closest


@dataclass(frozen=True)
class Target:
    """A quantity of the trained networks that a measure should follow. Larger means worse."""

    key: str  # what users call it
    column: str  # among the columns of the trials
    title: str  # for readers
    label: str  # the same in few words, beside an axis
    stderr: tuple[str, ...] = ()  # columns whose root sum of squares is its standard error


LOSS = Target("loss", schema.GAP_LOSS, "gap (test − training loss)", "gap", ("train_loss_stderr", "test_loss_stderr"))
ERROR = Target(
    "error",
    schema.GAP_ERROR,
    "gap in error (test − training error)",
    "gap in error",
    ("train_accuracy_stderr", "test_accuracy_stderr"),
)
TEST_ERROR = Target("test_error", schema.TEST_ERROR, "test error", "test error", ("test_accuracy_stderr",))
TARGETS = {target.key: target for target in (LOSS, ERROR, TEST_ERROR)}


SHIFT_KEY = "shift:"


def shift_target(shift: str) -> Target:
    """The generalization gap under a shift of the test images: shifted test loss − training loss.

    It is the gap of Jiang et al. 2020 (arXiv 1912.02178) in loss, with the shifted images as the test set.
    """
    return Target(
        f"{SHIFT_KEY}{shift}",
        schema.under(schema.GAP_LOSS, shift),
        f"gap under {shift} (test loss on shifted images − training loss)",
        f"gap under {shift}",
        ("train_loss_stderr", schema.under(schema.TEST_LOSS, shift) + schema.STDERR_SUFFIX),
    )


def target_of(key: str) -> Target:
    """The target that users name by a key: `loss`, `error`, `test_error`, or `shift:` and the name of a shift.

    Raises:
        AnalysisError: no target has that key.
    """
    if key.startswith(SHIFT_KEY) and key != SHIFT_KEY:
        return shift_target(key.removeprefix(SHIFT_KEY))
    if key not in TARGETS:
        raise AnalysisError(f"--gap {key}: unknown; {closest(key, [*TARGETS, f'{SHIFT_KEY}NAME'])}")
    return TARGETS[key]


def column_target(column: str) -> Target:
    """The target of somebody's table: one of its columns, under its own name."""
    return Target(column, column, column, column)


def with_targets(trials: pd.DataFrame) -> pd.DataFrame:
    """The trials with the columns of targets that follow from others: the test error from the test accuracy."""
    if schema.TEST_ACCURACY not in trials or schema.TEST_ERROR in trials:
        return trials
    return trials.assign(**{schema.TEST_ERROR: 1 - trials[schema.TEST_ACCURACY].astype(float)})


def check_known(target: Target, columns: Collection[str], sweep: str) -> None:
    """Refuse a target that no trial of a sweep has.

    Raises:
        AnalysisError: the message names those that it has.
    """
    if target.column not in columns:
        known = [*TARGETS.values(), *(shift_target(shift) for column in columns if (shift := schema.shift_of(column)))]
        has = ", ".join(each.key for each in known if each.column in columns) or "none"
        remedy = "; `shifts` in the sweep file and `renyi run` add it" if target.key.startswith(SHIFT_KEY) else ""
        raise AnalysisError(f"--gap {target.key}: no trial of {sweep} has it; there: {has}{remedy}")


def distinct(keys: Sequence[str]) -> list[str]:
    """The keys, each once, in their order."""
    return list(dict.fromkeys(keys))
