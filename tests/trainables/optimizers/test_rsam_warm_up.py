"""RSAM's warm-up: plain steps, the switch, and its state in a checkpoint."""

from typing import Any

import pytest
import torch

from tests.trainables.optimizers.networks import assert_same_state, batches, closure_for, network, train
from trainables.optimizers import RSAM

BASE: dict[str, Any] = {"lr": 0.1, "momentum": 0.9}


def test_warm_up_by_epochs_takes_plain_steps_at_the_cost_of_one_pass() -> None:
    model, plain = network(), network()
    optimizer = RSAM(model.parameters(), warmup_epochs=2, **BASE)
    reference = torch.optim.SGD(plain.parameters(), **BASE)
    calls = 0
    for _ in range(2):
        assert not optimizer.active
        for inputs, targets in batches(2):
            run = closure_for(model, inputs, targets)

            def closure(run: Any = run) -> Any:
                nonlocal calls
                calls += 1
                return run()

            optimizer.step(closure)
        train(plain, reference, batches(2))
        optimizer.end_epoch()
    assert calls == 4
    assert_same_state(model, plain)
    assert optimizer.active
    train(model, optimizer, batches(1))
    assert optimizer.epsilon_norm > 0


def test_plain_steps_in_two_calls() -> None:
    model, plain = network(), network()
    optimizer = RSAM(model.parameters(), warmup_epochs=1, **BASE)
    inputs, targets = batches(1)[0]
    closure_for(model, inputs, targets)()
    assert not optimizer.first_step()
    optimizer.second_step()
    train(plain, torch.optim.SGD(plain.parameters(), **BASE), [(inputs, targets)])
    assert_same_state(model, plain)


def test_warm_up_by_accuracy_switches_once_and_for_good() -> None:
    optimizer = RSAM(network().parameters(), warmup_accuracy=0.3, **BASE)
    seen = []
    for accuracy in (0.1, 0.3, None, 0.31, 0.05):
        optimizer.end_epoch(validation_accuracy=accuracy)
        seen.append(optimizer.active)
    assert seen == [False, False, False, True, True]  # above 0.3, not at it


@pytest.mark.parametrize("warm_up", [{"warmup_epochs": 3}, {"warmup_accuracy": 0.5}])
@pytest.mark.parametrize("cut", [1, 2, 3, 4])
def test_cut_at_any_epoch_it_switches_at_the_same(warm_up: dict[str, Any], cut: int, tmp_path: Any) -> None:
    accuracies = (0.2, 0.4, 0.6, 0.1, 0.1)

    def epochs(model: Any, optimizer: RSAM, first: int, last: int) -> None:
        for epoch in range(first, last):
            train(model, optimizer, batches(2, seed=epoch))
            optimizer.end_epoch(validation_accuracy=accuracies[epoch])

    straight = network()
    epochs(straight, RSAM(straight.parameters(), **warm_up, **BASE), 0, 5)

    model = network()
    optimizer = RSAM(model.parameters(), **warm_up, **BASE)
    epochs(model, optimizer, 0, cut)
    torch.save((model.state_dict(), optimizer.state_dict()), tmp_path / "checkpoint.pt")
    weights, state = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    resumed = network(seed=3)
    optimizer = RSAM(resumed.parameters(), **warm_up, **BASE)
    resumed.load_state_dict(weights)
    optimizer.load_state_dict(state)
    epochs(resumed, optimizer, cut, 5)
    assert_same_state(straight, resumed)


def test_count_of_zero_gradients_survives_a_checkpoint() -> None:
    weight = torch.nn.Parameter(torch.ones(2))
    optimizer = RSAM([weight], **BASE)
    weight.grad = torch.zeros(2)
    optimizer.first_step()
    optimizer.restore()
    other = RSAM([weight], **BASE)
    other.load_state_dict(optimizer.state_dict())
    assert other.log_values()["zero_gradients"].item() == 1
