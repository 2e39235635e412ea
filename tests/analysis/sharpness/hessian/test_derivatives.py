"""Where the second derivative is missing, the operation and its layer are named, and the other layers are measured."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from analysis.errors import UndefinedMeasureError
from analysis.sharpness.hessian import block_operator, layer_operators
from analysis.sharpness.hessian.derivatives import naming_derivatives
from analysis.sharpness.problem import pose


class Once(torch.autograd.Function):
    """The square, which can be differentiated once."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, g: Tensor) -> Tensor:
        out: Tensor = 2 * g * ctx.saved_tensors[0]
        return out


class Squaring(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = Once.apply(x)
        return out


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 4), Squaring(), nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 3))


def test_layers_above_the_operation_are_measured_and_those_below_say_why_not() -> None:
    blocks = layer_operators(network(), torch.randn(6, 5), torch.arange(6) % 3)
    failed = {}
    for block in blocks:
        try:
            block.matmat(torch.ones(1, block.dim))
        except UndefinedMeasureError as error:
            failed[block.layer] = str(error)
    assert set(failed) == {"0.weight"}
    assert "the Hessian of 0.weight takes the second derivative of an autograd function" in failed["0.weight"]


def test_the_operation_and_its_module_are_named() -> None:
    problem = pose(nn.Sequential(nn.Linear(5, 3), nn.Softplus()), torch.randn(6, 5), torch.arange(6) % 3)
    with (
        pytest.raises(UndefinedMeasureError, match=r"derivative of softplus in 1 \(Softplus\), which PyTorch"),
        naming_derivatives(problem, "0.weight"),
    ):
        raise RuntimeError("derivative for aten::softplus_backward is not implemented")


def test_memory_is_not_taken_for_a_property_of_the_network() -> None:
    problem = pose(nn.Linear(5, 3), torch.randn(6, 5), torch.arange(6) % 3)
    with pytest.raises(RuntimeError, match="out of memory"), naming_derivatives(problem, "weight"):
        raise RuntimeError("CUDA out of memory")


def test_a_single_block_is_refused() -> None:
    with pytest.raises(UndefinedMeasureError, match=r"0\.weight.*once_differentiable"):
        block_operator(network(), torch.randn(6, 5), torch.arange(6) % 3, "0.weight")
