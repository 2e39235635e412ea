"""Lanczos tridiagonalization of several start vectors at once, and the quadrature rules that it gives."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from analysis.errors import UndefinedMeasureError
from analysis.sharpness.linalg import BlockOperator, eigh
from analysis.spectrum.entropy import FloatArray
from analysis.spectrum.rules import Rule

NEAR_ZERO = 1e-10  # relative to the largest node
BREAKDOWN = 10.0  # β at or below so many units of round-off, relative to the largest coefficient, is 0


@dataclass(frozen=True)
class Tridiagonal:
    """The result of Lanczos on a symmetric matrix: T for each of p start vectors, and the last residual."""

    alphas: FloatArray  # (p, m) diagonals
    betas: FloatArray  # (p, m) off-diagonals; last the residual's norm; 0 once the Krylov space is exhausted

    def gauss(self) -> Rule:
        """Gauss nodes (p, m) and weights (p, m): eigenvalues of T, squared first entries of its eigenvectors.

        After a breakdown T falls into blocks, and every node outside the first block gets weight 0.
        """
        nodes, vectors = eigh(self._matrix())
        return nodes, vectors[:, 0, :] ** 2

    def open_gauss(self) -> Rule:
        """Of each start vector's last two Gauss rules, the one with nodes further from 0: nodes and weights (p, m).

        The rules of m and m − 1 steps interlace, so at most one has a node near 0. For |x|^α and an indefinite matrix
        with much of its mass at 0 the two err in opposite directions: either alone depends on whether m is even.
        """
        nodes, weights = self.gauss()
        if self.alphas.shape[1] == 1:
            return nodes, weights
        before = Tridiagonal(self.alphas[:, :-1], self.betas[:, :-1])
        nodes_before, weights_before = (np.pad(array, ((0, 0), (0, 1))) for array in before.gauss())
        gap = np.where(weights > 0, np.abs(nodes), np.inf).min(axis=1, keepdims=True)
        gap_before = np.where(weights_before > 0, np.abs(nodes_before), np.inf).min(axis=1, keepdims=True)
        closer = gap < gap_before
        return np.where(closer, nodes_before, nodes), np.where(closer, weights_before, weights)

    def radau(self) -> Rule:
        """Gauss–Radau nodes and weights (p, m + 1) with one node at 0.

        T is bordered by the residual β and the diagonal entry β² e_mᵀT⁻¹e_m, which makes it singular (Golub and
        Meurant 2010, §6.2). Exact for polynomials of degree 2m.
        """
        nodes, vectors = eigh(self._matrix())
        # A Gauss rule with a node this near 0 is its own Radau rule; the floor bounds 1/θ.
        floor = NEAR_ZERO * np.abs(nodes).max(axis=1, keepdims=True) + np.finfo(np.float64).tiny
        safe = np.where(np.abs(nodes) > floor, nodes, floor)
        last = self.betas[:, -1] ** 2 * (vectors[:, -1, :] ** 2 / safe).sum(axis=1)
        bordered = Tridiagonal(
            np.concatenate([self.alphas, last[:, None]], axis=1), np.pad(self.betas, ((0, 0), (0, 1)))
        )
        nodes, weights = bordered.gauss()
        np.put_along_axis(nodes, np.abs(nodes).argmin(axis=1)[:, None], 0.0, axis=1)
        return nodes, weights

    def ritz_pairs(self, tolerance: float) -> tuple[FloatArray, FloatArray]:
        """Eigenvalues (k,) of a single T, and its eigenvectors (m, k), whose residual is at most tolerance · |θ|.

        Not those near 0: after a breakdown T is padded with zeros, which are no eigenvalues of the matrix.
        """
        (nodes,), (vectors,) = eigh(self._matrix())
        residuals = self.betas[0, -1] * np.abs(vectors[-1])
        seen = np.abs(nodes) > NEAR_ZERO * np.abs(nodes).max()
        converged = seen & (residuals <= tolerance * np.abs(nodes))
        return nodes[converged], vectors[:, converged]

    def _matrix(self) -> FloatArray:
        """(p, m, m) dense symmetric."""
        p, m = self.alphas.shape
        T = np.zeros((p, m, m))
        step = np.arange(m)
        T[:, step, step] = self.alphas
        T[:, step[1:], step[:-1]] = T[:, step[:-1], step[1:]] = self.betas[:, :-1]
        return T


class Lanczos:
    """Lanczos runs from p start vectors, which can be continued at any time.

    The basis is reorthogonalized twice against all earlier vectors (without it Tr H^.5 is off by 41 % in float32 after
    15 steps). Coefficients are float64. When β falls to round-off relative to the matrix, the Krylov space is
    exhausted: that run's later coefficients are zero. No step waits for the device.

    Args:
        operator: the matrix A, of size n.
        start: (p, n) start vectors, of any length but zero.
        deflated: (k, n) orthonormal rows; the runs are those of the matrix compressed to their orthogonal complement.
        reorthogonalize: False gives the plain three-term recurrence, which ends at β = 0 only: textbook Lanczos.

    Cost: a product a run and step; p·m²·n multiplications and p·m·n numbers of memory for m steps (2·p·n of memory,
    and no such multiplications, without reorthogonalization).
    """

    def __init__(
        self, operator: BlockOperator, start: Tensor, deflated: Tensor | None = None, reorthogonalize: bool = True
    ) -> None:
        self._operator = operator
        self._deflated = deflated
        self._reorthogonalize = reorthogonalize
        self._most_steps = operator.dim - (0 if deflated is None else len(deflated))
        self._blocks: list[Tensor] = []  # (p, steps, n) pieces of the basis, one for each call of `advance`
        q = self._project(self._project(start))
        self._q = q / torch.linalg.vector_norm(q, dim=1, keepdim=True)
        self._previous = torch.zeros_like(self._q)
        self._alphas: list[Tensor] = []
        self._betas: list[Tensor] = []
        self._scale = torch.zeros(len(start), dtype=torch.float64, device=operator.device)
        self._alive = torch.ones(len(start), dtype=torch.bool, device=operator.device)

    @property
    def num_steps(self) -> int:
        """Steps taken so far."""
        return len(self._alphas)

    def advance(self, num_matvecs: int) -> Tridiagonal:
        """Go on until `num_matvecs` steps are taken in all, or as many as there are dimensions.

        Raises:
            UndefinedMeasureError: the products are NaN or infinite.
        """
        new = min(num_matvecs, self._most_steps) - self.num_steps
        if new > 0 and self._reorthogonalize:
            p, n = self._q.shape
            self._blocks.append(torch.zeros(p, new, n, dtype=self._q.dtype, device=self._q.device))
        for position in range(new):
            self._step(position)
        alphas = torch.stack(self._alphas, dim=1).cpu().numpy()
        betas = torch.stack(self._betas, dim=1).cpu().numpy()
        if not np.isfinite(alphas).all() or not np.isfinite(betas).all():
            raise UndefinedMeasureError("the Hessian products are NaN or infinite")
        return Tridiagonal(alphas, betas)

    def basis(self) -> Tensor:
        """(p, m, n) orthonormal rows of each run."""
        return torch.cat(self._blocks, dim=1)

    def _step(self, position: int) -> None:
        q = self._q
        if self._reorthogonalize:
            self._blocks[-1][:, position] = q
        w = self._operator.matmat(q)
        alpha = (q.double() * w.double()).sum(dim=1) * self._alive
        if self._reorthogonalize:
            w = self._project(self._project(w, position + 1), position + 1)
        else:
            beta = self._betas[-1] if self._betas else torch.zeros_like(alpha)
            w = w - alpha[:, None].to(w.dtype) * q - beta[:, None].to(w.dtype) * self._previous
            self._previous = q
        beta = torch.linalg.vector_norm(w, dim=1, dtype=torch.float64)
        self._scale = torch.maximum(self._scale, torch.maximum(alpha.abs(), beta * self._alive))
        unit = torch.finfo(w.dtype).eps if self._reorthogonalize else 0.0
        floor = BREAKDOWN * unit * self._scale
        # NaN is not below the floor: it stays, and is found at the end.
        self._alive = self._alive & ~(beta <= floor)
        self._alphas.append(alpha)
        self._betas.append(torch.where(self._alive, beta, 0.0))
        safe = beta[:, None].to(w.dtype).clamp_min(torch.finfo(w.dtype).tiny)
        self._q = torch.where(self._alive[:, None], w / safe, 0.0)

    def _project(self, w: Tensor, filled: int = 0) -> Tensor:
        """(p, n) vectors without their parts along the deflated and the basis; `filled`: steps of its last block."""
        if self._deflated is not None:
            w = w - (w @ self._deflated.T) @ self._deflated
        for block in self._blocks:
            seen = block if block is not self._blocks[-1] else block[:, :filled]
            w = w - torch.einsum("psn,ps->pn", seen, torch.einsum("psn,pn->ps", seen, w))
        return w
