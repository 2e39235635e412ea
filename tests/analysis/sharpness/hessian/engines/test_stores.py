"""Factors collected in chunks are those collected at once."""

import pytest
import torch
from torch import Tensor, nn

from analysis.sharpness.hessian.engines.factors import Rows, Unmultiplied
from analysis.sharpness.hessian.engines.forms import Form
from analysis.sharpness.hessian.engines.gauss_newton import GaussNewtonFactor
from analysis.sharpness.hessian.engines.pooled_factor import PooledFactor
from analysis.sharpness.hessian.engines.stores import DenseStore, ImplicitStore, store_for
from analysis.sharpness.hessian.tape.cotangents import Cotangents
from analysis.sharpness.hessian.tape.linear_maps import MatrixProduct, UnsupportedError
from analysis.sharpness.problem import Problem, pose
from tests.analysis.sharpness.hessian.networks import samples

N, R, C, K = 5, 2, 3, 4


def draw(*size: int, seed: int = 0) -> Tensor:
    return torch.randn(*size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


NAME = "3.weight"  # (C, K)


def problem() -> Problem:
    model = nn.Sequential(nn.Flatten(), nn.Linear(192, K), nn.ReLU(), nn.Linear(K, C)).double()
    return pose(model, *samples(N))


def rows(G: Tensor) -> Rows:
    """Those of some samples, for G (B, R, n)."""

    def write(out: Tensor, scale: float) -> None:
        out.copy_(scale * G)

    return Rows(len(G), write)


def test_a_factor_in_two_chunks() -> None:
    G = draw(N, R, C * K)
    workspace = torch.full((N * R * C * K + 7,), torch.nan, dtype=torch.float64)
    store = store_for(Form.ROWS, NAME, rows(G[:3]), problem(), R, workspace)
    assert [store.add(rows(G[:3])), store.add(rows(G[3:]))] == [False, True]
    assert not isinstance(store, DenseStore)
    factor = store.factor()
    assert isinstance(factor, GaussNewtonFactor)
    assert torch.allclose(factor.G, G.flatten(0, 1) * N**-0.5)
    assert factor.G.data_ptr() == workspace.data_ptr()


def test_a_matrix_added_up() -> None:
    G = draw(N, R, C * K)
    store = store_for(Form.SUMMED, NAME, rows(G[:3]), problem(), R)
    assert isinstance(store, DenseStore)
    assert [store.add(rows(G[:3])), store.add(rows(G[3:]))] == [False, True]
    assert torch.allclose(store.block().matmat(torch.eye(C * K).double()), G.flatten(0, 1).T @ G.flatten(0, 1) / N)


def test_a_pooled_factor_in_two_chunks() -> None:
    u, Q = draw(N, R, C), draw(N, C * K, seed=1)

    def pooled(part: slice) -> Rows:
        def write(out: Tensor, scale: float) -> None:
            out.copy_(scale * Q[part, None])

        return Rows(len(u[part]), lambda out, scale: None, u[part], write)

    parts = [pooled(slice(0, 2)), pooled(slice(2, N))]
    store = store_for(Form.ROWS, NAME, parts[0], problem(), R)
    assert [store.add(part) for part in parts] == [False, True]
    assert not isinstance(store, DenseStore)
    factor = store.factor()
    assert isinstance(factor, PooledFactor)
    G = (u[..., None] * Q.view(N, 1, C, K)).reshape(N * R, C * K) * N**-0.5
    assert torch.allclose(factor.gram(), G @ G.T)


def test_a_factor_that_is_kept_unmultiplied() -> None:
    """Of rows that no module has, there is nothing to keep but the rows."""
    a, g = draw(N, K), draw(N, R, C, seed=1)

    def outer(part: slice) -> Rows:
        use = Unmultiplied(MatrixProduct(), a[part], Cotangents(g[part]))
        return Rows(len(a[part]), lambda out, scale: None, unmultiplied=lambda: [use])

    parts = [outer(slice(0, 2)), outer(slice(2, N))]
    store = store_for(Form.IMPLICIT, NAME, parts[0], problem(), R)
    assert [store.add(part) for part in parts] == [False, True]
    assert isinstance(store, ImplicitStore)
    G = torch.einsum("nrc,nk->nrck", g, a).reshape(N * R, C * K) * N**-0.5
    assert torch.allclose(store.factor().matmat(G), G @ G.T @ G)
    with pytest.raises(UnsupportedError, match="outside its module"):
        store_for(Form.IMPLICIT, NAME, parts[0], problem(), R).add(rows(draw(N, R, C * K)))
