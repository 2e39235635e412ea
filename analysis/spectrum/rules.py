"""Quadrature rules: what one is, what a second one is for, and how the run that made them came to its end."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import ArrayLike

from analysis.errors import UndefinedMeasureError
from analysis.spectrum.entropy import FloatArray

Rule = tuple[FloatArray, FloatArray]  # nodes and weights, both (num_probes, num_nodes)


INDEFINITE = 50.0  # times the noise; a semidefinite block's null directions were seen at up to 6 times below zero


class Ending(StrEnum):
    """How an estimate came to its end."""

    EXACT = "exact"  # the whole spectrum is known
    TOLERANCE = "tolerance"  # standard error and truncation met the tolerance
    FIXED = "fixed"  # the numbers of probes and steps were given
    PRODUCTS = "products"  # the most products allowed were spent first
    STEPS = "steps"  # the standard error met the tolerance, the truncation after so many steps did not
    MEMORY = "memory"  # more vectors would not have fitted the memory allowed


class Role(StrEnum):
    """What a quadrature's second rule is, taken from the same products."""

    RADAU = "radau"  # Gauss–Radau rules of the same probes, with a node at 0
    TRACE = "trace"  # one-node rules of independent probes: the separate trace of the paper's Algorithm 1


@dataclass(frozen=True)
class Companion:
    """The second rule of a quadrature and what it is for."""

    role: Role
    nodes: FloatArray  # (num_probes, num_nodes)
    weights: FloatArray  # (num_probes, num_nodes) each row sums to 1

    def __post_init__(self) -> None:
        nodes, weights = checked_rule(self.nodes, self.weights)
        object.__setattr__(self, "nodes", nodes)
        object.__setattr__(self, "weights", weights)


def is_indefinite(nodes: FloatArray, weights: FloatArray, noise: float) -> bool:
    """Whether some node is negative far beyond round-off, which leaves errors of a few times `noise`."""
    seen = nodes[weights > 0]
    return bool(seen.min() < -max(INDEFINITE * noise, 1e-12 * float(np.abs(seen).max())))


def checked_rule(nodes: ArrayLike, weights: ArrayLike) -> Rule:
    """Nodes and weights as two-dimensional float64 arrays.

    Raises:
        ValueError: they do not make a rule.
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
