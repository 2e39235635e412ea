"""Symmetric matrices known through their products, and dense matrices: products and eigenvalues by the faster library.

PyTorch multiplies float32 matrices on a CPU with MKL, which avoids AVX-512 on processors that Intel did not make:
measured 97 GFLOP/s on one core of a Zen 5, against 215 by oneDNN, which PyTorch uses for convolutions.

NumPy and SciPy each bring an OpenBLAS of their own. It uses one thread for each core, whatever PyTorch was limited to,
and its threads keep spinning after a call: measured 0.1 s of a second core after 0.02 s of work. Other trials on that
core then lack this time. So eigenproblems are solved on as many threads as PyTorch may use.
"""

from contextlib import AbstractContextManager
from functools import cache
from typing import Protocol

import numpy as np
import torch
from scipy import linalg
from threadpoolctl import ThreadpoolController
from torch import Tensor

from analysis.spectrum.entropy import FloatArray


class BlockOperator(Protocol):
    """A symmetric matrix known through its products."""

    @property
    def dim(self) -> int:
        """Number of rows, n."""

    @property
    def device(self) -> torch.device:
        """Where vectors must live."""

    @property
    def dtype(self) -> torch.dtype:
        """Type of the vectors."""

    def matmat(self, V: Tensor) -> Tensor:
        """(p, n) vectors, one a row, to their (p, n) products."""


# Matrix products


def _find_onednn() -> bool:
    """Whether oneDNN's product exists and is right: torch offers it to its compiler, with no promise to keep it."""
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


# Eigenvalues


def eigh(A: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Eigenvalues (…, n), smallest first, and eigenvectors (…, n, n), one a column, of symmetric (…, n, n) matrices."""
    with _threads_of_torch():
        values, vectors = np.linalg.eigh(A)
    return values, vectors


def eigvalsh(A: FloatArray) -> FloatArray:
    """Eigenvalues (n,) of a symmetric (n, n) matrix, smallest first."""
    with _threads_of_torch():
        return np.asarray(np.linalg.eigvalsh(A), dtype=np.float64)


def tensor_eigvalsh(A: Tensor) -> Tensor:
    """Eigenvalues (n,) of a symmetric (n, n) tensor in its own type, smallest first; NaN if an entry is not finite.

    In float32 where LAPACK does not know its type (bfloat16, float16).

    On a CPU by SciPy's LAPACK: measured 0.65 of the time of torch's, on a processor of AMD's. The matrix is passed in
    LAPACK's order, by columns, and read from its upper triangle: 0.85 of the time of SciPy's defaults.
    """
    A = A.float() if A.dtype in (torch.bfloat16, torch.float16) else A
    if A.device.type != "cpu":
        return torch.linalg.eigvalsh(A)  # type: ignore[no-any-return]
    # The sum costs a tenth of the full check; a sum that overflows does not mean that an entry is infinite.
    if not A.sum().isfinite() and not A.isfinite().all():
        return A.new_full((len(A),), torch.nan)
    with _threads_of_torch():
        return torch.from_numpy(linalg.eigvalsh(A.numpy().T, lower=False, driver="evd", check_finite=False))


def _threads_of_torch() -> AbstractContextManager[object]:
    limit: AbstractContextManager[object] = _openblas().limit(limits=torch.get_num_threads())  # takes 11 μs
    return limit


@cache
def _openblas() -> ThreadpoolController:
    return ThreadpoolController().select(internal_api="openblas")
