"""GradScaler on the CPU: ε of unscaled gradients, both passes skipped on infinities, the wrong calls refused."""

import gc
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.amp import GradScaler
from torch.nn.functional import cross_entropy
from torch.nn.utils import clip_grad_norm_

from tests.trainables.optimizers.networks import METHODS, assert_same_state, batches, closure_for, network
from trainables.errors import TrainingError
from trainables.optimizers import RSAM, SAM, EigenSAM

each_method = pytest.mark.parametrize("name", list(METHODS))
BASE: dict[str, Any] = {"lr": 0.1, "momentum": 0.9}


def scaled_closure(
    model: nn.Module, inputs: torch.Tensor, targets: torch.Tensor, scaler: GradScaler
) -> Callable[[], torch.Tensor]:
    def closure() -> torch.Tensor:
        model.zero_grad()
        loss = cross_entropy(model(inputs), targets)
        scaler.scale(loss).backward()
        return loss

    return closure


@each_method
def test_scaled_training_equals_unscaled(name: str) -> None:
    """The scale is a power of two, so unscaling is exact and the weights agree bit for bit."""
    plain, scaled = network(), network()
    reference, optimizer = METHODS[name](plain, **BASE), METHODS[name](scaled, **BASE)
    off, scaler = GradScaler("cpu", enabled=False), GradScaler("cpu", init_scale=65536.0)
    for inputs, targets in batches(5):
        reference.step(closure_for(plain, inputs, targets), scaler=off)
        optimizer.step(scaled_closure(scaled, inputs, targets, scaler), scaler=scaler)
        scaler.update()
        assert torch.equal(reference.epsilon_norm, optimizer.epsilon_norm)
    assert_same_state(plain, scaled)
    if isinstance(optimizer, EigenSAM) and isinstance(reference, EigenSAM):
        assert torch.equal(optimizer.eigenvalue, reference.eigenvalue)


@each_method
def test_two_calls_with_a_scaler(name: str) -> None:
    """Unscaling by hand for clipping is honoured before either step."""
    plain, scaled = network(), network()
    reference, optimizer = METHODS[name](plain, **BASE), METHODS[name](scaled, **BASE)
    off, scaler = GradScaler("cpu", enabled=False), GradScaler("cpu", init_scale=65536.0)
    for inputs, targets in batches(3):
        closure = closure_for(plain, inputs, targets)
        closure()
        if reference.first_step(scaler=off):
            closure()
            clip_grad_norm_(plain.parameters(), 0.1)
        reference.second_step()

        closure = scaled_closure(scaled, inputs, targets, scaler)
        closure()
        scaler.unscale_(optimizer)
        if optimizer.first_step(scaler=scaler):
            closure()
            scaler.unscale_(optimizer.base_optimizer)
            clip_grad_norm_(scaled.parameters(), 0.1)
        optimizer.second_step()
        scaler.update()
    assert_same_state(plain, scaled)


@each_method
@pytest.mark.parametrize("value", [float("inf"), float("nan")])
def test_infinite_gradient_skips_both_passes(name: str, value: float) -> None:
    model = network()
    optimizer = METHODS[name](model, **BASE)
    scaler = GradScaler("cpu", init_scale=1024.0)
    inputs, targets = batches(1)[0]
    run = scaled_closure(model.eval(), inputs, targets, scaler)
    calls = 0

    def closure() -> torch.Tensor:
        nonlocal calls
        calls += 1
        loss = run()
        parameter = next(model.parameters())
        assert parameter.grad is not None
        parameter.grad.view(-1)[0] = value
        return loss

    before = network().eval()
    optimizer.step(closure, scaler=scaler)
    scaler.update()
    assert calls == 1
    assert scaler.get_scale() == 512.0
    assert_same_state(model, before)
    optimizer.step(run, scaler=scaler)  # the next step goes through
    scaler.update()
    assert scaler.get_scale() == 512.0
    assert optimizer.epsilon_norm > 0


@each_method
def test_infinite_second_gradient_skips_the_update(name: str) -> None:
    model = network()
    optimizer = METHODS[name](model, **BASE)
    scaler = GradScaler("cpu", init_scale=1024.0)
    run = scaled_closure(model.eval(), *batches(1)[0], scaler)

    def closure() -> None:
        run()
        if optimizer.perturbed:
            parameter = next(model.parameters())
            assert parameter.grad is not None
            parameter.grad.fill_(float("inf"))

    optimizer.step(closure, scaler=scaler)
    scaler.update()
    assert scaler.get_scale() == 512.0
    assert_same_state(model, network().eval())


