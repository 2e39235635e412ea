"""LookSAM's steps in closed form, its period, and what it keeps."""

import math
from typing import Any

import pytest
import torch
from torch import nn

from tests.trainables.optimizers.networks import assert_same_state, batches, closure_for, network, train
from tests.trainables.optimizers.quadratic import Quadratic, closure_of
from trainables.optimizers import SAM, LookSAM

RHO, RATE, ALPHA = 0.1, 0.1, 0.7


def test_two_steps_in_closed_form() -> None:
    """At g = (1, 2) the part of g_s orthogonal to g points along (−2, 1)/√5, whatever its length."""
    model = Quadratic()
    optimizer = LookSAM(model.named_parameters(), rho=RHO, period=2, alpha=ALPHA, lr=RATE)
    optimizer.step(closure_of(model))
    shift = RHO / math.sqrt(5)
    first = (1 - RATE * (1 + shift), 0.5 - RATE * 4 * (0.5 + 2 * shift))
    assert model.weight.tolist() == pytest.approx(first, abs=1e-12)
    direction = optimizer.state[model.weight]["sharp_direction"]
    assert direction.tolist() == pytest.approx([-12 * shift / 5, 6 * shift / 5], abs=1e-12)

    optimizer.step(closure_of(model))
    gradient = (first[0], 4 * first[1])
    length = ALPHA * math.hypot(*gradient) / math.sqrt(5)
    second = (first[0] - RATE * (gradient[0] - 2 * length), first[1] - RATE * (gradient[1] + length))
    assert model.weight.tolist() == pytest.approx(second, abs=1e-12)


def test_a_period_of_one_is_sam_bit_for_bit() -> None:
    plain, every = network(), network()
    train(plain, SAM(plain.parameters(), rho=RHO, lr=RATE, momentum=0.9), batches(5))
    train(every, LookSAM(every.parameters(), rho=RHO, period=1, lr=RATE, momentum=0.9), batches(5))
    assert_same_state(plain, every)


def test_the_closure_is_called_twice_in_every_third_step_only() -> None:
    model = network()
    optimizer = LookSAM(model.parameters(), period=3, lr=RATE)
    calls: list[bool] = []
    for inputs, targets in batches(7):
        run, count = closure_for(model, inputs, targets), len(calls)

        def closure(run: Any = run) -> Any:
            calls.append(optimizer.perturbed)
            return run()

        optimizer.step(closure)
        optimizer.end_epoch()  # the count goes on over epochs
        assert len(calls) - count == (2 if optimizer.progress("steps_done") % 3 == 1 else 1)
    assert sum(calls) == 3


def test_a_step_that_overflows_is_not_counted() -> None:
    """The next one takes the step of SAM that is due."""
    model = network().eval()
    optimizer = LookSAM(model.parameters(), period=3, lr=RATE)
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    inputs, targets = batches(1)[0]
    run = closure_for(model, inputs, targets)

    def closure() -> None:
        scaler.scale(run())
        parameter = next(model.parameters())
        assert parameter.grad is not None
        parameter.grad.fill_(float("inf"))

    optimizer.step(closure, scaler=scaler)
    scaler.update()
    assert optimizer.progress("steps_done") == 0
    assert optimizer.active


def test_a_direction_of_rounding_errors_is_not_magnified() -> None:
    """In one dimension g_s is parallel to g, so steps between those of SAM are plain."""
    model, plain = nn.Linear(1, 1, bias=False).double(), nn.Linear(1, 1, bias=False).double()
    plain.load_state_dict(model.state_dict())
    optimizer = LookSAM(model.parameters(), rho=0.0, period=4, lr=RATE)
    reference = torch.optim.SGD(plain.parameters(), lr=RATE)

    def closure(of: nn.Module = model) -> None:
        of.zero_grad()
        (of(torch.tensor([[0.3], [0.7]]).double()) - 1).pow(4).mean().backward()

    for _ in range(8):
        optimizer.step(closure)
        closure(plain)
        reference.step()
    assert torch.equal(model.weight, plain.weight)


@pytest.mark.parametrize("factor", [1e-4, 8.0, 1e4])
def test_steps_scale_with_the_loss(factor: float) -> None:
    """With lr/factor the loss times a factor gives the same weights: ε and the reused direction have no scale."""
    ends = []
    for scale in (1.0, factor):
        model = network().eval()
        optimizer = LookSAM(model.parameters(), rho=RHO, period=3, lr=RATE / scale)
        for inputs, targets in batches(7):
            run = closure_for(model, inputs, targets)

            def closure(run: Any = run, scale: float = scale, model: nn.Module = model) -> None:
                run()
                for parameter in model.parameters():
                    parameter.grad.mul_(scale)  # type: ignore[union-attr]

            optimizer.step(closure)
        ends.append(torch.cat([parameter.detach().flatten() for parameter in model.parameters()]))
    torch.testing.assert_close(ends[0], ends[1], rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"period": 0}, "period must be at least 1; got 0"), ({"alpha": -1.0}, "alpha must be at least 0; got -1.0")],
)
def test_arguments_out_of_range(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LookSAM([nn.Parameter(torch.ones(1))], lr=RATE, **arguments)
