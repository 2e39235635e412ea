"""The quadratic of the closed forms: L = ½(w₁² + 4w₂²) at w = (1, ½), where g = (1, 2) and H = diag(1, 4)."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn


class Quadratic(nn.Module):
    """Its own loss, with the parameter named `weight` so that it counts as one."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([1.0, 0.5], dtype=torch.float64))

    def forward(self) -> Tensor:
        return 0.5 * (self.weight.square() * torch.tensor([1.0, 4.0], dtype=torch.float64)).sum()


def closure_of(model: nn.Module) -> Callable[[], Tensor]:
    """Clears the gradients, computes the model's own loss, calls backward."""

    def closure() -> Tensor:
        model.zero_grad()
        loss: Tensor = model()
        loss.backward()
        return loss

    return closure


def one_step(make: Callable[..., Any], **arguments: Any) -> tuple[list[float], list[float]]:
    """ε and the new weights of one step with learning rate 0.1."""
    model = Quadratic()
    optimizer = make(model.named_parameters(), lr=0.1, **arguments)
    before = model.weight.detach().clone()
    epsilon = torch.zeros(2)
    run = closure_of(model)

    def closure() -> Tensor:
        nonlocal epsilon
        if optimizer.perturbed:
            epsilon = model.weight.detach() - before
        return run()

    optimizer.step(closure)
    return epsilon.tolist(), model.weight.tolist()


def about(values: list[float]) -> Any:
    """These numbers, to the seven digits that SPEC prints."""
    return pytest.approx(values, abs=1e-7)
