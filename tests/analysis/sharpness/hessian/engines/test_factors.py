"""Factors of networks that have no tape."""

import torch
from torch import Tensor, nn

from analysis.sharpness.hessian import block_operator
from tests.analysis.sharpness.hessian.networks import dense_vector, samples


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
