"""Products and spectra of a given factor, and of all layers together."""

import pytest
import torch
from torch import Tensor

from analysis.errors import AnalysisError
from analysis.sharpness.hessian import block_operator, layer_operators
from analysis.sharpness.hessian.engines.gauss_newton import (
    GRAM_BLOCK,
    GaussNewtonFactor,
    GaussNewtonGram,
    gram,
    semidefinite_eigenvalues,
)
from analysis.sharpness.layers import select_parameters, weight_layers
from tests.analysis.sharpness.hessian.networks import build, dense_vector, gauss_newton, samples


def draw(*shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64).to(dtype)


@pytest.mark.parametrize("num_rows", [1, GRAM_BLOCK - 1, GRAM_BLOCK, 2 * GRAM_BLOCK + 7])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_gram(num_rows: int, dtype: torch.dtype) -> None:
    G = draw(num_rows, 40, dtype=dtype)
    K = gram(G)
    assert K.dtype == dtype
    assert torch.allclose(K, K.T)
    assert torch.allclose(K, G @ G.T, atol=1e-4 if dtype == torch.float32 else 1e-12)
    assert torch.allclose(gram(G, torch.float64), G.double() @ G.double().T, atol=1e-12)


@pytest.mark.parametrize("shape", [(5, 12), (12, 5), (7, 7)])
def test_factor(shape: tuple[int, int]) -> None:
    G = draw(*shape)
    factor, V = GaussNewtonFactor(G), draw(3, shape[1])
    reference = torch.linalg.eigvalsh(G.T @ G).flip(0)[: min(shape)]
    assert torch.allclose(factor.matmat(V), V @ G.T @ G)
    assert torch.allclose(factor.exact_eigenvalues(), reference)
    small = GaussNewtonGram(gram(G), shape[1], lambda: factor)
    assert torch.allclose(small.matmat(V), V @ G.T @ G)
    assert torch.allclose(small.exact_eigenvalues()[: min(shape)], reference)
    assert len(small.exact_eigenvalues()) <= shape[1]


def test_float64_gram_of_a_float32_factor_resolves_small_eigenvalues() -> None:
    """λ from 1 down to 1e-10: lost below 1e-7 in a float32 Gram matrix, kept by a float64 one."""
    left, right = torch.linalg.qr(draw(6, 6))[0], torch.linalg.qr(draw(40, 6))[0]
    values = 10.0 ** -torch.arange(0, 6, dtype=torch.float64)  # singular values
    factor = GaussNewtonFactor((left * values @ right.T).float())
    assert torch.allclose(factor.exact_eigenvalues(torch.float64), values**2, rtol=1e-2, atol=1e-14)
    assert not torch.allclose(factor.exact_eigenvalues(), values**2, rtol=1e-2, atol=1e-14)


def test_a_matrix_that_is_not_finite_has_no_eigenvalues() -> None:
    K = draw(3, 3)
    K[1, 1] = torch.inf
    assert semidefinite_eigenvalues(K).isnan().all()


def test_a_block_is_given_up_when_the_next_is_asked_for() -> None:
    model, (inputs, targets) = build("resnet"), samples(4)
    first, *_ = layer_operators(model, inputs, targets, engine="gauss_newton_factor")
    with pytest.raises(AnalysisError, match="released when the next block was requested"):
        first.matmat(dense_vector(first.dim))


@pytest.mark.parametrize("name", ["resnet", "simple_vit"])
def test_all_layer_gauss_newton_spectrum_is_the_sum_of_gram_matrices(name: str) -> None:
    model, (inputs, targets) = build(name), samples(3)
    layers = [*weight_layers(model), None]
    *_, total = layer_operators(model, inputs, targets, layers, "gauss_newton_gram", curvature="gauss_newton")
    assert total.layer is None
    assert total.engine == "gauss_newton_gram"
    exact = total.exact_eigenvalues()
    assert len(exact) == 3 * 2
    plain = block_operator(model, inputs, targets, None, "double_backward", curvature="gauss_newton")
    V = dense_vector(total.dim)
    assert torch.allclose(total.matmat(V), plain.matmat(V), rtol=1e-9, atol=1e-14)
    names = list(select_parameters(model, None))
    assert total.dim == sum(p.numel() for n, p in model.named_parameters() if n in names)
    assert torch.allclose(exact.sum(), torch.trace(gauss_newton(model, inputs, targets, names)), rtol=1e-10)
