import numpy as np
import pytest

from analysis.errors import UndefinedMeasureError
from analysis.spectrum.quadrature import SpectralQuadrature
from analysis.spectrum.rules import Companion, Role, checked_rule, is_indefinite


def test_rules_are_two_dimensional_floats() -> None:
    nodes, weights = checked_rule([1, 2], [0.25, 0.75])
    assert nodes.shape == weights.shape == (1, 2)
    assert nodes.dtype == np.float64


def test_quadratures_and_companions_refuse_what_is_no_rule() -> None:
    with pytest.raises(ValueError, match="sum to 1"):
        SpectralQuadrature(3, np.ones((1, 2)), np.ones((1, 2)))
    with pytest.raises(ValueError, match="same, non-empty shape"):
        SpectralQuadrature(3, np.ones((1, 2)), np.ones((2, 2)))
    with pytest.raises(UndefinedMeasureError, match="NaN"):
        SpectralQuadrature(3, np.full((1, 1), np.nan), np.ones((1, 1)))
    with pytest.raises(ValueError, match="sum to 1"):
        Companion(Role.RADAU, np.ones((1, 2)), np.ones((1, 2)))


def test_a_negative_node_without_weight_does_not_make_a_rule_indefinite() -> None:
    nodes = np.array([[1.0, -1.0]])
    assert is_indefinite(nodes, np.array([[0.5, 0.5]]), noise=1e-8)
    assert not is_indefinite(nodes, np.array([[1.0, 0.0]]), noise=1e-8)
