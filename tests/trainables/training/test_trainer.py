"""Steps of training: counts, learning rates, and what is left as it was found."""

import pytest
import torch

from trainables.data import load_dataset
from trainables.training.loop import initial_model
from trainables.training.trainer import Trainer, determinism, seeded
from trainables.trial.specs import TrialSpec

CPU = torch.device("cpu")


def trainer(**training: object) -> Trainer:
    spec = TrialSpec.model_validate(
        {
            "data": {"dataset": "digits"},
            "model": "digits_cnn",
            "training": {"epochs": 2, "batch_size": 96, **training},
            "optimizer": {"name": "sgd", "learning_rate": 0.1},
        }
    )
    data = load_dataset(spec.data)
    return Trainer(spec, initial_model(spec, data), data)


@pytest.mark.parametrize(("batch_size", "steps"), [(96, 11), (1000, 1), (999, 2), (5000, 1)])
def test_the_last_incomplete_batch_is_a_step(batch_size: int, steps: int) -> None:
    assert trainer(batch_size=batch_size).steps_per_epoch == steps


def test_every_image_is_seen_once_an_epoch_in_another_order_each_time() -> None:
    training = trainer()
    seen: list[list[torch.Tensor]] = []
    training.model.register_forward_pre_hook(lambda _, inputs: seen[-1].append(inputs[0]))
    for epoch in (0, 1):
        seen.append([])
        training.train_epoch(epoch)
    first, second = (torch.cat(batches).flatten(1) for batches in seen)
    assert len(first) == 1000
    assert not torch.equal(first, second)
    assert torch.equal(first.sum(dim=1).sort().values, second.sum(dim=1).sort().values)


def test_the_factor_is_on_the_rate_above_the_floor() -> None:
    training = trainer(learning_rate_floor=0.02)
    for factor, expected in ((1.0, 0.1), (0.5, 0.06), (0.0, 0.02)):
        assert training.set_learning_rate(factor) == pytest.approx(expected)
        assert training.optimizer.param_groups[0]["lr"] == pytest.approx(expected)


def test_an_epoch_can_end_early() -> None:
    training = trainer()
    steps = []
    training.model.register_forward_pre_hook(lambda *_: steps.append(1))
    training.train_epoch(0, max_steps=3)
    assert len(steps) == 3


def test_global_generators_are_as_before() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    with seeded(1, CPU):
        inside = torch.rand(3)
    assert torch.equal(torch.rand(3), expected)
    with seeded(1, CPU):
        assert torch.equal(torch.rand(3), inside)


@pytest.mark.parametrize("wanted", [True, False])
def test_determinism_lasts_as_long_as_its_block(wanted: bool) -> None:
    with determinism(wanted):
        assert torch.are_deterministic_algorithms_enabled() is wanted
    assert not torch.are_deterministic_algorithms_enabled()
