"""What products of the R-operator must not depend on."""

import math

import pytest
import torch

from analysis.sharpness.hessian import block_operator, layer_operators
from analysis.sharpness.hessian.engines import r_operator
from tests.analysis.sharpness.hessian.networks import build, dense_vector, hessian_rows, samples


def test_blocks_of_the_r_operator_outlive_what_they_kept() -> None:
    model, (inputs, targets) = build("resnet"), samples(4)
    for block in list(layer_operators(model, inputs, targets, engine="r_operator")):
        assert block.layer is not None
        V = dense_vector(block.dim)
        reference = hessian_rows(model, inputs, targets, [block.layer], V)
        assert torch.allclose(block.matmat(V), reference, rtol=1e-8, atol=1e-12), block.layer


@pytest.mark.parametrize("layer", [None, "layer1.0.conv2.weight"])
def test_the_order_of_activations_in_memory_does_not_matter(layer: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Channels last for narrow networks, PyTorch's own order for wide ones."""
    model, (inputs, targets) = build("resnet"), samples(5)
    products = []
    for width in (0, math.inf):
        monkeypatch.setattr(r_operator, "NARROW", width)
        block = block_operator(model, inputs, targets, layer, "r_operator")
        products.append(block.matmat(dense_vector(block.dim)))
    assert torch.allclose(products[0], products[1], rtol=1e-10)
