"""Spectra whose Rényi entropies are known in closed form, or to ten digits."""

import math

import numpy as np
from numpy.typing import NDArray

ORDERS = (0.5, 1.0, 1.5, 2.0, 3.0, math.inf)

# Orders α = .5 / 1 / 1.5 / 2 / 3 / ∞, in nats.
SPECTRA: dict[str, tuple[NDArray[np.float64], tuple[float, ...]]] = {
    "identity": (np.full(100, 3.7), (math.log(100),) * 6),
    "equal and zero": (np.repeat([2.5, 0.0], [12, 88]), (math.log(12),) * 6),
    "rank one": (np.repeat([2.5, 0.0], [1, 40]), (0.0,) * 6),
    "geometric": (
        np.asarray(2.0 ** -np.arange(64), dtype=np.float64),
        (1.7627471740, 1.3862943611, 1.2069122052, 1.0986122887, 0.9729550745, 0.6931471806),
    ),
    "arithmetic": (
        np.arange(1.0, 101.0),
        (4.4917741480, 4.4168975900, 4.3632555916, 4.3224509029, 4.2635717611, 3.9219733363),
    ),
    "second difference": (
        2 - 2 * np.cos(np.pi * np.arange(1, 101) / 101),
        (4.3993987643, 4.3021800156, 4.2433893902, 4.2030439791, 4.1500338562, 3.9122648935),
    ),
    "outliers over a floor": (
        np.repeat([1.0, 1e-4], [9, 991]),
        (3.6712062578, 2.3084870472, 2.2298571578, 2.2191253366, 2.2136509726, 2.2081755075),
    ),
}


def second_difference(n: int) -> NDArray[np.float64]:
    """tridiag(−1, 2, −1): not diagonal, so that Rademacher probes are not exact on it."""
    return 2 * np.eye(n) - np.eye(n, k=1) - np.eye(n, k=-1)


def rotated(eigenvalues: NDArray[np.float64], seed: int = 0) -> NDArray[np.float64]:
    """A dense symmetric matrix with these eigenvalues."""
    q, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(eigenvalues.size, eigenvalues.size)))
    return np.asarray((q * eigenvalues) @ q.T, dtype=np.float64)
