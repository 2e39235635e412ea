"""State dicts, checkpoints in mid-training, copies, and added parameter groups."""

import pickle
from typing import Any

import pytest
import torch
from torch import nn

from tests.trainables.optimizers.networks import METHODS, assert_same_state, batches, network, train
from trainables.optimizers import SAM

BASE: dict[str, Any] = {"lr": 0.1, "momentum": 0.9, "weight_decay": 1e-2}
each_method = pytest.mark.parametrize("name", list(METHODS))


@each_method
@pytest.mark.parametrize("base", [torch.optim.SGD, torch.optim.Adam])
def test_saved_in_mid_training_it_goes_on_bit_for_bit(name: str, base: Any, tmp_path: Any) -> None:
    arguments = BASE if base is torch.optim.SGD else {"lr": 0.01}
    straight = network()
    optimizer = METHODS[name](straight, base_optimizer=base, **arguments)
    train(straight, optimizer, batches(9))

    cut = network()
    optimizer = METHODS[name](cut, base_optimizer=base, **arguments)
    train(cut, optimizer, batches(9)[:4])
    torch.save({"model": cut.state_dict(), "optimizer": optimizer.state_dict()}, tmp_path / "checkpoint.pt")
    resumed = network(seed=5)
    optimizer = METHODS[name](resumed, base_optimizer=base, **arguments)
    checkpoint = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    resumed.load_state_dict(checkpoint["model"])
    optimizer.load_state_dict(checkpoint["optimizer"])
    train(resumed, optimizer, batches(9)[4:])
    assert_same_state(straight, resumed)


@each_method
def test_goes_on_from_the_base_optimizers_checkpoint(name: str) -> None:
    """Momentum carries over from plain SGD epochs, and rho stays what the constructor was given."""
    model = network()
    plain = torch.optim.SGD(model.parameters(), **BASE)
    train(model, plain, batches(2))
    optimizer = METHODS[name](model, **BASE)
    rho = optimizer.param_groups[0]["rho"]
    optimizer.load_state_dict(plain.state_dict())
    assert optimizer.param_groups[0]["rho"] == rho
    kept = [optimizer.base_optimizer.state[p]["momentum_buffer"] for p in model.parameters()]
    assert all(
        torch.equal(mine, plain.state[p]["momentum_buffer"]) for mine, p in zip(kept, model.parameters(), strict=True)
    )
    train(model, optimizer, batches(1))


@each_method
def test_pickled_copies_are_whole_and_their_own(name: str) -> None:
    model = network()
    optimizer = METHODS[name](model, **BASE)
    torch.optim.lr_scheduler.StepLR(optimizer, 1)  # patches `step` with what can't be pickled
    train(model, optimizer, batches(4))
    other_model, other = pickle.loads(pickle.dumps((model, optimizer)))
    assert other.param_groups is other.base_optimizer.param_groups
    train(model, optimizer, batches(3))
    train(other_model, other, batches(3))
    assert_same_state(model, other_model)


def test_added_group_gets_the_defaults_of_both() -> None:
    first, second = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2))
    optimizer = SAM([first], rho=0.3, lr=0.1, momentum=0.9)
    optimizer.add_param_group({"params": [second], "lr": 0.2})
    added = optimizer.base_optimizer.param_groups[1]
    assert (added["rho"], added["momentum"], added["lr"]) == (0.3, 0.9, 0.2)
