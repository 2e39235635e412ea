"""Every engine, both curvatures, products and spectra, against dense matrices, on networks drawn at random.

`benchmarks/random_networks.py` draws as many as one likes.
"""

import pytest

from tests.analysis.sharpness.hessian.random_networks import differences, draw_case


@pytest.mark.parametrize("number", range(3))
def test_no_engine_is_wrong(number: int) -> None:
    wrong, served = differences(draw_case(number, seed=0))
    assert not wrong
    assert served.total() > 0
