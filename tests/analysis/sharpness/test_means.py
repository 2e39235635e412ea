import math

import pytest
import torch

from analysis.sharpness.means import mean_and_stderr, stderr_of_mean


def test_mean_and_standard_error() -> None:
    """Of 1, 2, 3, 4: variance 5/3, over four values."""
    mean, stderr = mean_and_stderr(torch.tensor([1.0, 2.0, 3.0, 4.0], dtype=torch.float64))
    assert mean == 2.5
    assert stderr == pytest.approx(math.sqrt(5 / 12), rel=1e-15)


@pytest.mark.filterwarnings("ignore:std")
def test_one_value_has_no_standard_error() -> None:
    assert math.isnan(stderr_of_mean(torch.tensor([3.0])))
