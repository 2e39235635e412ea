"""What every loss must be: torch's mean, with the curvature of its values and a root of that curvature."""

import pytest
import torch
from torch import Tensor

from analysis.errors import UndefinedMeasureError
from analysis.sharpness.loss import Loss, MeanSquaredError
from tests.analysis.sharpness.loss.cases import CASES, WITH_ROOT, Case


def fitted(case: Case) -> Loss:
    return case.loss.fitted(case.outputs, case.targets)


def dense_curvature(case: Case) -> Tensor:
    """(N, D, D) second derivatives of the values, sample by sample."""
    loss, (num_samples, *shape) = fitted(case), case.outputs.shape

    def total(outputs: Tensor) -> Tensor:
        return loss.values(outputs.view(num_samples, *shape), case.targets).sum()

    H: Tensor = torch.autograd.functional.hessian(total, case.outputs.reshape(num_samples, -1))
    each = torch.arange(num_samples)
    assert H.flatten(1, 1).abs().sum() == pytest.approx(H[each, :, each].abs().sum())  # nothing between samples
    return H[each, :, each]


@pytest.mark.parametrize("name", CASES)
def test_the_mean_is_torchs(name: str) -> None:
    case = CASES[name]
    loss = fitted(case)
    expected = case.torch(case.outputs, case.targets)
    assert torch.allclose(loss.mean(case.outputs, case.targets), expected, rtol=1e-13)
    values, counts = loss.values(case.outputs, case.targets), loss.counts(case.outputs, case.targets)
    assert values.shape == counts.shape == (len(case.outputs),)
    assert torch.allclose(values.sum() / counts.sum(), expected, rtol=1e-13)


@pytest.mark.parametrize("name", CASES)
def test_a_sample_has_the_same_value_alone(name: str) -> None:
    case, loss = CASES[name], fitted(CASES[name])
    together = loss.values(case.outputs, case.targets)
    alone = [loss.values(f, y) for f, y in zip(case.outputs.split(1), case.targets.split(1), strict=True)]
    assert torch.allclose(torch.cat(alone), together, rtol=1e-13)


@pytest.mark.parametrize("name", CASES)
def test_the_gradient_is_that_of_the_mean(name: str) -> None:
    case, loss = CASES[name], fitted(CASES[name])
    leaf = case.outputs.clone().requires_grad_()
    (expected,) = torch.autograd.grad(case.torch(leaf, case.targets), leaf)
    found = loss.gradient(case.outputs, case.targets) / loss.counts(case.outputs, case.targets).sum()
    assert torch.allclose(found, expected, atol=1e-15)


@pytest.mark.parametrize("name", CASES)
def test_the_curvature_is_the_second_derivative(name: str) -> None:
    case = CASES[name]
    U = torch.randn(len(case.outputs), 3, *case.outputs.shape[1:], generator=torch.Generator().manual_seed(6)).double()
    found = fitted(case).curvature(case.outputs, case.targets, U)
    expected = U.flatten(2) @ dense_curvature(case) if U.ndim > 2 else U * dense_curvature(case)[:, :, 0]
    assert found.shape == U.shape
    assert torch.allclose(found.reshape(expected.shape), expected, atol=1e-14)


@pytest.mark.parametrize("name", WITH_ROOT)
def test_the_root_squares_to_the_curvature(name: str) -> None:
    case, loss = WITH_ROOT[name], fitted(WITH_ROOT[name])
    roots = loss.root(case.outputs, case.targets)
    assert roots.shape == (len(case.outputs), loss.rank(case.outputs.shape[1:]), *case.outputs.shape[1:])
    flat = roots.reshape(*roots.shape[:2], -1)
    assert torch.allclose(flat.transpose(1, 2) @ flat, dense_curvature(case), atol=1e-14)


def test_a_regression_has_no_accuracy() -> None:
    with pytest.raises(UndefinedMeasureError, match="the loss mse is not that of a classifier"):
        MeanSquaredError().hits(torch.zeros(2, 1), torch.zeros(2, 1))
    with pytest.raises(UndefinedMeasureError, match="no accuracy"):
        MeanSquaredError().chance(torch.zeros(2, 1))
