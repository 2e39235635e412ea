import numpy as np
import pytest
import torch

from analysis.errors import UndefinedMeasureError
from analysis.sharpness.estimators.lanczos import Lanczos, Tridiagonal
from analysis.spectrum.rules import Rule
from tests.analysis.closed_forms import rotated, second_difference
from tests.analysis.sharpness.dense_operator import DenseOperator, zero_dominant


def start(num_vectors: int, n: int) -> torch.Tensor:
    return torch.randn(num_vectors, n, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def moment(rule: Rule, order: float) -> np.ndarray:
    nodes, weights = rule
    return np.asarray((weights * np.abs(nodes) ** order).sum(axis=1))


def quadratic_form(matrix: np.ndarray, vectors: torch.Tensor, order: float) -> np.ndarray:
    """vᵀ|A|^α v of the normalized vectors."""
    values, basis = np.linalg.eigh(matrix)
    parts = (vectors / vectors.norm(dim=1, keepdim=True)).numpy() @ basis
    return np.asarray(parts**2 @ np.abs(values) ** order)


@pytest.mark.parametrize("num_distinct", [1, 2, 5, 12])
def test_as_many_steps_as_distinct_eigenvalues_are_exact(num_distinct: int) -> None:
    matrix = rotated(np.resize(np.linspace(1, 3, num_distinct), 60))
    vectors = start(3, 60)
    rule = Lanczos(DenseOperator(matrix), vectors).advance(num_distinct).gauss()
    for order in (0.5, 1.5, 3.0):
        np.testing.assert_allclose(moment(rule, order), quadratic_form(matrix, vectors, order), rtol=1e-8)


def test_the_krylov_space_of_a_multiple_of_the_identity_is_exhausted_at_once() -> None:
    tridiagonal = Lanczos(DenseOperator(2.5 * np.eye(30)), start(2, 30)).advance(10)
    assert (tridiagonal.betas == 0).all()
    nodes, weights = tridiagonal.gauss()
    np.testing.assert_allclose(moment((nodes, weights), 1), 2.5, rtol=1e-14)
    np.testing.assert_allclose(moment(tridiagonal.radau(), 0.5), 2.5**0.5, rtol=1e-12)


def test_going_on_is_the_same_as_going_at_once() -> None:
    operator = DenseOperator(second_difference(80))
    at_once = Lanczos(operator, start(3, 80)).advance(30)
    resumed = Lanczos(operator, start(3, 80))
    resumed.advance(7)
    resumed.advance(8)
    pieces = resumed.advance(30)
    np.testing.assert_allclose(pieces.alphas, at_once.alphas, atol=1e-13)
    np.testing.assert_allclose(pieces.betas, at_once.betas, atol=1e-13)
    assert resumed.num_steps == 30
    assert operator.num_products == 2 * 3 * 30


def test_no_more_steps_than_dimensions() -> None:
    run = Lanczos(DenseOperator(second_difference(10)), start(2, 10))
    tridiagonal = run.advance(25)
    assert tridiagonal.alphas.shape == (2, 10)
    np.testing.assert_allclose(tridiagonal.gauss()[0][0], np.linalg.eigvalsh(second_difference(10)), atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_basis_stays_orthonormal(dtype: torch.dtype) -> None:
    operator = DenseOperator.of_eigenvalues(zero_dominant(200), dtype)
    run = Lanczos(operator, start(2, 200).to(dtype))
    run.advance(20)
    run.advance(60)
    basis = run.basis()
    gram = torch.einsum("psn,ptn->pst", basis, basis)
    # Where the Krylov space was exhausted the rows are zero.
    filled = torch.diagonal(gram, dim1=1, dim2=2) > 0.5
    expected = torch.diag_embed(filled.to(dtype))
    assert (gram - expected).abs().max() < 20 * torch.finfo(dtype).eps


def test_float32_products_agree_with_float64() -> None:
    eigenvalues = zero_dominant(300)
    moments = [
        moment(
            Lanczos(DenseOperator.of_eigenvalues(eigenvalues, dtype), start(4, 300).to(dtype)).advance(40).gauss(), 0.5
        )
        for dtype in (torch.float32, torch.float64)
    ]
    np.testing.assert_allclose(moments[0], moments[1], rtol=2e-3)


def test_gauss_and_radau_bracket_a_semidefinite_matrix() -> None:
    matrix = rotated(zero_dominant(150))
    vectors = start(5, 150)
    for steps in (4, 9, 20):
        tridiagonal = Lanczos(DenseOperator(matrix), vectors).advance(steps)
        for order in (0.3, 0.5, 0.9):
            exact = quadratic_form(matrix, vectors, order)
            assert (moment(tridiagonal.gauss(), order) >= exact - 1e-10).all()
            assert (moment(tridiagonal.radau(), order) <= exact + 1e-10).all()
        for order in (1.2, 1.5, 1.9):
            exact = quadratic_form(matrix, vectors, order)
            assert (moment(tridiagonal.gauss(), order) <= exact + 1e-10).all()
            assert (moment(tridiagonal.radau(), order) >= exact - 1e-10).all()


def test_radau_is_exact_to_degree_2m_and_has_a_node_at_zero() -> None:
    matrix = rotated(np.linspace(0.1, 2, 40))
    vectors = start(3, 40)
    nodes, weights = Lanczos(DenseOperator(matrix), vectors).advance(4).radau()
    assert (np.abs(nodes).min(axis=1) == 0).all()
    np.testing.assert_allclose(weights.sum(axis=1), 1, rtol=1e-12)
    for degree in range(1, 9):
        np.testing.assert_allclose(moment((nodes, weights), degree), quadratic_form(matrix, vectors, degree), rtol=1e-9)


def test_the_two_rules_bracket_a_spectrum_that_is_symmetric_about_zero_whatever_the_parity() -> None:
    half = np.geomspace(1e-3, 1, 100)
    matrix = np.diag(np.concatenate([half, -half]))
    vectors = torch.ones(1, 200, dtype=torch.float64)
    exact = quadratic_form(matrix, vectors, 0.5)
    for steps in (20, 21, 22, 23):
        tridiagonal = Lanczos(DenseOperator(matrix), vectors).advance(steps)
        assert (moment(tridiagonal.open_gauss(), 0.5) >= exact - 1e-9).all()
        assert (moment(tridiagonal.radau(), 0.5) <= exact + 1e-9).all()


def test_deflated_runs_live_in_the_complement() -> None:
    matrix = rotated(zero_dominant(60))
    values, vectors = np.linalg.eigh(matrix)
    known = torch.as_tensor(vectors[:, -10:].T.copy())
    run = Lanczos(DenseOperator(matrix), start(3, 60), deflated=known)
    nodes, weights = run.advance(60).gauss()
    assert nodes.shape == (3, 50)
    assert nodes[weights > 1e-12].max() == pytest.approx(values[-11], rel=1e-10)
    assert (run.basis() @ known.T).abs().max() < 1e-13


def test_ritz_pairs_within_the_tolerance_are_eigenpairs() -> None:
    operator = DenseOperator.of_eigenvalues(zero_dominant(200))
    run = Lanczos(operator, start(1, 200))
    values, coefficients = run.advance(40).ritz_pairs(1e-3)
    assert 5 <= len(values) < 40
    vectors = torch.as_tensor(coefficients.T) @ run.basis()[0]
    residuals = (operator.matmat(vectors) - torch.as_tensor(values)[:, None] * vectors).norm(dim=1).numpy()
    assert (residuals <= 1.01e-3 * np.abs(values) + 1e-14).all()


def test_without_reorthogonalization_it_is_the_textbook_recurrence() -> None:
    matrix = second_difference(100)
    vectors = start(1, 100)
    tridiagonal = Lanczos(DenseOperator(matrix), vectors, reorthogonalize=False).advance(8)
    q, previous, beta = (vectors[0] / vectors[0].norm()).numpy(), np.zeros(100), 0.0
    for step in range(8):
        w = matrix @ q - beta * previous
        alpha = w @ q
        w = w - alpha * q
        assert tridiagonal.alphas[0, step] == pytest.approx(alpha, abs=1e-12)
        previous, beta = q, float(np.linalg.norm(w))
        assert tridiagonal.betas[0, step] == pytest.approx(beta, abs=1e-12)
        q = w / beta


def test_products_that_are_not_finite_are_refused() -> None:
    matrix = np.eye(5)
    matrix[2, 2] = np.nan
    with pytest.raises(UndefinedMeasureError, match="NaN"):
        Lanczos(DenseOperator(matrix), start(2, 5)).advance(3)


def test_a_zero_matrix_has_only_the_node_zero() -> None:
    nodes, weights = Lanczos(DenseOperator(np.zeros((6, 6))), start(2, 6)).advance(3).gauss()
    assert (nodes == 0).all()
    np.testing.assert_allclose(weights.sum(axis=1), 1)


def test_a_single_step_has_a_rule_too() -> None:
    tridiagonal = Tridiagonal(np.array([[2.0]]), np.array([[1.0]]))
    assert tridiagonal.open_gauss()[0].tolist() == [[2.0]]
    nodes, weights = tridiagonal.radau()
    np.testing.assert_allclose(sorted(nodes[0]), [0, 2.5])
    np.testing.assert_allclose((nodes * weights).sum(), 2.0)
