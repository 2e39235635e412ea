"""The Rényi entropy of a set of numbers, and its derivative. Imports numpy alone."""

import math
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analysis.errors import UndefinedMeasureError

FloatArray = NDArray[np.float64]
NegativePolicy = Literal["abs", "clip", "mixed"]

NEAR_ONE = 0.1  # within this distance of order 1, the power sum is computed as 1 + Σ p·expm1((α−1) log p)


def renyi_entropy(eigenvalues: ArrayLike, order: float, negative: NegativePolicy = "abs") -> float:
    """Rényi entropy of a spectrum, in nats.

    H_α = 1/(1−α) · log Σ_i p_i^α with p_i = |λ_i| / Σ_j |λ_j|; order 1 is Shannon's −Σ p_i log p_i, order ∞ the
    min-entropy −log max p_i (Rényi Sharpness, eq. 4). Rényi *sharpness* is its negative.

    Args:
        eigenvalues: (n,) the whole spectrum; zeros may be left out, since they do not matter for orders above 0.
        order: α in (0, ∞].
        negative: how negative eigenvalues are treated. `abs` uses magnitudes throughout; `clip` sets them to 0;
            `mixed` divides Tr|H|^α by the signed (Tr H)^α as the authors' code does. It is for replication only: it
            diverges at order 1 if any eigenvalue is negative.

    Raises:
        ValueError: the order is not positive, or the policy unknown.
        UndefinedMeasureError: the spectrum is zero, not finite, or its signed trace is not positive (`mixed`).

    >>> import renyi
    >>> renyi.renyi_entropy([1.0, 1.0, 0.0], order=2)  # log 2: two eigenvalues share the trace
    0.693...
    """
    check_order(order)
    values = np.asarray(eigenvalues, dtype=np.float64).ravel()
    magnitude = magnitudes(values, negative)
    if not np.isfinite(magnitude).all():
        raise UndefinedMeasureError("the spectrum has NaN or infinite eigenvalues")
    top = float(magnitude.max(initial=0.0))
    if top == 0:
        raise UndefinedMeasureError("the spectrum is zero, so it has no entropy")
    # In units of the largest magnitude, so that no sum overflows or underflows, whatever the scale of the matrix.
    total = float(((values if negative == "mixed" else magnitude) / top).sum())
    if total <= 0:
        raise UndefinedMeasureError(f"the trace of the spectrum is {total * top:g}, not positive: it has no entropy")
    return entropy_of(magnitude / top / total, np.ones(values.size), order)


def entropy_of(p: FloatArray, counts: FloatArray, order: float) -> float:
    """1/(1−α) · log Σ_j c_j p_j^α, in nats: the entropy of values p_j that occur c_j times.

    Args:
        p: values ≥ 0, with Σ c_j p_j = 1 for a distribution. With another total (trace and powers from different
            probes, or a signed trace) the formula is the same, but it diverges at order 1.
        counts: how often each value occurs, in the shape of p; not necessarily whole numbers.
        order: α in (0, ∞].

    Raises:
        UndefinedMeasureError: order 1 with a total that is not 1.
    """
    seen = (p > 0) & (counts > 0)
    p, counts = p[seen], counts[seen]
    mass = float((counts * p).sum())
    if order == 1:
        if abs(mass - 1) > 1e-9:
            raise UndefinedMeasureError("the entropy diverges at order 1, since powers and trace are inconsistent")
        return float(-(counts * p * np.log(p)).sum())
    if math.isinf(order):
        return float(-np.log(p.max()))
    if abs(order - 1) < NEAR_ONE:
        excess = (counts * p * np.expm1((order - 1) * np.log(p))).sum()
        # The mass of a distribution differs from 1 only by round-off, which 1/(1−α) would magnify.
        return float(np.log1p(excess + (mass - 1 if abs(mass - 1) > 1e-9 else 0.0)) / (1 - order))
    top = float(p.max())
    return float((order * np.log(top) + np.log((counts * (p / top) ** order).sum())) / (1 - order))


def entropy_influence(p: FloatArray, counts: FloatArray, order: float) -> FloatArray:
    """∂H_α/∂c_j at Σ c_j p_j = 1, in the shape of p: how one more eigenvalue of that size changes the entropy.

    (p^α / Σ c p^α − α p) / (1−α); at order 1, p (1 − log p − H₁); at order ∞, p. The delta method uses it: to first
    order, errors δc_j of the counts change the entropy by Σ_j δc_j ∂H/∂c_j.
    """
    if math.isinf(order):
        return p
    if order == 1:
        log_p = np.log(p, where=p > 0, out=np.zeros_like(p))
        influence: FloatArray = p * (1 - log_p + (counts * p * log_p).sum())
        return influence
    powers = np.power(p / p.max(), order, where=p > 0, out=np.zeros_like(p))
    return np.asarray((powers / (counts * powers).sum() - order * p) / (1 - order), dtype=np.float64)


def check_order(order: float) -> None:
    """Raise ValueError unless the order is in (0, ∞]."""
    if not order > 0:
        raise ValueError(f"the order must be in (0, inf]; got {order}")


def magnitudes(values: FloatArray, negative: str) -> FloatArray:
    """The magnitudes whose powers are summed, under a policy for negative eigenvalues."""
    if negative in ("abs", "mixed"):
        return np.abs(values)
    if negative == "clip":
        return np.maximum(values, 0.0)
    raise ValueError(f"negative must be 'abs', 'clip' or 'mixed'; got {negative!r}")
