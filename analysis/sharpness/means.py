"""The mean of independent values and its standard error."""

import math

from torch import Tensor


def mean_and_stderr(values: Tensor) -> tuple[float, float]:
    """Mean of independent values (N,), and its standard error: their standard deviation over √N."""
    return values.mean().item(), stderr_of_mean(values)


def stderr_of_mean(values: Tensor) -> float:
    """Standard error of the mean of independent values (N,); NaN for one value."""
    return values.std().item() / math.sqrt(len(values))
