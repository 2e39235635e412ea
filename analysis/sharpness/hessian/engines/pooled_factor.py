"""Gauss–Newton blocks of a layer whose channels are pooled to one number each before they mix, as the last of a CNN.

Its factor has rows G_ij = diag(u_ij) Q_i for the samples i and the R columns j of the loss curvature's root: Q_i (C, K)
is the derivative of the pooled channels in their own weights, u_ij (C) that of the loss in the pooled channels. So the
factor takes 1/R of the memory, its products 1/R of the work, and its Gram matrix,
    ⟨G_ij, G_kl⟩ = Σ_c u_ijc u_klc ⟨Q_ic, Q_kc⟩,
about 1/R² of it.
"""

import torch
from torch import Tensor

from analysis.sharpness.hessian.engines.gauss_newton import GaussNewtonFactor, semidefinite_eigenvalues

GRAM_BYTES = 2**24  # of workspace for the rows of a Gram matrix that are computed at a time


class PooledFactor:
    """GᵀG for the u (N, R, C) and Q (N, C, K) of such a layer. A product is 4·N·C·K operations a vector."""

    def __init__(self, u: Tensor, Q: Tensor) -> None:
        self._u, self._Q = u, Q
        self.dim = Q[0].numel()
        self.device, self.dtype = Q.device, Q.dtype

    def matmat(self, V: Tensor) -> Tensor:
        """(p, n) vectors, one a row, to their (p, n) products."""
        weights = torch.bmm(self._u.transpose(1, 2), self._columns(V))  # (N, C, p)
        return torch.bmm(weights.permute(1, 2, 0), self._Q.transpose(0, 1)).transpose(0, 1).flatten(1)

    def pushed(self, V: Tensor) -> Tensor:
        """(p, n) vectors, one a row, to their (p, N·R) products G v."""
        return self._columns(V).flatten(0, 1).T

    def _columns(self, V: Tensor) -> Tensor:
        """(N, R, p): G V."""
        by_channel = torch.unflatten(V, 1, self._Q.shape[1:]).transpose(0, 1)  # (C, p, K)
        pooled = torch.bmm(by_channel, self._Q.permute(1, 2, 0))  # (C, p, N)
        return torch.bmm(self._u, pooled.permute(2, 0, 1))

    def gram(self, dtype: torch.dtype | None = None) -> Tensor:
        """GGᵀ (N·R, N·R), formed in `dtype`; left out, the factor's own."""
        u, Q = (tensor.to(dtype or tensor.dtype) for tensor in (self._u, self._Q))
        num_samples, rank = u.shape[:2]
        by_channel = Q.transpose(0, 1)
        inner = torch.bmm(by_channel, by_channel.transpose(1, 2)).transpose(0, 1)  # (N, C, N): ⟨Q_ic, Q_kc⟩
        scales = u.permute(2, 0, 1)
        K = u.new_empty(num_samples, rank, num_samples * rank)
        rows = max(1, GRAM_BYTES // (scales.numel() * scales.element_size()))
        for out, ours, met in zip(*(torch.split(tensor, rows) for tensor in (K, u, inner)), strict=True):
            torch.bmm(ours, (met[..., None] * scales).flatten(2), out=out)
        return K.flatten(0, 1)

    def exact_eigenvalues(self, dtype: torch.dtype | None = None) -> Tensor:
        """The min(N·R, n) eigenvalues that can differ from zero, largest first, in float64; see `GaussNewtonFactor`."""
        u, Q = self._u, self._Q
        if u.shape[0] * u.shape[1] <= self.dim:
            return semidefinite_eigenvalues(self.gram(dtype))
        return GaussNewtonFactor((u[..., None] * Q[:, None]).flatten(0, 1).flatten(1)).exact_eigenvalues(dtype)
