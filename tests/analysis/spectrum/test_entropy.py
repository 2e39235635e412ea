import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from analysis.errors import UndefinedMeasureError
from analysis.spectrum.entropy import entropy_influence, entropy_of
from analysis.spectrum.quadrature import renyi_entropy
from tests.analysis.closed_forms import ORDERS, SPECTRA

Spectrum = NDArray[np.float64]

positive = st.floats(1e-6, 1e6)
spectra = st.lists(positive, min_size=1, max_size=30).map(np.array)
orders = st.floats(0.05, 20.0)


@pytest.mark.parametrize("name", SPECTRA)
def test_closed_forms(name: str) -> None:
    eigenvalues, entropies = SPECTRA[name]
    for order, entropy in zip(ORDERS, entropies, strict=True):
        assert renyi_entropy(eigenvalues, order) == pytest.approx(entropy, abs=1e-9)


def test_a_small_order_of_the_geometric_spectrum() -> None:
    assert renyi_entropy(SPECTRA["geometric"][0], 0.1) == pytest.approx(2.9136980763, abs=1e-9)


@pytest.mark.parametrize(("order", "entropy"), [(0.5, 0.587787), (1.5, 0.433865)])
def test_two_eigenvalues(order: float, entropy: float) -> None:
    assert renyi_entropy([1.0, 4.0], order) == pytest.approx(entropy, abs=1e-6)


@pytest.mark.parametrize(
    ("order", "absolute", "mixed"),
    [(0.5, 0.454230, 0.654900), (0.999, 0.304855, 200.775), (1.001, 0.304417, -200.567), (1.5, 0.223664, -0.378348)],
)
def test_policies_for_negative_eigenvalues(order: float, absolute: float, mixed: float) -> None:
    assert renyi_entropy([1.0, -0.1], order) == pytest.approx(absolute, abs=1e-6)
    assert renyi_entropy([1.0, -0.1], order, negative="mixed") == pytest.approx(mixed, rel=1e-5)
    assert renyi_entropy([1.0, -0.1], order, negative="clip") == 0


def test_policies_on_an_indefinite_diagonal() -> None:
    values = [3.0, 1.0, -1.0]
    for order, entropy in ((2, 0.8209805521), (0.5, 1.0244778814), (1, 0.9502705392)):
        assert renyi_entropy(values, order) == pytest.approx(entropy, abs=1e-9)
    for order, entropy in ((2, 0.4700036292), (0.5, 0.6238107164)):
        assert renyi_entropy(values, order, negative="clip") == pytest.approx(entropy, abs=1e-9)


@pytest.mark.parametrize("name", SPECTRA)
def test_the_curve_runs_smoothly_through_order_one(name: str) -> None:
    eigenvalues, (_, shannon, *_) = SPECTRA[name]
    below, above = renyi_entropy(eigenvalues, 0.999), renyi_entropy(eigenvalues, 1.001)
    assert abs(below - above) <= 0.01
    assert above - 1e-12 <= shannon <= below + 1e-12
    assert renyi_entropy(eigenvalues, 1 + 1e-12) == pytest.approx(shannon, abs=1e-9)


@given(spectra, orders, st.floats(1e-150, 1e150))
def test_invariant_to_scale(eigenvalues: Spectrum, order: float, scale: float) -> None:
    assert renyi_entropy(scale * eigenvalues, order) == pytest.approx(renyi_entropy(eigenvalues, order), abs=1e-10)


@given(spectra, orders, orders)
def test_not_increasing_in_the_order(eigenvalues: Spectrum, a: float, b: float) -> None:
    assert renyi_entropy(eigenvalues, max(a, b)) <= renyi_entropy(eigenvalues, min(a, b)) + 1e-10
    assert renyi_entropy(eigenvalues, math.inf) <= renyi_entropy(eigenvalues, max(a, b)) + 1e-10


@given(st.lists(positive, min_size=1, max_size=30).flatmap(lambda v: st.tuples(st.just(v), st.permutations(v))), orders)
def test_invariant_to_permutation(pair: tuple[list[float], list[float]], order: float) -> None:
    assert renyi_entropy(pair[0], order) == pytest.approx(renyi_entropy(pair[1], order), abs=1e-10)


@settings(max_examples=50)
@given(spectra, spectra, orders)
def test_additive_over_kronecker_products(a: Spectrum, b: Spectrum, order: float) -> None:
    apart = renyi_entropy(a, order) + renyi_entropy(b, order)
    assert renyi_entropy(np.outer(a, b), order) == pytest.approx(apart, abs=1e-9)


@given(spectra, orders)
def test_counts_stand_for_repeated_eigenvalues(eigenvalues: Spectrum, order: float) -> None:
    p = eigenvalues / eigenvalues.sum() / 3
    assert entropy_of(p, np.full(p.size, 3.0), order) == pytest.approx(
        renyi_entropy(np.repeat(eigenvalues, 3), order), abs=1e-10
    )


@pytest.mark.parametrize("order", [0.3, 0.999, 1.0, 1.7, 4.0, math.inf])
def test_the_influence_is_the_derivative(order: float) -> None:
    rng = np.random.default_rng(0)
    values, counts = rng.random(7), rng.random(7) + 0.5
    influence = entropy_influence(values / (counts @ values), counts, order)
    for j in range(7):
        moved = [counts.copy(), counts.copy()]
        moved[0][j] += 1e-5
        moved[1][j] -= 1e-5
        more, less = (entropy_of(values / (c @ values), c, order) for c in moved)
        assert (more - less) / 2e-5 == pytest.approx(influence[j], abs=1e-6)


def test_what_has_no_entropy_says_why() -> None:
    with pytest.raises(UndefinedMeasureError, match="zero"):
        renyi_entropy([0.0, 0.0], 0.5)
    with pytest.raises(UndefinedMeasureError, match="NaN"):
        renyi_entropy([1.0, math.nan], 0.5)
    with pytest.raises(UndefinedMeasureError, match="not positive"):
        renyi_entropy([1.0, -2.0], 0.5, negative="mixed")
    with pytest.raises(UndefinedMeasureError, match="order 1"):
        renyi_entropy([1.0, -0.1], 1, negative="mixed")
    with pytest.raises(ValueError, match="got 0"):
        renyi_entropy([1.0], 0)
    with pytest.raises(ValueError, match="got 'drop'"):
        renyi_entropy([1.0], 2, negative="drop")  # type: ignore[arg-type]
