"""Spectra and their entropies, in numpy alone: what is done with eigenvalues once they are known or estimated."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analysis.errors import UndefinedMeasureError

if TYPE_CHECKING:
    import pyarrow as pa

FloatArray = NDArray[np.float64]
NegativePolicy = Literal["abs", "clip", "mixed"]


@dataclass(frozen=True)
class Estimate:
    """A number with its uncertainty."""

    value: float
    stderr: float  # 0 for an exact value, NaN where a single probe tells nothing about the spread
    ci_low: float  # 95 % interval, Student's t over the probes
    ci_high: float


def renyi_entropy(eigenvalues: ArrayLike, order: float, negative: NegativePolicy = "abs") -> float:
    """Rényi entropy of a spectrum, in nats.

    H_α = 1/(1−α) · log Σ_i p_i^α with p_i = |λ_i| / Σ_j |λ_j|; order 1 is Shannon's −Σ p_i log p_i, order ∞ the
    min-entropy −log max p_i (Rényi Sharpness, eq. 4). Rényi *sharpness* is the negative of it.

    Args:
        eigenvalues: (n,) the whole spectrum, zeros included or not (they do not matter for orders above 0).
        order: α in (0, ∞].
        negative: what is done with negative eigenvalues. `abs` takes magnitudes throughout; `clip` sets them to 0;
            `mixed` divides Tr|H|^α by the signed (Tr H)^α as the authors' code does, for replication only: it
            diverges at order 1 as soon as one eigenvalue is negative.

    Raises:
        ValueError: the order is not positive, or the policy unknown.
        UndefinedMeasureError: the spectrum is zero, not finite, or its signed trace is not positive (`mixed`).
    """
    values = np.asarray(eigenvalues, dtype=np.float64).ravel()
    magnitudes = _magnitudes(values, negative)
    _check_order(order)
    total = values.sum() if negative == "mixed" else magnitudes.sum()
    if not np.isfinite(magnitudes).all():
        raise UndefinedMeasureError("the spectrum has NaN or infinite eigenvalues")
    if total <= 0:
        raise UndefinedMeasureError("the trace of the spectrum is not positive, so it has no entropy")
    p = magnitudes[magnitudes > 0] / total
    if order == 1:
        return float(-(p * np.log(p)).sum())
    if math.isinf(order):
        return float(-np.log(p.max()))
    # Scaled by the largest p, so that no power under- or overflows for large orders.
    top = p.max()
    return float((order * np.log(top) + np.log(((p / top) ** order).sum())) / (1 - order))


@dataclass(frozen=True)
class SpectralQuadrature:
    """The spectral measure of a symmetric matrix as stochastic Lanczos quadrature leaves it: raw nodes and weights.

    Row k is one probe's Gauss rule for the mean over eigenvalues, (1/n) Σ_i f(λ_i) ≈ Σ_j weights[k, j]·f(nodes[k, j]).
    So the weights of a row sum to 1 and every spectral sum is `dim` times the mean over rows. Kept as they are, they
    give any Rényi order later, without the network.
    """

    dim: int  # n, the size of the matrix
    nodes: FloatArray  # (num_probes, num_nodes) Ritz values
    weights: FloatArray  # (num_probes, num_nodes) non-negative, each row sums to 1
    exact: bool = False  # the rows hold the whole spectrum: estimates have no standard error

    def __post_init__(self) -> None:
        nodes = np.atleast_2d(np.asarray(self.nodes, dtype=np.float64))
        weights = np.atleast_2d(np.asarray(self.weights, dtype=np.float64))
        if nodes.shape != weights.shape or nodes.size == 0:
            raise ValueError(f"nodes {nodes.shape} and weights {weights.shape} must have the same, non-empty shape")
        if not np.isfinite(nodes).all() or not np.isfinite(weights).all():
            raise UndefinedMeasureError("the quadrature has NaN or infinite nodes or weights")
        if not np.allclose(weights.sum(axis=1), 1.0, atol=1e-6):
            raise ValueError(f"the weights of each probe must sum to 1; got sums {weights.sum(axis=1)}")
        object.__setattr__(self, "nodes", nodes)
        object.__setattr__(self, "weights", weights)

    @classmethod
    def from_eigenvalues(cls, eigenvalues: ArrayLike, dim: int | None = None) -> "SpectralQuadrature":
        """The exact quadrature of known eigenvalues; `dim` counts the zeros that are left out, if any are."""
        values = np.asarray(eigenvalues, dtype=np.float64).ravel()
        size = values.size if dim is None else dim
        if size < values.size:
            raise ValueError(f"dim is {size}, yet there are {values.size} eigenvalues")
        nodes, weights = values, np.full(values.size, 1.0 / size)
        if size > values.size:
            nodes, weights = np.append(nodes, 0.0), np.append(weights, 1.0 - values.size / size)
        return cls(size, nodes[None], weights[None], exact=True)

    @property
    def num_probes(self) -> int:
        """Number of independent probes."""
        return int(self.nodes.shape[0])

    def renyi_entropy(self, order: float, negative: Literal["abs", "clip"] = "abs") -> Estimate:
        """Rényi entropy of the matrix, with its standard error over the probes.

        H_α = 1/(1−α) · log( n·Ā / (n·B̄)^α ), where Ā and B̄ are the means over probes of Σ_j w_j|θ_j|^α and of
        Σ_j w_j|θ_j|. Numerator and trace come from the *same* probes, so their errors cancel and the value runs
        smoothly through order 1. The standard error is the delta method's.

        Raises:
            ValueError: the order is not positive.
            UndefinedMeasureError: every node is zero.
        """
        _check_order(order)
        magnitudes = _magnitudes(self.nodes, negative)
        top = float(magnitudes.max())
        if top == 0:
            raise UndefinedMeasureError("the Hessian is zero, so its spectrum has no entropy")
        x = magnitudes / top
        trace = self.dim * (self.weights * x).sum(axis=1)  # (num_probes,) in units of the top node
        trace_mean = trace.mean()
        if order == 1:
            log_x = np.log(x, where=x > 0, out=np.zeros_like(x))
            log_sum = self.dim * (self.weights * x * log_x).sum(axis=1)
            value = np.log(trace_mean) - log_sum.mean() / trace_mean
            influence = (trace - log_sum) / trace_mean + log_sum.mean() * trace / trace_mean**2
        elif math.isinf(order):
            value = np.log(trace_mean)
            influence = trace / trace_mean
        else:
            powers = np.power(x, order, where=x > 0, out=np.zeros_like(x))
            moment = self.dim * (self.weights * powers).sum(axis=1)
            value = (np.log(moment.mean()) - order * np.log(trace_mean)) / (1 - order)
            influence = (moment / moment.mean() - order * trace / trace_mean) / (1 - order)
        return self._estimate(float(value), influence)

    def trace(self) -> Estimate:
        """Trace n · mean_k Σ_j w_j θ_j, signed: for Rademacher probes Hutchinson's estimate from the same products."""
        per_probe = self.dim * (self.weights * self.nodes).sum(axis=1)
        return self._estimate(float(per_probe.mean()), per_probe)

    def lambda_max(self) -> float:
        """The largest node: a lower bound of the largest eigenvalue that Lanczos closes first of all."""
        return float(self.nodes[self.weights > 0].max())

    def density(self, grid: ArrayLike, bandwidth: float) -> FloatArray:
        """Spectral density on a grid, smoothed by a Gaussian: φ(t) = mean_k Σ_j w_j N(t; θ_j, bandwidth²).

        Args:
            grid: (m,) points.
            bandwidth: standard deviation of the Gaussian, in the units of the eigenvalues.

        Returns:
            (m,) density; it integrates to 1.
        """
        points = np.asarray(grid, dtype=np.float64)
        z = (points[:, None] - self.nodes.ravel()[None, :]) / bandwidth
        kernel = np.exp(-0.5 * z**2) / (bandwidth * math.sqrt(2 * math.pi))
        density: FloatArray = kernel @ self.weights.ravel() / self.num_probes
        return density

    def to_table(self) -> "pa.Table":
        """A pyarrow table with columns probe, node, weight; size and exactness in its schema's metadata."""
        import pyarrow as pa

        probe = np.repeat(np.arange(self.num_probes), self.nodes.shape[1])
        table = pa.table({"probe": probe, "node": self.nodes.ravel(), "weight": self.weights.ravel()})
        return table.replace_schema_metadata({"dim": str(self.dim), "exact": str(int(self.exact))})

    @classmethod
    def from_table(cls, table: "pa.Table") -> "SpectralQuadrature":
        """The quadrature that `to_table` wrote, bit for bit."""
        metadata: dict[bytes, Any] = table.schema.metadata
        num_probes = int(np.max(table["probe"].to_numpy())) + 1
        nodes = table["node"].to_numpy().reshape(num_probes, -1)
        weights = table["weight"].to_numpy().reshape(num_probes, -1)
        return cls(int(metadata[b"dim"]), nodes, weights, exact=metadata[b"exact"] == b"1")

    def _estimate(self, value: float, influence: FloatArray) -> Estimate:
        """An estimate whose standard error is that of the mean of the probes' influence values."""
        if self.exact:
            return Estimate(value, 0.0, value, value)
        if self.num_probes < 2:
            return Estimate(value, math.nan, math.nan, math.nan)
        from scipy.special import stdtrit

        stderr = float(influence.std(ddof=1) / math.sqrt(self.num_probes))
        half = float(stdtrit(self.num_probes - 1, 0.975)) * stderr
        return Estimate(value, stderr, value - half, value + half)


def _check_order(order: float) -> None:
    if not order > 0:
        raise ValueError(f"the order must be in (0, inf]; got {order}")


def _magnitudes(values: FloatArray, negative: str) -> FloatArray:
    if negative in ("abs", "mixed"):
        return np.abs(values)
    if negative == "clip":
        return np.maximum(values, 0.0)
    raise ValueError(f"negative must be 'abs', 'clip' or 'mixed'; got {negative!r}")
