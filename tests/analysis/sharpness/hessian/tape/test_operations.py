"""Operations without parameters: the primal is torch's, push its derivative, pull the transpose."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.autograd.functional import jvp

from analysis.sharpness.hessian.tape.linear_maps import UnsupportedError
from analysis.sharpness.hessian.tape.operations import Operation, step_of_module

MODULES: dict[str, nn.Module] = {
    "relu": nn.ReLU(),
    "leaky relu": nn.LeakyReLU(0.1),
    "overlapping max-pooling": nn.MaxPool2d(3, stride=2, padding=1),
    "average pooling": nn.AvgPool2d(2),
    "pooling to one position": nn.AdaptiveAvgPool2d(1),
    "flattening": nn.Flatten(),
}


def draw(*size: int, seed: int = 0) -> Tensor:
    return torch.randn(*size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def operation_of(module: nn.Module) -> Operation:
    operation = step_of_module(module)
    assert operation is not None
    return operation


@pytest.mark.parametrize("name", MODULES)
def test_primal_push_and_pull(name: str) -> None:
    module, operation, x, dx = MODULES[name], operation_of(MODULES[name]), draw(2, 3, 6, 6), draw(2, 4, 3, 6, 6, seed=1)
    y, saved = operation.primal(x)
    assert torch.equal(y, module(x))
    dy = operation.push(saved, dx)
    for p in range(dx.shape[1]):
        _, expected = jvp(module, x, dx[:, p])
        assert torch.allclose(dy[:, p], expected)
    cotangent = draw(*dy.shape, seed=2)
    assert torch.allclose((operation.pull(saved, cotangent) * dx).sum(), (cotangent * dy).sum())


@pytest.mark.parametrize("way", ["push", "pull"])
def test_a_rectifier_may_overwrite_what_it_is_given(way: str) -> None:
    operation, x, dx = operation_of(nn.ReLU()), draw(2, 5), draw(2, 3, 5, seed=1)
    _, saved = operation.primal(x)
    call: Any = getattr(operation, way)
    expected = call(saved, dx)
    assert call(saved, dx, True) is dx
    assert torch.equal(dx, expected)


def test_modules_that_are_the_identity_in_eval_mode_and_those_that_are_not_known() -> None:
    assert step_of_module(nn.Dropout()) is None
    assert step_of_module(nn.Identity()) is None
    with pytest.raises(UnsupportedError, match="Tanh"):
        step_of_module(nn.Tanh())
