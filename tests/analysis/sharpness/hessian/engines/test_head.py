"""The last layer in closed form, against the spectra that are known on paper (softmax regression at zero weights)."""

import pytest
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

from analysis.sharpness.hessian import block_operator
from analysis.spectrum.quadrature import renyi_entropy

ENGINES = ["head", "gauss_newton_factor", "gauss_newton_gram", "r_operator", "double_backward"]
ORDERS = (0.5, 1.0, 1.5, 2.0, 3.0, float("inf"))


def regression(num_features: int, num_classes: int) -> nn.Linear:
    model = nn.Linear(num_features, num_classes, bias=False).double()
    nn.init.zeros_(model.weight)
    return model


def entropies(inputs: Tensor, engine: str, num_classes: int = 10) -> list[float]:
    """Rényi entropies of H = (I − 11ᵀ/C)/C ⊗ XᵀX/N."""
    targets = torch.arange(len(inputs)) % num_classes
    model = regression(inputs.shape[1], num_classes)
    block = block_operator(model, inputs, targets, "weight", engine)
    assert block.engine == engine
    eigenvalues = block.exact_eigenvalues().numpy()
    # Round-off around the zeros is not part of the spectrum.
    eigenvalues = eigenvalues[eigenvalues > 1e-12 * eigenvalues.max()]
    return [renyi_entropy(eigenvalues, order) for order in ORDERS]


@pytest.mark.parametrize("engine", ENGINES)
def test_first_digits(engine: str) -> None:
    inputs = torch.from_numpy(load_digits().data[:50] / 16)
    expected = [4.6270395, 3.58938363, 3.0934692, 2.88107996, 2.72304407, 2.54812186]
    assert entropies(inputs, engine) == pytest.approx(expected, abs=5e-8)  # printed with 8 digits


@pytest.mark.parametrize("engine", ENGINES)
def test_spectrum_is_that_of_the_covariance(engine: str) -> None:
    """The entropies are log(C − 1) + H_α(XᵀX/N), to 1e-10."""
    inputs = torch.from_numpy(load_digits().data[:30] / 16)
    covariance = torch.linalg.eigvalsh(inputs.T @ inputs / 30).numpy()
    covariance = covariance[covariance > 1e-12 * covariance.max()]
    expected = [torch.log(torch.tensor(9.0, dtype=torch.float64)).item() + renyi_entropy(covariance, a) for a in ORDERS]
    assert entropies(inputs, engine) == pytest.approx(expected, abs=1e-10)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("num_samples", [1, 4])
def test_orthonormal_inputs(num_samples: int, engine: str) -> None:
    """One sample: log(C − 1); N orthonormal ones: log((C − 1) N)."""
    expected = torch.tensor(9.0 * num_samples, dtype=torch.float64).log().item()
    assert entropies(torch.eye(num_samples, 6, dtype=torch.float64), engine) == pytest.approx([expected] * 6, abs=1e-10)


def test_more_rows_than_weights_and_fewer() -> None:
    torch.manual_seed(0)
    for num_samples in (3, 40):
        model, inputs = nn.Linear(5, 4).double(), torch.randn(num_samples, 5, dtype=torch.float64)
        targets = torch.zeros(num_samples, dtype=torch.int64)
        head = block_operator(model, inputs, targets, "weight", "head").exact_eigenvalues()
        dense = block_operator(model, inputs, targets, "weight", "double_backward").exact_eigenvalues()
        assert (head - dense[: len(head)]).abs().max() < 1e-12
        assert len(head) == min(20, 3 * num_samples)
