import math

import numpy as np
import pytest

from analysis.errors import UndefinedMeasureError
from analysis.spectrum.quadrature import SpectralQuadrature, renyi_entropy
from analysis.spectrum.rules import Companion, Ending, Role
from tests.analysis.closed_forms import ORDERS, SPECTRA


def random_quadrature(num_probes: int = 6, companion: Companion | None = None) -> SpectralQuadrature:
    rng = np.random.default_rng(1)
    weights = rng.random((num_probes, 8))
    return SpectralQuadrature(50, rng.random((num_probes, 8)), weights / weights.sum(axis=1, keepdims=True), companion)


@pytest.mark.parametrize("name", SPECTRA)
def test_exact_quadratures_have_the_exact_entropies(name: str) -> None:
    eigenvalues, entropies = SPECTRA[name]
    quadrature = SpectralQuadrature.from_eigenvalues(eigenvalues)
    for order, entropy in zip(ORDERS, entropies, strict=True):
        estimate = quadrature.renyi_entropy(order)
        assert estimate.value == pytest.approx(entropy, abs=1e-9)
        assert (estimate.stderr, estimate.ci_low, estimate.ci_high) == (0, estimate.value, estimate.value)
        assert estimate.resolved
        assert quadrature.truncation(order) == 0
    assert quadrature.exact


def test_zeros_left_out_are_counted_by_dim() -> None:
    quadrature = SpectralQuadrature.from_eigenvalues([3.0, 1.0], dim=10)
    assert quadrature.renyi_entropy(0.5).value == pytest.approx(renyi_entropy([3.0, 1.0], 0.5), abs=1e-12)
    assert quadrature.trace().value == pytest.approx(4.0)
    assert quadrature.lambda_max() == 3.0
    with pytest.raises(ValueError, match=r"dim must be at least .* 2; got 1"):
        SpectralQuadrature.from_eigenvalues([3.0, 1.0], dim=1)


@pytest.mark.parametrize("order", [0.5, 1.0, 1.5, math.inf])
def test_scale_does_not_matter(order: float) -> None:
    quadrature = random_quadrature()
    scaled = SpectralQuadrature(50, 1e-120 * quadrature.nodes, quadrature.weights)
    assert scaled.renyi_entropy(order).value == pytest.approx(quadrature.renyi_entropy(order).value, abs=1e-10)
    assert scaled.renyi_entropy(order).stderr == pytest.approx(quadrature.renyi_entropy(order).stderr, rel=1e-9)


@pytest.mark.parametrize("order", [0.5, 0.99, 1.0, 1.5, 3.0, math.inf])
def test_the_standard_error_is_the_jackknife_s(order: float) -> None:
    quadrature = random_quadrature(40)
    without = [
        SpectralQuadrature(50, np.delete(quadrature.nodes, k, 0), np.delete(quadrature.weights, k, 0))
        .renyi_entropy(order)
        .value
        for k in range(40)
    ]
    if math.isinf(order):
        top = quadrature.nodes.max()
        without = [
            math.log(50 * np.delete((quadrature.weights * quadrature.nodes).sum(1), k).mean() / top) for k in range(40)
        ]
    jackknife = math.sqrt(39 * np.var(without))
    assert quadrature.renyi_entropy(order).stderr == pytest.approx(jackknife, rel=0.1)


def test_shannon_lies_between_its_neighbours() -> None:
    quadrature = random_quadrature()
    below, at, above = (quadrature.renyi_entropy(order).value for order in (0.999, 1.0, 1.001))
    assert above < at < below
    assert below - above <= 0.01


def test_a_single_probe_has_no_standard_error() -> None:
    estimate = random_quadrature(1).renyi_entropy(2)
    assert math.isnan(estimate.stderr)
    assert math.isnan(estimate.ci_low)


def test_known_eigenvalues_in_every_row_add_no_spread() -> None:
    nodes = np.tile([4.0, 2.0, 1.0], (5, 1))
    quadrature = SpectralQuadrature(3, nodes, np.full((5, 3), 1 / 3))
    assert quadrature.renyi_entropy(0.5).stderr == pytest.approx(0, abs=1e-15)
    assert quadrature.renyi_entropy(0.5).value == pytest.approx(renyi_entropy([4.0, 2.0, 1.0], 0.5))


