import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.errors import UndefinedMeasureError
from analysis.spectrum.dimensions import effective_dimension, stable_rank
from analysis.spectrum.quadrature import SpectralQuadrature
from analysis.spectrum.rules import Companion, Role

EIGENVALUES = st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=8)


def test_a_spectrum_of_two_eigenvalues_and_zeros() -> None:
    spectrum = SpectralQuadrature.from_eigenvalues([4.0, 1.0], dim=10)
    found = effective_dimension(spectrum, 1.0)
    assert found.value == pytest.approx(4 / 5 + 1 / 2)
    assert (found.stderr, found.resolved) == (0.0, True)
    assert stable_rank(spectrum).value == pytest.approx(17 / 16)
    assert stable_rank(spectrum).stderr == 0.0


def test_a_uniform_spectrum_counts_all_and_a_single_eigenvalue_is_one() -> None:
    uniform = SpectralQuadrature.from_eigenvalues([2.0] * 7)
    assert stable_rank(uniform).value == pytest.approx(7)
    assert effective_dimension(uniform, 2.0).value == pytest.approx(3.5)
    assert stable_rank(SpectralQuadrature.from_eigenvalues([3.0], dim=50)).value == pytest.approx(1)


def test_negative_eigenvalues_and_noise_are_not_determined_by_the_samples() -> None:
    spectrum = SpectralQuadrature.from_eigenvalues([4.0, -1.0, 1e-9], noise=1e-6)
    assert effective_dimension(spectrum, 1.0).value == pytest.approx(4 / 5)
    assert effective_dimension(spectrum, 1e-9).value == pytest.approx(1)
    assert stable_rank(spectrum).value == pytest.approx(17 / 16)  # the norms do count them
    assert stable_rank(SpectralQuadrature.from_eigenvalues([1.0, -2.0])).value == pytest.approx(5 / 4)


@given(EIGENVALUES, st.floats(1e-2, 1e2), st.floats(1e-2, 1e2))
def test_scaling_the_matrix_scales_z_and_leaves_the_rank(values: list[float], scale: float, factor: float) -> None:
    one = SpectralQuadrature.from_eigenvalues(values, dim=9)
    other = SpectralQuadrature.from_eigenvalues([factor * value for value in values], dim=9)
    first, second = effective_dimension(one, scale), effective_dimension(other, factor * scale)
    assert second.value == pytest.approx(first.value)
    assert 0 < first.value < len(values)
    assert stable_rank(other).value == pytest.approx(stable_rank(one).value)
    assert 1 - 1e-9 <= stable_rank(one).value <= len(values) + 1e-9


def test_a_larger_z_counts_fewer() -> None:
    spectrum = SpectralQuadrature.from_eigenvalues([4.0, 1.0, 0.1])
    counts = [effective_dimension(spectrum, scale).value for scale in (1e-6, 0.01, 1.0, 100.0)]
    assert counts == sorted(counts, reverse=True)
    assert counts[0] == pytest.approx(3, abs=1e-4)


def test_the_standard_error_is_that_of_the_probes() -> None:
    # Two probes of a 3×3 matrix: Gauss rules {3, 0} with weights {1/2, 1/2} and {1/4, 3/4}.
    nodes, weights = np.array([[3.0, 0.0], [3.0, 0.0]]), np.array([[0.5, 0.5], [0.25, 0.75]])
    spectrum = SpectralQuadrature(3, nodes, weights)
    found = effective_dimension(spectrum, 3.0)
    assert found.value == pytest.approx(3 * np.mean([0.25, 0.125]))
    assert found.stderr == pytest.approx(3 * 0.125 / 2)
    rank = stable_rank(spectrum)
    assert (rank.value, rank.stderr) == pytest.approx((3 * 0.375, 3 * 0.25 / 2))
    assert np.isnan(effective_dimension(SpectralQuadrature(3, nodes[:1], weights[:1]), 1.0).stderr)


def test_two_rules_are_averaged_and_their_difference_is_said() -> None:
    gauss = np.array([[2.0]]), np.array([[1.0]])
    near, far = (
        Companion(Role.RADAU, np.array([[0.0, node]]), np.array([[1 - 2 / node, 2 / node]])) for node in (2.1, 8.0)
    )
    for companion, resolved in ((near, True), (far, False)):
        spectrum = SpectralQuadrature(4, *gauss, companion)
        node = companion.nodes[0, 1]
        expected = np.mean([4 * 2 / 3, 4 * (2 / node) * node / (node + 1)])
        found = effective_dimension(spectrum, 1.0)
        assert found.value == pytest.approx(expected)
        assert found.resolved is resolved


def test_nonsense_is_refused() -> None:
    with pytest.raises(ValueError, match="scale must be positive; got 0"):
        effective_dimension(SpectralQuadrature.from_eigenvalues([1.0]), 0.0)
    zero = SpectralQuadrature.from_eigenvalues([0.0, 0.0])
    assert effective_dimension(zero, 1.0).value == 0.0
    with pytest.raises(UndefinedMeasureError, match="zero, so it has no stable rank"):
        stable_rank(zero)
