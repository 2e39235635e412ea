"""Clusters of eigenvalues in a zero-dominant spectrum, and the order that the paper's argument predicts from them.

The paper (§4.1, figure 1) sorts spectra by eye and argues that orders below 1 suit "multi-cluster", orders above 1
"single-cluster" spectra. It prints no rule. The rule here is our own: it uses the spectrum alone, never the gap.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from analysis.errors import UndefinedMeasureError
from analysis.spectrum.entropy import FloatArray
from analysis.spectrum.quadrature import SpectralQuadrature

GAP = 0.1  # of the largest magnitude: two neighbours further apart belong to different clusters
PRESENT = 0.5  # eigenvalues that a node must represent to count; smaller shares are the tail of one probe
OUTSIDE = 2  # eigenvalues beyond a gap that form another cluster: a single one is an outlier
ZERO_DOMINANT = 0.5  # share of all eigenvalues in the cluster at 0


class SpectrumKind(StrEnum):
    """The kinds of spectra that the paper distinguishes."""

    MULTI_CLUSTER = "multi-cluster"
    SINGLE_CLUSTER = "single-cluster"
    NOT_ZERO_DOMINANT = "not zero-dominant"  # the paper's argument predicts nothing


@dataclass(frozen=True)
class SpectralClusters:
    """The clusters of one spectrum, on the axis of |λ| in units of the largest."""

    kind: SpectrumKind
    sizes: tuple[float, ...]  # eigenvalues in each cluster, starting with the one at 0
    predicted_order: float | None  # 0.5 for several clusters, 1.5 for one, None if nothing is predicted
    gaps: tuple[tuple[float, float], ...] = ()  # between which magnitudes it was cut, in units of the largest

    @property
    def beyond_first_gap(self) -> float:
        """How many eigenvalues lie apart from the cluster at 0."""
        return sum(self.sizes[1:])


def find_spectral_clusters(spectrum: SpectralQuadrature) -> SpectralClusters:
    """Divide a spectrum into clusters, which are separated by gaps of more than a tenth of the largest magnitude.

    The magnitudes |λ_i| / max|λ|, in ascending order from 0, are cut wherever two neighbours are more than 0.1 apart.
    The first set is the cluster at 0. The spectrum is zero-dominant if this cluster holds at least half of all
    eigenvalues. It is then multi-cluster if some other set holds two eigenvalues or more; a single eigenvalue by
    itself is an outlier and no cluster. The scale of the spectrum does not matter.

    Raises:
        UndefinedMeasureError: the spectrum is zero.
    """
    magnitudes = np.abs(spectrum.nodes).ravel()
    counts = (spectrum.dim / spectrum.num_probes * spectrum.weights).ravel()
    top = magnitudes[counts > 0].max()
    if top == 0:
        raise UndefinedMeasureError("the spectrum is zero, so it has no clusters")
    order = np.argsort(magnitudes)
    positions, counts = magnitudes[order] / top, counts[order]
    sizes, gaps = _cut(positions, counts)
    others = [size for size in sizes[1:] if size >= OUTSIDE - PRESENT]
    if sizes[0] < ZERO_DOMINANT * spectrum.dim:
        return SpectralClusters(SpectrumKind.NOT_ZERO_DOMINANT, sizes, None, gaps)
    if others:
        return SpectralClusters(SpectrumKind.MULTI_CLUSTER, sizes, 0.5, gaps)
    return SpectralClusters(SpectrumKind.SINGLE_CLUSTER, sizes, 1.5, gaps)


def largest_magnitudes(spectrum: SpectralQuadrature, count: int = 3) -> list[float]:
    """The largest |λ|, descending: nodes of all probes within a hundredth of the largest are one, by their mean.

    A node that represents less than half an eigenvalue is the tail of one probe and does not count.
    """
    magnitudes = np.abs(spectrum.nodes).ravel()
    counts = (spectrum.dim / spectrum.num_probes * spectrum.weights).ravel()
    top = magnitudes[counts > 0].max()
    found: list[float] = []
    while len(found) < count and counts.sum() > 0:
        highest = magnitudes[counts > 0].max()
        near = (magnitudes >= highest - top * GAP / 10) & (counts > 0)
        if counts[near].sum() >= PRESENT:
            found.append(float(np.average(magnitudes[near], weights=counts[near])))
        counts = np.where(near, 0.0, counts)
    return found


def _cut(positions: FloatArray, counts: FloatArray) -> tuple[tuple[float, ...], tuple[tuple[float, float], ...]]:
    """Numbers of eigenvalues between gaps, and the gaps; a node that represents almost none neither bridges a gap nor
    forms a set."""
    sizes, gaps, last = [0.0], [], 0.0
    for position, count in _merged(positions, counts):
        if count >= PRESENT and position - last > GAP:
            sizes.append(0.0)
            gaps.append((last, position))
        sizes[-1] += count
        if count >= PRESENT:
            last = position
    return tuple(sizes), tuple(gaps)


def _merged(positions: FloatArray, counts: FloatArray) -> list[tuple[float, float]]:
    """Nodes of all probes, merged within a hundredth of the axis: an eigenvalue that every probe finds is one node."""
    merged: list[tuple[float, float]] = []
    for position, count in zip(positions.tolist(), counts.tolist(), strict=True):
        if merged and position - merged[-1][0] <= GAP / 10:
            merged[-1] = (merged[-1][0], merged[-1][1] + count)
        else:
            merged.append((position, count))
    return merged


@dataclass(frozen=True)
class MatchCount:
    """How often the predicted side of order 1 was the better one."""

    matches: int
    mismatches: int
    left_out: int  # cases without a prediction or without a best order


def count_matches(predicted_orders: Sequence[float | None], best_orders: Sequence[float | None]) -> MatchCount:
    """Count matches as figure 1(d) of the paper does (1451 of 1630 there).

    Args:
        predicted_orders: for each case, a network and layer, the order that its spectrum predicts.
        best_orders: for each case, the order of the largest Kendall's tau between the layer's entropy and the gap over
            the networks; None or NaN if there is none.

    A case is a match if both orders lie on the same side of 1. Cases with a missing order, or a best order of exactly
    1, are left out.

    Raises:
        ValueError: the two differ in length.
    """
    matches = mismatches = 0
    for predicted, best in zip(predicted_orders, best_orders, strict=True):
        if predicted is None or best is None or math.isnan(best) or best == 1:
            continue
        if (predicted < 1) == (best < 1):
            matches += 1
        else:
            mismatches += 1
    return MatchCount(matches, mismatches, len(predicted_orders) - matches - mismatches)
