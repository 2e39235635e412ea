"""Dense products and eigenproblems, and the threads that they may use."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from threadpoolctl import threadpool_info

from analysis.sharpness.linalg import batched_times_transpose, eigh, eigvalsh, tensor_eigvalsh, times_transpose


def symmetric(*shape: int) -> torch.Tensor:
    A = torch.randn(*shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return A + A.mT


def openblas_threads() -> set[int]:
    return {library["num_threads"] for library in threadpool_info() if library["internal_api"] == "openblas"}


@pytest.fixture
def threads() -> Iterator[int]:
    """A number of threads for PyTorch that OpenBLAS does not have by itself."""
    before, other = torch.get_num_threads(), max(openblas_threads()) + 1
    torch.set_num_threads(other)
    yield other
    torch.set_num_threads(before)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_products(dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(0)
    A, B, scale = (torch.randn(*shape, generator=generator).to(dtype) for shape in ((3, 4, 7), (3, 5, 7), (4,)))
    out = torch.empty(3, 4, 5, dtype=dtype)
    batched_times_transpose(A, B, scale, out)
    assert torch.allclose(out, scale[:, None] * (A @ B.transpose(1, 2)), atol=1e-5)
    assert torch.allclose(times_transpose(A[0], B[0]), A[0] @ B[0].T, atol=1e-5)
    assert times_transpose(A[0][:0], B[0]).shape == (0, 5)


def test_batched_eigenvectors() -> None:
    A = symmetric(3, 5, 5).numpy()
    values, vectors = eigh(A)
    assert np.allclose(A @ vectors, vectors * values[:, None, :])
    assert (np.diff(values) >= 0).all()


def test_eigenvalues_are_those_of_torch() -> None:
    A = symmetric(6, 6)
    assert np.allclose(eigvalsh(A.numpy()), torch.linalg.eigvalsh(A))
    for dtype in (torch.float32, torch.float64):
        values = tensor_eigvalsh(A.to(dtype))
        assert values.dtype == dtype
        assert torch.allclose(values, torch.linalg.eigvalsh(A.to(dtype)), atol=1e-5)


def test_openblas_takes_as_many_threads_as_torch(threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    before, seen = openblas_threads(), set[int]()
    solve = np.linalg.eigvalsh

    def watched(A: np.ndarray) -> np.ndarray:
        seen.update(openblas_threads())
        return solve(A)

    monkeypatch.setattr(np.linalg, "eigvalsh", watched)
    eigvalsh(np.eye(3))
    assert seen == {threads}
    assert openblas_threads() == before
