"""Which engine `auto` chooses, and the reason that it gives."""

import math

import pytest
import torch

from analysis.sharpness.hessian import HessianBlock, block_operator
from analysis.sharpness.hessian.engines.gauss_newton import GAUSS_NEWTON_FACTOR, GAUSS_NEWTON_GRAM
from analysis.sharpness.hessian.engines.implicit_factor import GAUSS_NEWTON_IMPLICIT
from analysis.sharpness.layers import weight_layers
from tests.analysis.sharpness.hessian.networks import build, dense_vector, samples


def test_with_less_memory_auto_takes_the_next_engine_and_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = 2**30  # what this process really takes may shrink between two looks at it
    monkeypatch.setattr("analysis.sharpness.hessian.setting.taken_memory", lambda device: taken)
    model, (inputs, targets) = build("digits_cnn"), samples(40)
    layer = "features.4.weight"
    roomy = block_operator(model, inputs, targets, layer, num_products=10_000)
    middle = block_operator(model, inputs, targets, layer, num_products=10_000, memory_budget=taken + 2**19)
    tight = block_operator(model, inputs, targets, layer, num_products=10_000, memory_budget=taken + 2**17)
    assert roomy.engine in (GAUSS_NEWTON_FACTOR.name, GAUSS_NEWTON_GRAM.name)
    assert middle.engine == GAUSS_NEWTON_IMPLICIT.name
    assert f"{GAUSS_NEWTON_FACTOR.name} needs" in middle.reason
    assert tight.engine == "r_operator"
    assert "MiB, more than" in tight.reason
    V = dense_vector(roomy.dim)
    assert torch.allclose(roomy.matmat(V), middle.matmat(V), rtol=1e-10)
    assert torch.allclose(roomy.matmat(V), tight.matmat(V), rtol=1e-10)


def test_auto_counts_the_products_that_are_expected() -> None:
    model, (inputs, targets) = build("resnet", 30), samples(20, 30)
    layer = weight_layers(model)[0]
    once = block_operator(model, inputs, targets, layer, num_products=1)
    often = block_operator(model, inputs, targets, layer, num_products=10_000)
    assert once.engine == "r_operator"
    assert often.engine.startswith("gauss_newton")
    assert often.cost.product < once.cost.product
    assert "forward passes for 10000 products, against" in often.reason


def test_auto_weighs_the_exact_spectrum_where_it_would_do() -> None:
    """The Gram matrix of all layers makes its spectrum cheap, and its products as expensive as any engine's."""
    model, (inputs, targets) = build("resnet"), samples(20)

    def choose(num_products: float, spectrum: bool) -> HessianBlock:
        return block_operator(
            model, inputs, targets, None, curvature="gauss_newton", num_products=num_products, spectrum=spectrum
        )

    assert choose(100, spectrum=False).engine == "r_operator"
    assert choose(1, spectrum=True).engine == "r_operator"
    block = choose(100, spectrum=True)
    assert block.engine == "gauss_newton_gram"
    assert block.cost.of(100, spectrum=True) == block.cost.setup + block.cost.exact
    assert "for 100 products or the exact spectrum, against" in block.reason
    assert "forward passes for the exact spectrum, against" in choose(math.inf, spectrum=True).reason