def test_the_radau_rule_widens_the_interval_and_halves_the_bias() -> None:
    quadrature = random_quadrature()
    radau = Companion(Role.RADAU, quadrature.nodes * 0.5, quadrature.weights)
    pair = SpectralQuadrature(50, quadrature.nodes, quadrature.weights, Companion(Role.RADAU, *_with_zeros(radau)))
    alone = quadrature.renyi_entropy(0.5).value
    lower = SpectralQuadrature(50, *_with_zeros(radau)).renyi_entropy(0.5).value
    estimate = pair.renyi_entropy(0.5)
    assert lower < estimate.value < alone
    assert estimate.ci_low < lower
    assert estimate.ci_high > alone
    assert pair.truncation(0.5) == pytest.approx((alone - lower) / 2)
    assert math.isnan(quadrature.truncation(0.5))


def _with_zeros(rule: Companion) -> tuple[np.ndarray, np.ndarray]:
    """The rule with half of each weight moved to a node at 0, and the other nodes doubled: the same mean."""
    nodes = np.hstack([2 * rule.nodes, np.zeros_like(rule.nodes)])
    return nodes, 0.5 * np.hstack([rule.weights, rule.weights])


def test_nodes_hidden_by_round_off_count_as_zero_and_are_flagged_if_they_matter() -> None:
    eigenvalues = np.concatenate([np.linspace(1, 2, 10), np.full(500, 1e-17)])
    quadrature = SpectralQuadrature.from_eigenvalues(eigenvalues, noise=1e-14)
    assert quadrature.renyi_entropy(0.1).value == pytest.approx(renyi_entropy(eigenvalues[:10], 0.1), abs=1e-12)
    assert not quadrature.renyi_entropy(0.1).resolved
    assert quadrature.renyi_entropy(0.5).resolved
    assert quadrature.renyi_entropy(1.0).resolved
    assert quadrature.renyi_entropy(0.999).resolved


def test_truncation_beyond_the_resolution_is_flagged() -> None:
    rule = random_quadrature()
    spread = Companion(
        Role.RADAU, np.hstack([rule.nodes * 20, rule.nodes * 0]), np.hstack([rule.weights / 20, rule.weights * 19 / 20])
    )
    assert not SpectralQuadrature(50, rule.nodes, rule.weights, spread).renyi_entropy(0.5).resolved


def test_trace_and_density() -> None:
    quadrature = random_quadrature()
    per_probe = 50 * (quadrature.nodes * quadrature.weights).sum(axis=1)
    assert quadrature.trace().value == pytest.approx(per_probe.mean())
    assert quadrature.trace().stderr == pytest.approx(per_probe.std(ddof=1) / math.sqrt(6))
    grid = np.linspace(-1, 2, 3001)
    assert np.trapezoid(quadrature.density(grid, 0.05), grid) == pytest.approx(1, abs=1e-6)


def test_indefinite_means_beyond_round_off() -> None:
    assert not SpectralQuadrature.from_eigenvalues([1.0, -1e-7], noise=1e-8).indefinite
    assert SpectralQuadrature.from_eigenvalues([1.0, -1e-6], noise=1e-8).indefinite
    assert SpectralQuadrature.from_eigenvalues([1.0, -1e-7]).indefinite


def test_policies_on_quadratures_are_those_on_eigenvalues() -> None:
    values = [3.0, 1.0, -1.0]
    quadrature = SpectralQuadrature.from_eigenvalues(values)
    for negative in ("abs", "clip", "mixed"):
        assert quadrature.renyi_entropy(0.5, negative).value == pytest.approx(renyi_entropy(values, 0.5, negative))


def test_a_separate_trace_blows_up_at_order_one_and_not_elsewhere() -> None:
    rng = np.random.default_rng(0)
    rule = random_quadrature()
    trace = Companion(Role.TRACE, 0.5 + 0.1 * rng.normal(size=(6, 1)), np.ones((6, 1)))
    quadrature = SpectralQuadrature(50, rule.nodes, rule.weights, trace)
    errors = [quadrature.renyi_entropy(order).stderr for order in (0.9, 0.99, 0.999)]
    assert errors[1] / errors[0] == pytest.approx(10, rel=0.2)
    assert errors[2] / errors[1] == pytest.approx(10, rel=0.05)
    with pytest.raises(UndefinedMeasureError, match="order 1"):
        quadrature.renyi_entropy(1)
    assert quadrature.trace().value == pytest.approx(50 * trace.nodes.mean())
    assert quadrature.renyi_entropy(math.inf).stderr > 0


def test_zero_spectra_and_bad_orders_are_refused() -> None:
    with pytest.raises(UndefinedMeasureError, match="Hessian is zero"):
        SpectralQuadrature.from_eigenvalues([0.0, 0.0]).renyi_entropy(2)
    with pytest.raises(ValueError, match="got -1"):
        random_quadrature().renyi_entropy(-1)


def test_only_a_whole_spectrum_is_exact() -> None:
    assert SpectralQuadrature.from_eigenvalues([1.0]).ending is Ending.EXACT
    assert not random_quadrature().exact
