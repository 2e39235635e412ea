"""Quadratures of spectra: the entropies and traces that follow from them, with error bars. Imports numpy alone."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from analysis.errors import UndefinedMeasureError
from analysis.spectrum.entropy import (
    FloatArray,
    NegativePolicy,
    check_order,
    entropy_influence,
    entropy_of,
    magnitudes,
    renyi_entropy,
)
from analysis.spectrum.rules import Companion, Ending, Role, Rule, checked_rule, is_indefinite
from analysis.spectrum.table import from_table, to_table

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    from matplotlib.figure import Figure

    from analysis.spectrum.layers import LayerSpectra

__all__ = ["Estimate", "SpectralQuadrature", "renyi_entropy"]

RESOLUTION = 0.1  # nats; an entropy that truncation or round-off may change by more than this is not resolved


@dataclass(frozen=True)
class Estimate:
    """A number with its uncertainty."""

    value: float
    stderr: float  # 0 for an exact value; NaN for a single probe, which has no spread
    ci_low: float  # 95 % interval: Student's t over the probes, widened by the truncation error of the quadrature
    ci_high: float
    resolved: bool = True  # False: round-off or truncation may change it by over RESOLUTION; more probes don't help


@dataclass(frozen=True)
class SpectralQuadrature:
    """The spectrum of a symmetric matrix as stochastic Lanczos quadrature gives it: raw nodes and weights.

    Row k is one probe's Gauss rule for the mean over eigenvalues, (1/n) Σ_i f(λ_i) ≈ Σ_j weights[k, j]·f(nodes[k, j]).
    So the weights of a row sum to 1 and every spectral sum is `dim` times the mean over rows. Eigenvalues known exactly
    are in every row with weight 1/n and add nothing to the spread. A second rule from the same products shows how far
    truncation may have changed a value. From stored rules any Rényi order can be computed later, without the network.

    Raises:
        ValueError: shapes that do not fit, or weights that do not sum to 1.
        UndefinedMeasureError: NaN or infinite nodes or weights.

    >>> import renyi
    >>> spectrum = renyi.SpectralQuadrature.from_eigenvalues([4.0, 1.0, 1.0], dim=10)
    >>> spectrum.trace().value, spectrum.lambda_max(), round(spectrum.renyi_entropy(1.5).value, 3)
    (6.0, 4.0, 0.77)
    """

    dim: int  # n, the size of the matrix
    nodes: FloatArray  # (num_probes, num_nodes) Ritz values
    weights: FloatArray  # (num_probes, num_nodes) non-negative, each row sums to 1
    companion: Companion | None = None
    noise: float = 0.0  # magnitude below which a node is round-off and counts as 0
    num_products: int = 0  # matrix-vector products spent
    estimator: str = ""
    ending: Ending = Ending.FIXED
    engine: str = ""  # how the products, or the exact spectrum, were computed
    engine_reason: str = ""  # why that engine was chosen

    def __post_init__(self) -> None:
        nodes, weights = checked_rule(self.nodes, self.weights)
        object.__setattr__(self, "nodes", nodes)
        object.__setattr__(self, "weights", weights)

    @classmethod
    def from_eigenvalues(
        cls, eigenvalues: ArrayLike, dim: int | None = None, noise: float = 0.0, num_products: int = 0
    ) -> "SpectralQuadrature":
        """The exact quadrature of known eigenvalues; `dim` also counts zeros that are left out, if any."""
        values = np.asarray(eigenvalues, dtype=np.float64).ravel()
        size = values.size if dim is None else dim
        if size < values.size:
            raise ValueError(f"dim must be at least the number of eigenvalues, {values.size}; got {size}")
        nodes, weights = values, np.full(values.size, 1.0 / size)
        if size > values.size:
            nodes, weights = np.append(nodes, 0.0), np.append(weights, 1.0 - values.size / size)
        return cls(
            size,
            nodes[None],
            weights[None],
            noise=noise,
            num_products=num_products,
            estimator="exact",
            ending=Ending.EXACT,
        )

    @property
    def num_probes(self) -> int:
        """Number of independent probes."""
        return int(self.nodes.shape[0])

    @property
    def exact(self) -> bool:
        """Whether the whole spectrum is known, so that estimates have no standard error."""
        return self.ending is Ending.EXACT

    @property
    def indefinite(self) -> bool:
        """Whether some node is negative beyond round-off."""
        return is_indefinite(self.nodes, self.weights, self.noise)

    def __repr__(self) -> str:
        shape = f"{self.num_probes} × {self.nodes.shape[1]}"
        return f"<SpectralQuadrature of {self.dim} eigenvalues, {shape} nodes>\n{self._alone()!r}"

    def _repr_html_(self) -> str:
        return self._alone()._repr_html_()

    def to_frame(self, orders: Sequence[float] = (0.5, 1.0, 1.5, 2.0)) -> "pd.DataFrame":
        """Trace, largest eigenvalue and entropies, a row each; see `LayerSpectra.to_frame`."""
        return self._alone().to_frame(orders).drop(columns="layer")

    def plot(self) -> "Figure":
        """The spectrum, and its entropies over the orders; see `LayerSpectra.plot`."""
        return self._alone().plot()

    def _alone(self) -> "LayerSpectra":
        from analysis.spectrum.layers import LayerSpectra

        return LayerSpectra({None: self})

    def renyi_entropy(self, order: float, negative: NegativePolicy = "abs") -> Estimate:
        """Rényi entropy of the matrix, in nats, with its standard error over the probes and a 95 % interval.

        H_α = 1/(1−α) · log( n·Ā / (n·B̄)^α ), where Ā and B̄ are the means over probes of Σ_j w_j|θ_j|^α and of
        Σ_j w_j|θ_j|. Numerator and trace come from the *same* probes, so their errors cancel and the value is
        continuous at order 1; only a TRACE companion, which replicates Algorithm 1, separates them. The standard error
        is the delta method's.

        With a RADAU companion the value is that of the averaged rule. The interval starts at the lower entropy of the
        two rules minus the quantile times the standard error, and ends at the upper one plus the same. For a positive
        semidefinite matrix the rules have errors of opposite sign at every order that is not a whole number (and agree
        at whole orders from 2 upwards), so they bracket the entropy of infinitely many steps. For an indefinite matrix
        they do so if the spectrum is symmetric; on trained networks they did, with a wide margin, but nothing
        guarantees it.

        Args:
            order: α in (0, ∞]; 1 is Shannon's, ∞ the min-entropy.
            negative: policy for negative nodes, as for `renyi_entropy` of eigenvalues.

        Raises:
            ValueError: the order is not positive.
            UndefinedMeasureError: every node is zero, the signed trace is not positive (`mixed`, TRACE), or the order
                is 1 and numerator and trace are inconsistent (`mixed`, TRACE).

        Source: Ubaru, Chen, Saad 2017 (quadrature); Golub and Meurant 2010, §6.2 (brackets).
        """
        check_order(order)
        p, counts = self._distribution(self._averaged_rule(), negative)
        value = entropy_of(p, counts, order)
        rules = self._bracket(order, negative)
        resolved = self._is_resolved(rules, order, negative)
        if self.exact:
            return Estimate(value, 0.0, value, value, resolved)
        stderr = self._stderr(p, counts, order)
        half = self._quantile() * stderr
        return Estimate(value, stderr, min(value, *rules) - half, max(value, *rules) + half, resolved)

    def truncation(self, order: float, negative: NegativePolicy = "abs") -> float:
        """How far, in nats, too few Lanczos steps may have changed the entropy, whatever the number of probes.

        Half the difference of the Gauss and Radau entropies; 0 for an exact spectrum, NaN without a Radau rule.
        """
        if self.exact:
            return 0.0
        if self._role is not Role.RADAU:
            return math.nan
        first, second = self._bracket(order, negative)
        return abs(first - second) / 2

    def trace(self) -> Estimate:
        """Trace n · mean_k Σ_j w_j θ_j, signed: Hutchinson's estimate from the same products.

        The standard error is that of the mean over probes.
        """
        nodes, weights = self._trace_rule()
        per_probe = self.dim * (weights * nodes).sum(axis=1)
        value = float(per_probe.mean())
        if self.exact:
            return Estimate(value, 0.0, value, value)
        stderr = _stderr_of_mean(per_probe)
        half = self._quantile() * stderr
        return Estimate(value, stderr, value - half, value + half)

    def lambda_max(self) -> float:
        """The largest node: a lower bound of the largest eigenvalue, to which Lanczos converges first."""
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
        """A pyarrow table, one row for each node; scalar fields are repeated in every row, so tables can be stacked."""
        return to_table(vars(self))

    @classmethod
    def from_table(cls, table: "pa.Table") -> "SpectralQuadrature":
        """The quadrature that `to_table` wrote, bit for bit; other columns are ignored."""
        return cls(**from_table(table))

    @property
    def _role(self) -> Role | None:
        return self.companion.role if self.companion else None

    def _averaged_rule(self) -> Rule:
        """The rule that gives the values: with a Radau companion the mean of both, which errs less than either."""
        if self.companion is None or self.companion.role is not Role.RADAU:
            return self.nodes, self.weights
        nodes = np.hstack([self.nodes, self.companion.nodes])
        return nodes, 0.5 * np.hstack([self.weights, self.companion.weights])

    def _distribution(self, rule: Rule, negative: NegativePolicy, lifted: bool = False) -> Rule:
        """A rule's nodes as shares of the trace, and how many eigenvalues each represents, (num_probes, num_nodes).

        Nodes hidden by round-off count as 0 or, if `lifted`, as the size of the noise.
        """
        nodes, weights = rule
        values = magnitudes(nodes, negative)
        if not (values > self.noise).any():
            raise UndefinedMeasureError("the Hessian is zero, so its spectrum has no entropy")
        values = np.where(values > self.noise, values, np.where(values > 0, self.noise, 0.0) if lifted else 0.0)
        if self._role is Role.TRACE:
            total = self.trace().value
        else:
            total = float(self.dim * (weights * (nodes if negative == "mixed" else values)).sum(axis=1).mean())
        if total <= 0:
            raise UndefinedMeasureError(f"the trace estimate is {total:g}, not positive, so there is no entropy")
        return values / total, self.dim / self.num_probes * weights

    def _bracket(self, order: float, negative: NegativePolicy) -> tuple[float, float]:
        """The entropies of the Gauss rule and of a Radau companion; without one, that of the Gauss rule twice."""
        first = entropy_of(*self._distribution((self.nodes, self.weights), negative), order)
        if self.companion is None or self.companion.role is Role.TRACE:
            return first, first
        rule = self.companion.nodes, self.companion.weights
        return first, entropy_of(*self._distribution(rule, negative), order)

    def _is_resolved(self, rules: tuple[float, float], order: float, negative: NegativePolicy) -> bool:
        """Whether neither truncation nor round-off can change the entropy by more than RESOLUTION."""
        values = [*rules]
        if self.noise > 0 and negative != "mixed" and self._role is not Role.TRACE:
            lifted = self._distribution((self.nodes, self.weights), negative, lifted=True)
            values.append(entropy_of(*lifted, order))
        return max(values) - min(values) <= 2 * RESOLUTION

    def _trace_rule(self) -> Rule:
        if self.companion is not None and self.companion.role is Role.TRACE:
            return self.companion.nodes, self.companion.weights
        return self.nodes, self.weights

    def _stderr(self, p: FloatArray, counts: FloatArray, order: float) -> float:
        """The delta method's standard error: that of the mean over probes of Σ_j n w_j ∂H/∂c_j."""
        if self._role is not Role.TRACE:
            return _stderr_of_mean(self.num_probes * (counts * entropy_influence(p, counts, order)).sum(axis=1))
        nodes, _ = self._trace_rule()
        trace = nodes[:, 0] / nodes.mean()
        if math.isinf(order):
            return _stderr_of_mean(trace)
        moment = (counts * p**order).sum(axis=1)
        return math.hypot(_stderr_of_mean(moment / moment.mean()), order * _stderr_of_mean(trace)) / abs(1 - order)

    def _quantile(self) -> float:
        """The 97.5 % quantile of Student's t with num_probes − 1 degrees of freedom."""
        from scipy.special import stdtrit

        return float(stdtrit(self.num_probes - 1, 0.975)) if self.num_probes > 1 else math.nan


def _stderr_of_mean(per_probe: FloatArray) -> float:
    """Standard error of the mean of independent values; NaN for a single one."""
    if per_probe.size < 2:
        return math.nan
    return float(per_probe.std(ddof=1) / math.sqrt(per_probe.size))


Quadratures = Mapping[str, SpectralQuadrature]  # by layer
