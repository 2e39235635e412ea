import math
from dataclasses import replace

import numpy as np
import pytest

from analysis.errors import UndefinedMeasureError
from analysis.spectrum.clusters import SpectrumKind, count_matches, find_spectral_clusters
from analysis.spectrum.quadrature import SpectralQuadrature

BULK = np.geomspace(1e-8, 0.02, 200)


def spectrum(*eigenvalues: float) -> SpectralQuadrature:
    return SpectralQuadrature.from_eigenvalues(np.append(BULK, eigenvalues))


def test_clusters_away_from_zero_predict_an_order_below_one() -> None:
    clusters = find_spectral_clusters(spectrum(0.48, 0.5, 0.52, 0.9, 1.0))
    assert clusters.kind is SpectrumKind.MULTI_CLUSTER
    assert clusters.sizes == pytest.approx((200, 3, 2))
    assert clusters.predicted_order == 0.5


def test_a_tail_without_a_gap_predicts_an_order_above_one() -> None:
    clusters = find_spectral_clusters(spectrum(*np.arange(0.1, 1.01, 0.09)))
    assert clusters.kind is SpectrumKind.SINGLE_CLUSTER
    assert clusters.predicted_order == 1.5


def test_a_lone_outlier_is_no_cluster() -> None:
    assert find_spectral_clusters(spectrum(1.0)).kind is SpectrumKind.SINGLE_CLUSTER
    assert find_spectral_clusters(spectrum(0.995, 1.0)).kind is SpectrumKind.MULTI_CLUSTER


def test_a_spectrum_that_zero_does_not_dominate_predicts_nothing() -> None:
    clusters = find_spectral_clusters(SpectralQuadrature.from_eigenvalues(np.linspace(0.9, 1, 20)))
    assert clusters.kind is SpectrumKind.NOT_ZERO_DOMINANT
    assert clusters.predicted_order is None


@pytest.mark.parametrize("scale", [1e-9, -3.0])
def test_neither_scale_nor_sign_matters(scale: float) -> None:
    values = np.append(BULK, [0.5, 0.52, 1.0, 0.98])
    scaled = find_spectral_clusters(SpectralQuadrature.from_eigenvalues(scale * values))
    found = find_spectral_clusters(SpectralQuadrature.from_eigenvalues(values))
    assert np.allclose(scaled.gaps, found.gaps, rtol=1e-12)
    assert replace(scaled, gaps=found.gaps) == found


def test_what_every_probe_sees_is_counted_once() -> None:
    nodes = np.tile([0.0, 0.5, 0.51, 1.0], (4, 1))
    weights = np.tile([97 / 100, 0.01, 0.01, 0.01], (4, 1))
    clusters = find_spectral_clusters(SpectralQuadrature(100, nodes, weights))
    assert clusters.sizes == pytest.approx((97, 2, 1))


def test_zero_has_no_clusters() -> None:
    with pytest.raises(UndefinedMeasureError, match="zero"):
        find_spectral_clusters(SpectralQuadrature.from_eigenvalues([0.0, 0.0]))


def test_matches_are_counted_by_the_side_of_one() -> None:
    counted = count_matches([0.5, 0.5, 1.5, 1.5, None, 0.5, 0.5], [0.3, 2.0, 1.2, 0.9, 0.5, None, math.nan])
    assert (counted.matches, counted.mismatches, counted.left_out) == (2, 2, 3)
    assert count_matches([0.5], [1.0]).left_out == 1


def test_the_paper_s_own_count() -> None:
    counted = count_matches([0.5] * 1630, [0.7] * 1451 + [1.7] * 179)
    assert counted.matches / 1630 == pytest.approx(0.890, abs=5e-4)
    assert (counted.mismatches, counted.left_out) == (179, 0)


def test_cases_must_pair_up() -> None:
    with pytest.raises(ValueError, match="shorter"):
        count_matches([0.5], [])
