"""Nothing that holds a graph or a factor waits for the garbage collector."""

import gc
import weakref

import pytest
import torch

from analysis.sharpness.hessian import block_operator, layer_operators
from analysis.sharpness.hessian.engines import ENGINES
from tests.analysis.sharpness.hessian.networks import build, samples


def test_no_tensor_outlives_its_job() -> None:
    """The all-layer graph of double backward is the largest thing there is, and its size is tried out beforehand."""
    model, (inputs, targets) = build("digits_cnn_bn"), samples(3)

    def alive_after_a_job() -> int:
        block_operator(model, inputs, targets, None, "double_backward")
        gc.collect()
        return sum(type(thing) is torch.Tensor for thing in gc.get_objects())

    assert alive_after_a_job() == alive_after_a_job()


@pytest.mark.parametrize(
    ("engine", "curvature"),
    [*((engine, "hessian") for engine in ENGINES), ("r_operator", "gauss_newton"), ("double_backward", "gauss_newton")],
)
def test_operators_die_with_their_last_reference(engine: str, curvature: str) -> None:
    """A cycle of references would let 50 jobs in a row pile up their graphs."""
    model, (inputs, targets) = build("digits_cnn"), samples(3)
    gc.collect()
    gc.disable()
    try:
        block = block_operator(model, inputs, targets, "classifier.weight", engine, curvature=curvature)
        assert block.engine == engine
        block.matmat(torch.ones(1, block.dim, dtype=torch.float64))
        alive = weakref.ref(block.operator)
        del block
        assert alive() is None
        for block in layer_operators(model, inputs, targets, curvature=curvature):
            alive = weakref.ref(block.operator)
        del block
        assert alive() is None
    finally:
        gc.enable()
