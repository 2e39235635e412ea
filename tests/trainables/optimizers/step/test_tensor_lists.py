import math

import pytest
import torch
from torch import nn

from trainables.optimizers.step.tensor_lists import TensorList, gather, global_norm, inner_product


def parameter(*values: float, dtype: torch.dtype = torch.float32, gradient: bool = True) -> nn.Parameter:
    made = nn.Parameter(torch.tensor(values, dtype=dtype))
    made.grad = torch.ones_like(made) if gradient else None
    return made


def test_parameters_with_a_gradient_are_gathered_by_group_and_type() -> None:
    single, double, other = parameter(1.0), parameter(2.0, dtype=torch.float64), parameter(3.0)
    groups = [
        {"params": [single, double, parameter(4.0, gradient=False)], "param_names": ["a", "b", "c"], "rho": 1.0},
        {"params": [other], "rho": 2.0},
    ]
    lists = gather(groups)
    assert [part.parameters for part in lists] == [[single], [double], [other]]
    assert [part.names for part in lists] == [["a"], ["b"], [None]]
    assert [part.group["rho"] for part in lists] == [1.0, 1.0, 2.0]
    assert [part.spare[0].dtype for part in lists] == [torch.float32, torch.float64, torch.float32]


def test_gradients_are_scaled_in_place_whatever_the_type_of_the_factor() -> None:
    weight = parameter(1.0, 2.0)
    (part,) = gather([{"params": [weight]}])
    part.scale_(torch.tensor(3.0, dtype=torch.float64))
    part.scale_(0.5)
    assert weight.grad is not None
    assert weight.grad.tolist() == [1.5, 1.5]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_lists_of_half_precision_are_computed_in_float32(dtype: torch.dtype) -> None:
    weight = parameter(1.0, 2.0, dtype=dtype)
    (part,) = gather([{"params": [weight]}])
    assert (part.parameters[0].dtype, part.gradients[0].dtype, part.spare[0].dtype) == (dtype, *2 * [torch.float32])
    part.scale_(torch.tensor(1e6, dtype=torch.float64))
    assert part.gradients[0].tolist() == [1e6, 1e6]
    assert part.rounds
    assert not gather([{"params": [parameter(1.0)]}])[0].rounds


def lists_of(*vectors: torch.Tensor) -> list[TensorList]:
    """Two parameters of different types with these gradients."""
    parameters = [nn.Parameter(torch.zeros_like(vector)) for vector in vectors]
    return gather([{"params": parameters}], dict(zip(parameters, vectors, strict=True)))


@pytest.mark.parametrize("order", [1.0, 2.0, 3.0])
def test_the_norm_is_over_all_lists(order: float) -> None:
    lists = lists_of(torch.tensor([3.0, -1.0]), torch.tensor([[2.0]]), torch.tensor([4.0], dtype=torch.float64))
    assert len(lists) == 2
    expected = sum(abs(x) ** order for x in (3, 1, 2, 4)) ** (1 / order)
    assert global_norm(lists, order=order).item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("size", [1e-30, 1e30])
def test_squares_neither_overflow_nor_vanish(size: float) -> None:
    assert global_norm(lists_of(torch.full((4,), size))).item() == pytest.approx(2 * size, rel=1e-6)
    lists = lists_of(torch.full((4,), size, dtype=torch.float64))
    assert inner_product(lists, "gradients", "gradients").item() == pytest.approx(4 * size**2, rel=1e-12)


def test_inner_products_are_over_all_lists_and_summed_in_float64() -> None:
    lists = lists_of(torch.tensor([1.0, 2.0]), torch.tensor([3.0], dtype=torch.float64))
    for part, other in zip(lists, ([torch.tensor([4.0, 5.0])], [torch.tensor([6.0])]), strict=True):
        part.spare = other
    product = inner_product(lists)
    assert product.dtype == torch.float64
    assert math.isclose(product.item(), 32.0)
