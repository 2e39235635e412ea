"""What the rows of a factor are collected in, chunk by chunk of samples."""

import torch
from torch import Tensor

from analysis.sharpness.hessian.engines.factors import Rows
from analysis.sharpness.hessian.engines.gauss_newton import GaussNewtonFactor, GaussNewtonGram, gram
from analysis.sharpness.hessian.engines.pooled_factor import PooledFactor
from analysis.sharpness.problem import Problem


class FactorStore:
    """Collects an (r, n) factor chunk by chunk; rows are scaled by 1/√N."""

    def __init__(self, problem: Problem, dim: int, rank: int, workspace: Tensor | None = None) -> None:
        """`workspace`: memory to use, of at least r·n entries; it must be free as long as the factor is in use."""
        self._num_samples, self._rank, self._done = problem.num_samples, rank, 0
        num_rows = problem.num_samples * rank
        if workspace is None:
            workspace = torch.empty(num_rows * dim, dtype=problem.dtype, device=problem.device)
        self._G = workspace[: num_rows * dim].view(num_rows, dim)

    def add(self, rows: Rows) -> bool:
        """Add the rows of the next samples; True when those of all samples have been added."""
        target = self._G[self._done * self._rank : (self._done + rows.num_samples) * self._rank]
        rows.write(target.view(rows.num_samples, self._rank, -1), self._num_samples**-0.5)
        self._done += rows.num_samples
        return self._done == self._num_samples

    def factor(self) -> GaussNewtonFactor:
        """The finished factor, which this store no longer holds."""
        G, self._G = self._G, self._G.new_empty(0)
        return GaussNewtonFactor(G)


class DenseStore:
    """Adds up GᵀG (n, n) chunk by chunk: for n ≤ r smaller than G, and cheaper to multiply with."""

    def __init__(self, problem: Problem, dim: int, rank: int) -> None:
        self._num_samples, self._rank, self._done = problem.num_samples, rank, 0
        self._H = torch.zeros(dim, dim, dtype=problem.dtype, device=problem.device)

    def add(self, rows: Rows) -> bool:
        """Add the rows of the next samples; True when those of all samples have been added."""
        part = self._H.new_empty(rows.num_samples, self._rank, len(self._H))
        rows.write(part, self._num_samples**-0.5)
        self._H += gram(part.flatten(0, 1).T)
        self._done += rows.num_samples
        return self._done == self._num_samples

    def block(self) -> GaussNewtonGram:
        """The finished block."""
        return GaussNewtonGram(self._H)


class PooledStore:
    """Collects the factor of a layer whose channels are pooled (`PooledFactor`); Q is scaled by 1/√N."""

    def __init__(self, problem: Problem, dim: int, rank: int, num_channels: int) -> None:
        self._u = torch.empty(problem.num_samples, rank, num_channels, dtype=problem.dtype, device=problem.device)
        self._Q = self._u.new_empty(problem.num_samples, 1, dim)
        self._done = 0

    def add(self, rows: Rows) -> bool:
        """Add the rows of the next samples; True when those of all samples have been added."""
        assert rows.scales is not None
        assert rows.write_matrices is not None
        added = slice(self._done, self._done + rows.num_samples)
        self._u[added] = rows.scales
        rows.write_matrices(self._Q[added], len(self._Q) ** -0.5)
        self._done += rows.num_samples
        return self._done == len(self._Q)

    def factor(self) -> PooledFactor:
        """The finished factor."""
        return PooledFactor(self._u, torch.unflatten(self._Q[:, 0], 1, (self._u.shape[2], -1)))


def store_for(
    rows: Rows, problem: Problem, dim: int, rank: int, workspace: Tensor | None = None
) -> FactorStore | PooledStore:
    """The store for rows like these; see `FactorStore`."""
    if rows.scales is None:
        return FactorStore(problem, dim, rank, workspace)
    return PooledStore(problem, dim, rank, rows.scales.shape[2])
