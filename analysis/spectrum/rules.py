"""Quadrature rules: their form, the role of a second rule, and the reason why the run that made them ended."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import ArrayLike

from analysis.errors import UndefinedMeasureError
from analysis.spectrum.entropy import FloatArray

Rule = tuple[FloatArray, FloatArray]  # nodes and weights, both (num_probes, num_nodes)


INDEFINITE = 50.0  # times the noise; null directions of semidefinite blocks were seen as low as −6 times the noise


class Ending(StrEnum):
    """Why the computation of a spectrum ended."""

    EXACT = "exact"  # the whole spectrum is known
    TOLERANCE = "tolerance"  # standard error and truncation met the tolerance
    FIXED = "fixed"  # the numbers of probes and steps were given
    PRODUCTS = "products"  # the allowed number of products was used up first
    STEPS = "steps"  # the standard error met the tolerance; the truncation did not, after the most steps
    MEMORY = "memory"  # more vectors would have exceeded the allowed memory


class Role(StrEnum):
    """The role of a quadrature's second rule, which comes from the same products."""

    RADAU = "radau"  # Gauss–Radau rules of the same probes, with a node at 0
    TRACE = "trace"  # one-node rules of independent probes: the separate trace of the paper's Algorithm 1


@dataclass(frozen=True)
class Companion:
    """The second rule of a quadrature, with its role."""

    role: Role
    nodes: FloatArray  # (num_probes, num_nodes)
    weights: FloatArray  # (num_probes, num_nodes) each row sums to 1

    def __post_init__(self) -> None:
        nodes, weights = checked_rule(self.nodes, self.weights)
        object.__setattr__(self, "nodes", nodes)
        object.__setattr__(self, "weights", weights)


def is_indefinite(nodes: FloatArray, weights: FloatArray, noise: float) -> bool:
    """Whether some node is negative far beyond round-off, whose errors are a few times `noise`."""
    seen = nodes[weights > 0]
    return bool(seen.min() < -max(INDEFINITE * noise, 1e-12 * float(np.abs(seen).max())))


def checked_rule(nodes: ArrayLike, weights: ArrayLike) -> Rule:
    """Nodes and weights as two-dimensional float64 arrays.

    Raises:
        ValueError: their shapes differ, are empty, or the weights of a probe do not sum to 1.
        UndefinedMeasureError: they are not finite.
    """
    nodes = np.atleast_2d(np.asarray(nodes, dtype=np.float64))
    weights = np.atleast_2d(np.asarray(weights, dtype=np.float64))
    if nodes.shape != weights.shape or nodes.size == 0:
        raise ValueError(f"nodes {nodes.shape} and weights {weights.shape} must have the same, non-empty shape")
    if not np.isfinite(nodes).all() or not np.isfinite(weights).all():
        raise UndefinedMeasureError("the quadrature has NaN or infinite nodes or weights")
    if not np.allclose(weights.sum(axis=1), 1.0, atol=1e-6):
        raise ValueError(f"the weights of each probe must sum to 1; got sums {weights.sum(axis=1)}")
    return nodes, weights
