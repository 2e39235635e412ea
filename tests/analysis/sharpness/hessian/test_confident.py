"""Products in float32 where a network is sure of every sample, as after long training: p − 1 has no digits left."""

import copy

import pytest
import torch
from torch import nn

from analysis.sharpness.hessian import block_operator


@pytest.mark.parametrize("engine", ["auto", "double_backward", "r_operator"])
@pytest.mark.parametrize("margin", [10.0, 18.0])
def test_confident_networks_keep_their_digits(margin: float, engine: str) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 4))
    inputs = torch.randn(200, 6)
    with torch.no_grad():
        first, second = model(inputs).topk(2, dim=1).values.T
        surest = (first - second).argsort(descending=True)[:20]
        for parameter in model[2].parameters():
            parameter.mul_(margin / (first - second)[surest].min())
        inputs = inputs[surest]
        targets = model(inputs).argmax(1)
    exact = copy.deepcopy(model).double()
    for layer in ("0.weight", "2.weight", None):
        block = block_operator(model, inputs, targets, layer, engine)
        V = torch.randn(2, block.dim, generator=torch.Generator().manual_seed(1))
        expected = block_operator(exact, inputs.double(), targets, layer, "double_backward").matmat(V.double())
        assert (block.matmat(V) - expected).norm() <= 1e-5 * expected.norm(), layer
