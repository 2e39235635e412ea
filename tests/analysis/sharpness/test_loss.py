"""The curvature of the losses and its square root."""

import pytest
import torch
from torch.nn.functional import cross_entropy

from analysis.sharpness.loss import LOSSES


@pytest.mark.parametrize("num_outputs", [1, 2, 3, 10, 200])
@pytest.mark.parametrize("name", ["cross_entropy", "mse"])
def test_root_squares_to_the_curvature(name: str, num_outputs: int) -> None:
    loss = LOSSES[name]
    outputs = torch.randn(4, num_outputs, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    roots = loss.root(outputs)
    assert roots.shape == (4, loss.rank(num_outputs), num_outputs)
    identity = torch.eye(num_outputs, dtype=torch.float64).expand(4, -1, -1)
    assert torch.allclose(torch.einsum("nrc,nrd->ncd", roots, roots), loss.curvature(outputs, identity), atol=1e-15)


def test_curvature_is_that_of_the_loss() -> None:
    for name, loss in LOSSES.items():
        outputs = torch.randn(3, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        targets = torch.tensor([0, 3, 1]) if name == "cross_entropy" else torch.zeros(3, 4, dtype=torch.float64)
        H = torch.func.hessian(lambda f, y=targets, loss=loss: loss.mean(f, y))(outputs)
        identity = torch.eye(4, dtype=torch.float64).expand(3, -1, -1)
        for sample in range(3):
            assert torch.allclose(3 * H[sample, :, sample], loss.curvature(outputs, identity)[sample])


@pytest.mark.parametrize("margin", [5.0, 12.0, 25.0])
def test_root_keeps_its_digits_for_confident_networks(margin: float) -> None:
    """In float32, as well as in float64, though 1 − p is far below float32's precision."""
    outputs = torch.tensor([[margin, 0.0, -1.0], [-1.0, 0.5, margin]], dtype=torch.float64)
    exact, single = LOSSES["cross_entropy"].root(outputs), LOSSES["cross_entropy"].root(outputs.float())
    assert torch.allclose(single.double(), exact, rtol=1e-5, atol=0)


def test_gradient_is_that_of_torch() -> None:
    outputs, targets = torch.zeros(2, 3), torch.tensor([0, 1])
    assert LOSSES["cross_entropy"].mean(outputs, targets) == cross_entropy(outputs, targets)


@pytest.mark.parametrize("name", LOSSES)
def test_the_mean_is_that_of_the_values(name: str) -> None:
    generator = torch.Generator().manual_seed(0)
    outputs = torch.randn(5, 4, generator=generator, dtype=torch.float64)
    targets = torch.tensor([0, 3, 1, 2, 2]) if name == "cross_entropy" else torch.randn(5, 4, generator=generator)
    values = LOSSES[name].values(outputs, targets)
    assert values.shape == (5,)
    assert values.dtype == torch.float64
    assert torch.allclose(values.mean(), LOSSES[name].mean(outputs, targets))
