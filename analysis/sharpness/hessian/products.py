"""The matrix product A Bᵀ, by whichever library multiplies faster.

PyTorch multiplies float32 matrices on a CPU with MKL, which keeps off AVX-512 on processors not made by Intel: measured
97 GFLOP/s on one core of a Zen 5, against 215 by oneDNN, which PyTorch uses for convolutions.
"""

import torch
from torch import Tensor


def _find_onednn() -> bool:
    """Whether oneDNN's product is there and right: torch offers it to its compiler, without a promise to keep it."""
    if not torch.backends.mkldnn.is_available():
        return False
    A, B = torch.arange(6.0).view(2, 3), torch.arange(12.0).view(4, 3)
    try:
        return torch.equal(_onednn(A, B), A @ B.T)
    except (AttributeError, RuntimeError, TypeError):
        return False


def _onednn(A: Tensor, B: Tensor) -> Tensor:
    product: Tensor = torch.ops.mkldnn._linear_pointwise(A, B, None, "none", [], "")
    return product


ONEDNN = _find_onednn()


def times_transpose(A: Tensor, B: Tensor) -> Tensor:
    """A Bᵀ for A (m, k), B (n, k)."""
    if ONEDNN and A.dtype == torch.float32 and A.device.type == "cpu" and 0 not in (*A.shape, *B.shape):
        return _onednn(A, B)
    return A @ B.T


def batched_times_transpose(A: Tensor, B: Tensor, scale: Tensor, out: Tensor) -> None:
    """diag(scale) A_i B_iᵀ into out (b, m, n), for A (b, m, k), B (b, n, k), scale (m,)."""
    if ONEDNN and A.dtype == torch.float32 and A.device.type == "cpu":
        for row, a, b in zip(out, A, B, strict=True):
            torch.mul(times_transpose(a, b), scale[:, None], out=row)
    else:
        torch.bmm(A * scale[:, None], B.transpose(1, 2), out=out)
