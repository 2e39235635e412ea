"""Gauss–Newton blocks from their factors: products by two matrix products, exact spectra from a Gram matrix.

For one layer of a piecewise-linear network the Gauss–Newton block is the Hessian's block: the outputs are piecewise
linear in one layer's weights, so the loss is the only source of curvature.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from analysis.errors import AnalysisError
from analysis.sharpness.hessian.cost import BlockOperator
from analysis.sharpness.hessian.engines.factors import Rows
from analysis.sharpness.hessian.products import times_transpose
from analysis.sharpness.linalg import tensor_eigvalsh
from analysis.sharpness.problem import Problem

CONVERTED_COLUMNS = 4096  # of a factor, converted to another type at a time
GRAM_DEPTH = 4  # how often a Gram matrix is halved: all but 1/16 of its upper half is not computed
GRAM_BLOCK = 64  # rows of a block that is not halved further


def gram(G: Tensor, dtype: torch.dtype | None = None) -> Tensor:
    """G Gᵀ (r, r) of an (r, n) matrix, formed in `dtype` (left out: that of G).

    Halved over and over, so that of two blocks that mirror each other one is computed: measured 0.59 of the time of
    one matrix product, where blocks of rows took 0.63.
    """
    if dtype not in (None, G.dtype):
        K = torch.zeros(len(G), len(G), dtype=dtype, device=G.device)
        for columns in torch.split(G, CONVERTED_COLUMNS, dim=1):
            K += gram(columns.to(dtype))
        return K
    G = G.contiguous()  # oneDNN takes a thousand times longer on slices of a transposed matrix
    K = torch.empty(len(G), len(G), dtype=G.dtype, device=G.device)
    _write_gram(G, K, GRAM_DEPTH)
    return K


def _write_gram(G: Tensor, K: Tensor, depth: int) -> None:
    if len(G) <= GRAM_BLOCK or depth == 0:
        K.copy_(times_transpose(G, G))
        return
    half = math.ceil(len(G) / 32) * 16  # matrix products are fastest on whole multiples of 16
    _write_gram(G[:half], K[:half, :half], depth - 1)
    _write_gram(G[half:], K[half:, half:], depth - 1)
    K[half:, :half] = times_transpose(G[half:], G[:half])
    K[:half, half:] = K[half:, :half].T


def spectrum(gram_matrix: Tensor) -> Tensor:
    """Eigenvalues of a positive semidefinite matrix, largest first, as float64; round-off below zero is set to zero.

    Solved in the matrix's own type: its entries are no better, and entropies of ResNet-20's blocks (α ≥ .1) moved by
    less than 2e-5 nats between all-float32 and all-float64.
    """
    return tensor_eigvalsh(gram_matrix).double().flip(0).clamp_min(0)


class GaussNewtonFactor:
    """GᵀG for an (r, n) factor G held in memory, r = N·R with R the rank of the loss curvature.

    A product is 4·r·n operations a vector, and no pass through the network.
    """

    engine = "gauss_newton_factor"

    def __init__(self, G: Tensor) -> None:
        self._G: Tensor | None = G
        self.dim = G.shape[1]
        self.device, self.dtype = G.device, G.dtype

    @property
    def G(self) -> Tensor:  # noqa: N802  # as in the mathematics
        """The factor (r, n).

        Raises:
            AnalysisError: it was released.
        """
        if self._G is None:
            raise AnalysisError(
                "this block's factor was given up when the next block was asked for; use a block before going on, or "
                "make it with block_operator"
            )
        return self._G

    def release(self) -> None:
        """Give the factor up: its memory goes to the next layer's."""
        self._G = None

    def matmat(self, V: Tensor) -> Tensor:
        """(p, n) vectors, one a row, to their (p, n) products."""
        return times_transpose(times_transpose(V, self.G), self.G.T)

    def gram(self, dtype: torch.dtype | None = None) -> Tensor:
        """GGᵀ (r, r), formed in `dtype`; left out, the factor's own."""
        return gram(self.G, dtype)

    def exact_eigenvalues(self, dtype: torch.dtype | None = None) -> Tensor:
        """The min(r, n) eigenvalues that can differ from zero, largest first, in float64.

        Args:
            dtype: type in which the smaller of GGᵀ and GᵀG is formed; left out, that of the factor, which leaves an
                error of about its precision times the largest eigenvalue in every one.

        Cost: r·n·min(r, n) multiplications and a symmetric eigenproblem of that size.
        """
        return spectrum(gram(self.G if len(self.G) <= self.dim else self.G.T, dtype))


class GaussNewtonGram:
    """A Gauss–Newton block known through a Gram matrix: GᵀG itself (n, n), or GGᵀ (r, r), which has the same spectrum.

    Products with GᵀG are one matrix product; beside GGᵀ they come from `products`, another operator of the same block,
    which is made when it is first asked for.
    """

    engine = "gauss_newton_gram"

    def __init__(
        self, matrix: Tensor, dim: int | None = None, products: Callable[[], BlockOperator] | None = None
    ) -> None:
        self.gram = matrix
        self.dim = len(matrix) if dim is None else dim
        self.device, self.dtype = matrix.device, matrix.dtype
        self._make = products
        self._products: BlockOperator | None = None

    def matmat(self, V: Tensor) -> Tensor:
        """(p, n) vectors, one a row, to their (p, n) products."""
        if self._make is None:
            return V @ self.gram
        if self._products is None:
            self._products = self._make()
        return self._products.matmat(V)

    def exact_eigenvalues(self, dtype: torch.dtype | None = None) -> Tensor:
        """The eigenvalues that can differ from zero, largest first, in float64, whatever `dtype`.

        Cost: a symmetric eigenproblem of the Gram matrix's size.
        """
        return spectrum(self.gram)[: self.dim]


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
        """Take the rows of the next samples; True when all are there."""
        place = self._G[self._done * self._rank : (self._done + rows.num_samples) * self._rank]
        rows.write(place.view(rows.num_samples, self._rank, -1), self._num_samples**-0.5)
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
        """Take the rows of the next samples; True when all are there."""
        part = self._H.new_empty(rows.num_samples, self._rank, len(self._H))
        rows.write(part, self._num_samples**-0.5)
        self._H += gram(part.flatten(0, 1).T)
        self._done += rows.num_samples
        return self._done == self._num_samples

    def block(self) -> GaussNewtonGram:
        """The finished block."""
        return GaussNewtonGram(self._H)
