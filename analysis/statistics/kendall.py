"""Kendall's rank correlation, with ties, missing values and an interval."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

NUM_DRAWS = 2000
MIN_FOR_INTERVAL = 5  # models; fewer say nothing about the spread
FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class KendallTau:
    """Rank agreement of two quantities over the same models. NaN where it is not defined."""

    tau_b: float  # tied pairs removed from the denominators: the headline
    tau_a: float  # tied pairs count 0 and stay in the denominator (Rényi Sharpness, eq. 8)
    n: int  # models with both values
    ties: int  # pairs of models tied in either value
    missing: int  # models without one of the values
    ci_low: float  # 95 % percentile bootstrap of tau_b over models; NaN with fewer than 5 of them
    ci_high: float


def kendall_tau(x: ArrayLike, y: ArrayLike, seed: int = 0) -> KendallTau:
    """Kendall's τ_b and τ_a of two quantities, and a bootstrap interval of τ_b.

    τ_a = Σ_{i<j} s^x_ij s^y_ij / (N(N−1)/2) with s_ij = sign(v_i − v_j); τ_b divides the same sum by
    sqrt(Σ|s^x_ij| · Σ|s^y_ij|). In a bootstrap draw, pairs made of the same model twice are ignored: counted, they
    would act as ties. Cost O(N²) a draw, 2 000 draws.

    Args:
        x, y: (N,) values; NaN or infinite ones are missing, and their models are dropped and counted.
        seed: seed of the bootstrap; the same seed resamples the same models for every measure.

    Raises:
        ValueError: x and y differ in length.
    """
    x, y = np.asarray(x, dtype=np.float64).ravel(), np.asarray(y, dtype=np.float64).ravel()
    if x.shape != y.shape:
        raise ValueError(f"x and y must have the same length; got {x.size} and {y.size}")
    present = np.isfinite(x) & np.isfinite(y)
    missing = int((~present).sum())
    sx, sy = _signs(x[present]), _signs(y[present])
    n = int(present.sum())
    pairs = n * (n - 1) / 2
    ties = int(pairs - np.abs(sx * sy).sum() / 2)
    if n < 2:
        return KendallTau(math.nan, math.nan, n, ties, missing, math.nan, math.nan)
    concordance = float((sx * sy).sum() / 2)
    tau_b = float(_tau_b(np.ones((1, n)), sx, sy)[0])
    low, high = math.nan, math.nan
    if n >= MIN_FOR_INTERVAL and math.isfinite(tau_b):
        draws = _tau_b(_multiplicities(n, seed), sx, sy)
        low, high = np.nanquantile(draws, [0.025, 0.975])
    return KendallTau(tau_b, concordance / pairs, n, ties, missing, float(low), float(high))


def _signs(values: FloatArray) -> FloatArray:
    """(N, N) signs of all differences."""
    signs: FloatArray = np.sign(values[:, None] - values[None, :])
    return signs


def _multiplicities(n: int, seed: int) -> FloatArray:
    """(NUM_DRAWS, n) how often each model is in each bootstrap draw."""
    draws = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=NUM_DRAWS)
    return draws.astype(np.float64)


def _tau_b(multiplicities: FloatArray, sx: FloatArray, sy: FloatArray) -> FloatArray:
    """τ_b of each draw, as three quadratic forms in the multiplicities; NaN where a quantity is constant."""

    def form(matrix: FloatArray) -> FloatArray:
        value: FloatArray = ((multiplicities @ matrix) * multiplicities).sum(axis=1)
        return value

    with np.errstate(invalid="ignore", divide="ignore"):
        tau: FloatArray = form(sx * sy) / np.sqrt(form(np.abs(sx)) * form(np.abs(sy)))
    return tau
