"""Factors of networks that have no tape: right whatever a module's first dimension is, and whole."""

import warnings
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from analysis.errors import AnalysisError
from analysis.sharpness.hessian import block_operator, layer_operators
from analysis.sharpness.layers import select_parameters
from tests.analysis.sharpness.hessian.networks import dense_vector, gauss_newton, samples
from tests.analysis.sharpness.hessian.odd_networks import Experts, Folded, Recurrent, TiedEnds, TwoBiases, Unused


class Tied(nn.Module):
    """One weight used by two modules."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(192, 192, bias=False), nn.Linear(192, 192, bias=False)
        self.second.weight = self.first.weight
        self.head = nn.Linear(192, 3)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(self.second(self.first(x.flatten(1)).relu()).relu())
        return out


def test_a_weight_used_twice_is_not_its_gauss_newton_block() -> None:
    torch.manual_seed(0)
    model, (inputs, targets) = Tied().double(), samples(4)
    block = block_operator(model, inputs, targets, "first.weight")
    assert block.engine == "double_backward"
    factor = block_operator(model, inputs, targets, "first.weight", "gauss_newton_factor", curvature="gauss_newton")
    plain = block_operator(model, inputs, targets, "first.weight", "double_backward", curvature="gauss_newton")
    V = dense_vector(block.dim)
    assert factor.engine == "gauss_newton_factor"
    assert torch.allclose(factor.matmat(V), plain.matmat(V), rtol=1e-10)


@pytest.mark.parametrize(
    ("network", "shape"),
    [
        (Recurrent, (6, 5, 4)),
        (lambda: Recurrent(time_first=True), (6, 5, 4)),
        (lambda: Recurrent(time_first=True), (5, 5, 4)),  # as many time steps as samples
        (Experts, (7, 5)),
        (TiedEnds, (6, 5)),
        (TwoBiases, (6, 5)),
        (Unused, (6, 5)),
        (Folded, (4, 3, 2, 4, 4)),
        (Folded, (3, 3, 2, 4, 4)),
    ],
)
@pytest.mark.parametrize("engine", ["auto", "gauss_newton_factor", "gauss_newton_gram"])
def test_samples_are_found_whatever_dimension_they_are_in(
    network: Callable[[], nn.Module], shape: tuple[int, ...], engine: str
) -> None:
    torch.manual_seed(0)
    model, inputs = network().double().eval(), torch.randn(*shape, dtype=torch.float64)
    targets = torch.arange(shape[0]) % 3
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        for block in layer_operators(
            model, inputs, targets, [*dict(model.named_parameters()), None], engine, curvature="gauss_newton"
        ):
            H = gauss_newton(model, inputs, targets, list(select_parameters(model, block.layer)))
            if block.layer is not None and engine != "auto":
                assert block.engine in (engine, "zero")
            V = torch.randn(4, block.dim, dtype=torch.float64)
            assert (block.matmat(V) - V @ H).norm() <= 1e-10 * (V @ H).norm(), block.layer
            assert abs(block.exact_eigenvalues().sum() - H.trace()) <= 1e-10 * H.trace(), block.layer


def test_a_batch_that_its_samples_share_is_refused() -> None:
    """Each sample's own outputs are what they are alone, but their derivative is not."""

    class Coupled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale, self.fc = nn.Parameter(torch.ones(5)), nn.Linear(5, 3)

        def forward(self, x: Tensor) -> Tensor:
            shared = (x * self.scale).sum(0, keepdim=True)
            out: Tensor = self.fc(x * self.scale + shared - shared.detach())
            return out

    model, inputs = Coupled().double(), torch.randn(6, 5, dtype=torch.float64)
    with pytest.raises(
        AnalysisError, match="scale: the derivative of a sample's outputs depends on which other samples"
    ):
        block_operator(model, inputs, torch.arange(6) % 3, "scale", "gauss_newton_factor", curvature="gauss_newton")
