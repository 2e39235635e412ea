"""The average of weights: torch's, bit for bit, and of the weights between steps alone."""

from typing import Any

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from trainables.data import load_dataset
from trainables.models import build_model
from trainables.optimizers.build import base_optimizer
from trainables.training.averaging import AveragedNetwork
from trainables.training.loop import initial_model
from trainables.training.trainer import Trainer
from trainables.trial.specs import TrialSpec


def floats(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value for name, value in model.state_dict().items() if value.is_floating_point()}


@pytest.mark.parametrize("decay", [0.3, 0.99])
def test_a_hundred_steps_are_torchs_bit_for_bit(decay: float) -> None:
    model = build_model("digits_cnn_bn", 10, 1)
    ours = AveragedNetwork(model, decay)
    theirs = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(decay), use_buffers=True)
    generator = torch.Generator().manual_seed(0)
    for step in range(100):
        with torch.no_grad():
            for tensor in floats(model).values():
                tensor += torch.randn(tensor.shape, generator=generator)
            for name, tensor in model.state_dict().items():
                if "num_batches" in name:
                    tensor.fill_(step)
        ours.update(model)
        theirs.update_parameters(model)
    expected = floats(theirs.module)
    assert any("running_mean" in name for name in expected)
    for name, tensor in floats(ours.network).items():
        assert torch.equal(tensor, expected[name]), name
    counts = [value for name, value in ours.network.state_dict().items() if "num_batches" in name]
    assert counts
    assert all(count == 99 for count in counts)


def test_the_average_in_closed_form() -> None:
    """Of w = 1, 2, 4 with β = ½ after each step: 1, 1.5, 2.75; the weights before the first step have no part in it."""
    model = nn.Linear(1, 1, bias=False).double()
    averaged = AveragedNetwork(model, 0.5)
    found = []
    for value in (1.0, 2.0, 4.0):
        nn.init.constant_(model.weight, value)
        averaged.update(model)
        found.append(next(averaged.network.parameters()).item())
    assert found == [1.0, 1.5, 2.75]


def trainer(optimizer: dict[str, Any], model: str = "digits_cnn_bn") -> Trainer:
    spec = TrialSpec.model_validate(
        {
            "data": {"dataset": "digits"},
            "model": model,
            "training": {"epochs": 2, "batch_size": 250, "ema_decay": 0.7},
            "optimizer": {"learning_rate": 0.05} | optimizer,
        }
    )
    data = load_dataset(spec.data)
    return Trainer(spec, initial_model(spec, data), data)


@pytest.mark.parametrize("name", ["sgd", "adamw", "sam", "eigen_sam", "gsam"])
def test_it_is_taken_of_the_weights_after_each_step_and_never_of_perturbed_ones(name: str) -> None:
    training = trainer({"name": name} | ({"period": 2} if name == "eigen_sam" else {}))
    reference = AveragedModel(training.model, multi_avg_fn=get_ema_multi_avg_fn(0.7), use_buffers=True)
    base_optimizer(training.optimizer).register_step_post_hook(lambda *_: reference.update_parameters(training.model))
    training.train_epoch(0)
    training.train_epoch(1)
    expected = floats(reference.module)
    for key, tensor in floats(training.network).items():
        assert torch.equal(tensor, expected[key]), key
    assert not torch.equal(floats(training.network)["classifier.weight"], floats(training.model)["classifier.weight"])


def test_averaging_changes_nothing_of_training() -> None:
    averaged, plain = trainer({"name": "sgd"}), trainer({"name": "sgd"})
    plain.averaged = None
    assert averaged.train_epoch(0) == plain.train_epoch(0)
    assert plain.network is plain.model
    for name, tensor in plain.model.state_dict().items():
        assert torch.equal(tensor, averaged.model.state_dict()[name])