def test_warm_up_steps_are_unscaled_too() -> None:
    plain, scaled = network(), network()
    reference = torch.optim.SGD(plain.parameters(), **BASE)
    optimizer = RSAM(scaled.parameters(), warmup_epochs=1, **BASE)
    scaler = GradScaler("cpu", init_scale=65536.0)
    for inputs, targets in batches(3):
        reference.step(closure_for(plain, inputs, targets))
        optimizer.step(scaled_closure(scaled, inputs, targets, scaler), scaler=scaler)
        scaler.update()
    assert_same_state(plain, scaled)


@each_method
def test_scaled_gradients_are_refused_where_the_scaler_is_not_given(name: str) -> None:
    """In either form; once it has unscaled them, or is disabled, all is well."""
    model = network()
    scaler = GradScaler("cpu", init_scale=65536.0)
    inputs, targets = batches(1)[0]
    closure = scaled_closure(model, inputs, targets, scaler)
    optimizer = METHODS[name](model, lr=0.1)
    with pytest.raises(TrainingError, match=rf"{name} needs unscaled gradients.*pass it, as in step\(closure, scaler"):
        optimizer.step(closure)
    with pytest.raises(TrainingError, match=f"{name} needs unscaled gradients"):
        optimizer.first_step()
    scaler.unscale_(optimizer)
    assert optimizer.first_step()
    optimizer.restore()
    scaler.update()

    closure_for(model, inputs, targets)()
    optimizer.step(closure_for(model, inputs, targets), scaler=GradScaler("cpu", enabled=False))


@each_method
def test_a_second_gradient_that_is_still_scaled_is_refused(name: str) -> None:
    """The first was unscaled by hand; the weights are restored, and no step is taken."""
    model = network().eval()
    scaler = GradScaler("cpu", init_scale=65536.0)
    closure = scaled_closure(model, *batches(1)[0], scaler)
    optimizer = METHODS[name](model, lr=0.1)
    closure()
    scaler.unscale_(optimizer)
    assert optimizer.first_step()
    closure()
    with pytest.raises(TrainingError, match=f"{name} needs unscaled gradients"):
        optimizer.second_step()
    assert_same_state(model, network().eval())


@pytest.mark.usefixtures("young_heap")
def test_a_scaler_that_is_made_after_the_first_step_is_found_after_a_garbage_collection() -> None:
    model = network()
    optimizer = SAM(model.parameters(), lr=0.1)
    optimizer.step(closure_for(model, *batches(1)[0]))
    scaler = GradScaler("cpu", init_scale=65536.0)
    closure = scaled_closure(model, *batches(1)[0], scaler)
    gc.collect()
    with pytest.raises(TrainingError, match="SAM needs unscaled gradients"):
        optimizer.step(closure)


def test_a_scaler_that_is_forgotten_in_the_warm_up_is_missed_too() -> None:
    model = network()
    scaler = GradScaler("cpu", init_scale=65536.0)
    optimizer = RSAM(model.parameters(), warmup_epochs=1, lr=0.1)
    with pytest.raises(TrainingError, match="RSAM needs unscaled gradients"):
        optimizer.step(scaled_closure(model, *batches(1)[0], scaler))


@each_method
def test_stepping_through_the_scaler_is_refused(name: str) -> None:
    """`scaler.step(optimizer)` knows of one gradient only."""
    model = network()
    optimizer = METHODS[name](model, lr=0.1)
    scaler = GradScaler("cpu")
    closure = scaled_closure(model, *batches(1)[0], scaler)
    closure()
    with pytest.raises(TrainingError, match=r"step\(closure, scaler=scaler\), not scaler.step\(optimizer\)"):
        scaler.step(optimizer, closure)
    with pytest.raises(TrainingError, match=r"not scaler.step\(optimizer\)"):
        scaler.step(optimizer)
    scaler = GradScaler("cpu")
    optimizer.step(scaled_closure(model, *batches(1)[0], scaler), scaler=scaler)


def test_autocast_to_bfloat16_needs_no_scaler() -> None:
    model = network().float()
    optimizer = SAM(model.parameters(), lr=0.1)
    inputs, targets = batches(1)[0]

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = cross_entropy(model(inputs.float()), targets)
        loss.backward()
        return loss

    first = optimizer.step(closure)
    for _ in range(20):
        last = optimizer.step(closure)
    assert last < first
