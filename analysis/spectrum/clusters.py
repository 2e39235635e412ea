"""Zero-dominant spectra with one cluster or several, and the order that the paper's argument predicts for each.

The paper (§4.1, figure 1) sorts spectra by eye and argues that orders below 1 suit "multi-cluster", orders above 1
"single-cluster" spectra. It prints no rule. The rule here is our own: it looks at the spectrum alone and never at the
generalization gap.
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
PRESENT = 0.5  # eigenvalues a node must stand for to count as seen; a smaller share is one probe's tail
OUTSIDE = 2  # eigenvalues beyond the gap that make another cluster: a single one is an outlier
ZERO_DOMINANT = 0.5  # share of all eigenvalues in the cluster at 0


class SpectrumKind(StrEnum):
    """What a spectrum looks like."""

    MULTI_CLUSTER = "multi-cluster"
    SINGLE_CLUSTER = "single-cluster"
    NOT_ZERO_DOMINANT = "not zero-dominant"  # the paper's argument is silent


@dataclass(frozen=True)
class Clusters:
    """The clusters of one spectrum, on the axis of |λ| in units of the largest."""

    kind: SpectrumKind
    sizes: tuple[float, ...]  # eigenvalues in each cluster, that at 0 first
    predicted_order: float | None  # 0.5 for several clusters, 1.5 for one, None where the argument is silent


def find_clusters(spectrum: SpectralQuadrature) -> Clusters:
    """Sort a spectrum into clusters: sets of eigenvalues with no empty stretch of a tenth of the largest between them.

    Magnitudes |λ_i| / max|λ|, in ascending order and starting from 0, are cut wherever two neighbours are more than
    0.1 apart. The first set is the cluster at 0. The spectrum is zero-dominant if that holds half of all eigenvalues;
    it is then multi-cluster if at least two eigenvalues lie in other sets, of two or more each; a single eigenvalue
    by itself is an outlier and makes no cluster. Scale does not matter, nor does the gap of the network.

    Raises:
        UndefinedMeasureError: the spectrum is zero.
    """
    magnitudes = np.abs(spectrum.nodes).ravel()
    counts = (spectrum.dim / spectrum.num_probes * spectrum.weights).ravel()
    top = magnitudes[counts > 0].max()
    if top == 0:
        raise UndefinedMeasureError("the spectrum is zero, so it has no clusters")
    order = np.argsort(magnitudes)
    places, counts = magnitudes[order] / top, counts[order]
    sizes = _cut(places, counts)
    others = [size for size in sizes[1:] if size >= OUTSIDE - PRESENT]
    if sizes[0] < ZERO_DOMINANT * spectrum.dim:
        return Clusters(SpectrumKind.NOT_ZERO_DOMINANT, sizes, None)
    if others:
        return Clusters(SpectrumKind.MULTI_CLUSTER, sizes, 0.5)
    return Clusters(SpectrumKind.SINGLE_CLUSTER, sizes, 1.5)


def _cut(places: FloatArray, counts: FloatArray) -> tuple[float, ...]:
    """Numbers of eigenvalues between gaps; nodes that stand for next to none neither bridge a gap nor make a set."""
    sizes, last = [0.0], 0.0
    for place, count in _merged(places, counts):
        if count >= PRESENT and place - last > GAP:
            sizes.append(0.0)
        sizes[-1] += count
        if count >= PRESENT:
            last = place
    return tuple(sizes)


def _merged(places: FloatArray, counts: FloatArray) -> list[tuple[float, float]]:
    """Nodes of all probes gathered within a hundredth of the axis: the same eigenvalue seen by every probe is one."""
    merged: list[tuple[float, float]] = []
    for place, count in zip(places.tolist(), counts.tolist(), strict=True):
        if merged and place - merged[-1][0] <= GAP / 10:
            merged[-1] = (merged[-1][0], merged[-1][1] + count)
        else:
            merged.append((place, count))
    return merged


@dataclass(frozen=True)
class MatchCount:
    """How often a predicted side of order 1 was the better one."""

    matches: int
    mismatches: int
    left_out: int  # cases without a prediction, or without an order that was better

    @property
    def rate(self) -> float:
        """Share of matches among the cases that count; NaN without any."""
        total = self.matches + self.mismatches
        return self.matches / total if total else math.nan


def count_matches(predicted_orders: Sequence[float | None], best_orders: Sequence[float | None]) -> MatchCount:
    """Count matches as figure 1(d) of the paper does (1451 of 1630 there).

    Args:
        predicted_orders: for each case, a network and layer, the order that its spectrum predicts.
        best_orders: for each case, the order at which the layer's entropy follows the gap best over the networks (the
            largest Kendall's tau); None or NaN where there is none.

    A case is a match if both orders lie on the same side of 1. A best order of exactly 1 lies on neither, and a missing
    order leaves the case out.

    Raises:
        ValueError: the two are not of one length.
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
