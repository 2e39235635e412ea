"""Double backward alone: blocks of one graph, chunks, and parameters that do not matter."""

import pytest
import torch

from analysis.sharpness.hessian.engines.double_backward import DoubleBackward
from analysis.sharpness.problem import Problem, pose
from tests.analysis.sharpness.hessian.networks import build, dense_vector, hessian_rows, samples

NAMES = ["conv1.weight", "out.bias", "hidden.weight"]


@pytest.fixture
def problem() -> Problem:
    return pose(build("odd").eval(), *samples(5))


def test_one_parameters_own_block_from_the_graph_of_several(problem: Problem) -> None:
    operator = DoubleBackward(problem, NAMES)
    for name in NAMES:
        v = dense_vector(problem.parameters[name].numel())
        expected = hessian_rows(problem.model, problem.inputs, problem.targets, [name], v)
        product = operator.block_product(name, v.view_as(problem.parameters[name]))
        assert torch.allclose(product.flatten(), expected[0], rtol=1e-10)


@pytest.mark.parametrize("curvature", ["hessian", "gauss_newton"])
def test_chunks_add_up(problem: Problem, curvature: str) -> None:
    whole, chunked = (DoubleBackward(problem, NAMES, curvature, size) for size in (None, 2))
    V = dense_vector(whole.dim)
    assert torch.allclose(whole.matmat(V), chunked.matmat(V), rtol=1e-10)


@pytest.mark.parametrize("curvature", ["hessian", "gauss_newton"])
def test_a_parameter_that_does_not_matter_has_a_zero_block(curvature: str) -> None:
    model = build("perceptron")
    model.register_parameter("unused", torch.nn.Parameter(torch.ones(3, dtype=torch.float64)))
    operator = DoubleBackward(pose(model.eval(), *samples(4)), ["unused", "1.bias"], curvature)
    product = operator.matmat(dense_vector(operator.dim))
    assert not product[:, :3].any()
    assert product[:, 3:].any()
