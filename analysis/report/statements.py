"""Which statements a sweep supports: the decision rules of the verdict, as functions of its numbers alone."""

import math
from enum import Enum

from scipy.special import ndtri

LEVEL = 0.05
MOST_PAIRED = 1000  # models whose pairs are resampled; with more the full verdict would take many minutes
LEVEL_OF_RIVALS = 0.025  # one-sided, for each rival of the best
LEAST_FOR_INTERVALS = 10  # configurations; with fewer nothing is said
LEAST_FOR_CLAIMS = 15  # configurations; with fewer nothing is claimed
NEGLIGIBLE = 0.2  # |τ|; "none" is said if the whole interval is below
MOST_CONFIGURATIONS = 10_000


class Claim(Enum):
    """What is said about the strongest measure."""

    TOO_LITTLE = "too little to conclude"
    INTERVALS = "too little to conclude, but enough for intervals"
    NOTHING = "nothing significant"
    BEST = "best"
    TIED = "tied with others"


class Beyond(Enum):
    """What is said about an association that the training loss may account for."""

    BEYOND = "beyond the training loss"
    NOT_SHOWN = "not shown beyond the training loss"
    NONE = "none beyond the training loss"
    INSEPARABLE = "inseparable from the training loss"


class Pooling(Enum):
    """What is said about a τ over several groups, such as optimizers."""

    SIGN_DEPENDS = "the sign depends on the group"
    CONTRAST_SIGN = "the pooled sign is the contrast's"
    WITHIN = "the pooled value contains a contrast between groups"
    EACH = "the groups differ in strength"
    POOLED = "the groups agree"


def claim(configurations: int, p_adjusted: float, rivals: list[float]) -> Claim:
    """The claim about the column of the strongest τ.

    Args:
        configurations: number of configurations with a gap; seeds of one count once.
        p_adjusted: of the strongest column, adjusted for the number of columns; NaN if no τ is defined.
        rivals: for each other column the one-sided p-value that it is as strong.
    """
    if configurations < LEAST_FOR_INTERVALS:
        return Claim.TOO_LITTLE
    if configurations < LEAST_FOR_CLAIMS:
        return Claim.INTERVALS
    if not p_adjusted < LEVEL:
        return Claim.NOTHING
    return Claim.BEST if all(p <= LEVEL_OF_RIVALS for p in rivals) else Claim.TIED


def beyond(tau: float, given: float, low: float, high: float, p_adjusted: float, estimable: bool) -> Beyond:
    """What the training loss leaves of a significant association; another sign is no claim, but not shown beyond it.

    Args:
        tau: of the column with the gap.
        given, low, high: partial τ given the training loss, and its interval.
        p_adjusted: of the partial τ.
        estimable: whether there is enough left of both to correlate.
    """
    if not estimable or not math.isfinite(given):
        return Beyond.INSEPARABLE
    if p_adjusted < LEVEL and given * tau > 0:
        return Beyond.BEYOND
    return Beyond.NONE if low >= -NEGLIGIBLE and high <= NEGLIGIBLE else Beyond.NOT_SHOWN


def pooling(
    tau: float,
    within: float,
    p_within: float,
    contrast_low: float,
    contrast_high: float,
    p_opposed: float,
    p_differ: float,
) -> Pooling:
    """How the τ of a column over groups is to be reported.

    Args:
        tau, within: τ over all pairs, and over pairs within groups.
        p_within: of the latter, adjusted for the number of columns.
        contrast_low, contrast_high: interval of their difference.
        p_opposed: Gail and Simon's test against opposed signs.
        p_differ: Welch's test of equal τ, adjusted for the number of axes.
    """
    if p_opposed < LEVEL:
        return Pooling.SIGN_DEPENDS
    if contrast_low > 0 or contrast_high < 0:
        return Pooling.CONTRAST_SIGN if tau * within < 0 and p_within < LEVEL else Pooling.WITHIN
    return Pooling.EACH if p_differ < LEVEL else Pooling.POOLED


def null_stderr(configurations: int) -> float:
    """Standard error of τ without association and ties: √(2(2G + 5)/(9G(G − 1)))."""
    g = configurations
    return math.sqrt(2 * (2 * g + 5) / (9 * g * (g - 1)))


def configurations_needed(tau: float, num_columns: int) -> int | None:
    """Least number of configurations with which a τ of this size would be significant among so many columns.

    The smallest G ≥ 15 with |τ| ≥ z·null_stderr(G), z the normal quantile for .05/num_columns on two sides. None above
    10 000 or for a τ of 0.
    """
    quantile = -float(ndtri(LEVEL / 2 / max(num_columns, 1)))
    needed = range(LEAST_FOR_CLAIMS, MOST_CONFIGURATIONS + 1)
    return next((g for g in needed if abs(tau) >= quantile * null_stderr(g)), None)
