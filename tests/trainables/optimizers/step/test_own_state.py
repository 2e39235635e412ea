"""`torch.distributed.checkpoint` saves and loads all state, and hooks on state dicts are run."""

from typing import Any

import pytest
import torch
from torch import nn
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_optimizer_state_dict,
    get_state_dict,
    set_optimizer_state_dict,
    set_state_dict,
)
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import save

from tests.trainables.optimizers.networks import METHODS, assert_same_state, batches, network, train
from trainables.optimizers import RSAM, EigenSAM, SharpnessAware

pytestmark = pytest.mark.filterwarnings("ignore:torch.distributed is disabled")
each_method = pytest.mark.parametrize("name", list(METHODS))
BASES: dict[str, dict[str, Any]] = {
    "sgd": {"base_optimizer": torch.optim.SGD, "lr": 0.1, "momentum": 0.9, "weight_decay": 1e-2},
    "plain sgd": {"base_optimizer": torch.optim.SGD, "lr": 0.1},
    "adamw": {"base_optimizer": torch.optim.AdamW, "lr": 0.01},
}


def trained(name: str, base: str, steps: int) -> tuple[nn.Module, SharpnessAware]:
    model = network()
    optimizer = METHODS[name](model, **BASES[base])
    train(model, optimizer, batches(9)[:steps])
    return model, optimizer


@each_method
@pytest.mark.parametrize(("base", "flat"), [("sgd", True), ("plain sgd", False), ("adamw", False)])
def test_saved_to_files_in_mid_training_it_goes_on_bit_for_bit(name: str, base: str, flat: bool, tmp_path: Any) -> None:
    straight, _ = trained(name, base, 9)
    options = StateDictOptions(flatten_optimizer_state_dict=flat)
    cut, optimizer = trained(name, base, 4)
    weights, state = get_state_dict(cut, optimizer, options=options)
    save({"model": weights, "optimizer": state}, checkpoint_id=tmp_path, no_dist=True)

    resumed = network(seed=5)
    optimizer = METHODS[name](resumed, **BASES[base])
    weights, state = get_state_dict(resumed, optimizer, options=options)
    content: Any = {"model": weights, "optimizer": state}
    load(content, checkpoint_id=tmp_path, no_dist=True)
    set_state_dict(
        resumed,
        optimizer,
        model_state_dict=content["model"],
        optim_state_dict=content["optimizer"],
        options=options,
    )
    train(resumed, optimizer, batches(9)[4:])
    assert_same_state(straight, resumed)


@each_method
@pytest.mark.parametrize("full", [False, True])
def test_handed_over_in_memory_it_goes_on_bit_for_bit(name: str, full: bool) -> None:
    straight, _ = trained(name, "sgd", 9)
    cut, optimizer = trained(name, "sgd", 4)
    options = StateDictOptions(full_state_dict=full)
    state = get_optimizer_state_dict(cut, optimizer, options=options)
    cut.zero_grad()  # torch makes the state of an optimizer only where there are no gradients
    other = METHODS[name](cut, **BASES["sgd"])
    set_optimizer_state_dict(cut, other, state, options=options)
    train(cut, other, batches(9)[4:])
    assert_same_state(straight, cut)


@pytest.mark.parametrize("warm_up", [{"warmup_epochs": 3}, {"warmup_accuracy": 0.5}])
def test_rsams_warm_up_goes_on_where_it_was(warm_up: dict[str, Any]) -> None:
    model = network()
    optimizer = RSAM(model.named_parameters(), lr=0.1, momentum=0.9, **warm_up)
    for accuracy in (0.6, 0.2):
        train(model, optimizer, batches(1))
        optimizer.end_epoch(accuracy)
    state = get_optimizer_state_dict(model, optimizer)
    resumed = RSAM(model.named_parameters(), lr=0.1, momentum=0.9, **warm_up)
    set_optimizer_state_dict(model, resumed, state)
    assert resumed.active == optimizer.active
    resumed.end_epoch(0.2)
    assert resumed.active


@each_method
def test_state_is_made_at_learning_rate_zero_without_a_change_of_the_weights(name: str) -> None:
    model, untouched = network(), network()
    optimizer = METHODS[name](model, base_optimizer=torch.optim.Adam, lr=0.1)
    state: Any = get_optimizer_state_dict(model, optimizer)
    assert {"step", "exp_avg", "exp_avg_sq"} <= set(state["state"]["0.weight"])
    assert optimizer.param_groups[0]["lr"] == 0.1
    assert_same_state(model, untouched)


def test_eigenvector_is_saved_under_its_parameters_name() -> None:
    model, optimizer = trained("EigenSAM", "sgd", 4)
    state: Any = get_optimizer_state_dict(model, optimizer)["state"]
    for name, parameter in model.named_parameters():
        assert torch.equal(state[name]["eigenvector"], optimizer.state[parameter]["eigenvector"])
    assert isinstance(optimizer, EigenSAM)


@each_method
def test_hooks_on_state_dicts_are_run(name: str) -> None:
    """Of the optimizer and of its base; a dict that a hook returns takes the place of the one that it was given."""
    _, optimizer = trained(name, "sgd", 2)
    seen: list[str] = []

    def watch(label: str, one: torch.optim.Optimizer) -> None:
        def note(_: Any) -> None:
            seen.append(label)

        def saved(_: Any, state: dict[str, Any]) -> dict[str, Any]:
            seen.append(f"{label} saved")
            return {**state, label: True}

        def loading(_: Any, state: dict[str, Any]) -> dict[str, Any]:
            seen.append(f"{label} loading")
            return {**state, "param_groups": [group | {label: 7} for group in state["param_groups"]]}

        one.register_state_dict_pre_hook(note)
        one.register_state_dict_post_hook(saved)
        one.register_load_state_dict_pre_hook(loading)
        one.register_load_state_dict_post_hook(note)

    watch("own", optimizer)
    watch("base", optimizer.base_optimizer)
    state = optimizer.state_dict()
    assert state["own"]
    assert state["base"]
    optimizer.load_state_dict(state)
    assert [optimizer.param_groups[0][label] for label in ("own", "base")] == [7, 7]
    assert seen == ["own", "base", "base saved", "own saved", "own loading", "base loading", "base", "own"]


@each_method
def test_bases_may_keep_values_that_belong_to_no_parameter(name: str) -> None:
    class Counting(torch.optim.SGD):
        def step(self, closure: Any = None) -> Any:
            """Count the steps in the state, as some optimizers do."""
            self.state["count"] = self.state.get("count", 0) + 1  # type: ignore[call-overload, index]
            return super().step(closure)

    straight, model = network(), network()
    train(straight, METHODS[name](straight, base_optimizer=Counting, lr=0.1), batches(7))
    optimizer = METHODS[name](model, base_optimizer=Counting, lr=0.1)
    train(model, optimizer, batches(7)[:4])
    resumed = METHODS[name](model, base_optimizer=Counting, lr=0.1)
    resumed.load_state_dict(optimizer.state_dict())
    train(model, resumed, batches(7)[4:])
    assert_same_state(straight, model)
    assert resumed.state["count"] == 7  # type: ignore[index]


def test_checkpoints_of_version_0_1_are_read() -> None:
    """They held the warm-up, Eigen-SAM's count and its vector in an entry `progress`."""
    model = network()
    optimizer = RSAM(model.named_parameters(), lr=0.1, warmup_epochs=3)
    state = optimizer.state_dict()
    for name in ("epochs_done", "best_accuracy", "zero_gradients"):
        del state["param_groups"][0][name]
    optimizer.load_state_dict(
        {**state, "progress": {"epoch": 3, "best_accuracy": 0.4, "zero_gradients": torch.tensor(2)}}
    )
    assert optimizer.active
    assert optimizer.log_values()["zero_gradients"].item() == 2

    straight, _ = trained("EigenSAM", "sgd", 9)
    cut, saved = trained("EigenSAM", "sgd", 4)
    state = saved.state_dict()
    vector = [state["state"][number].pop("eigenvector") for number in state["state"]]
    for number in state["state"]:
        del state["state"][number]["eigenvector_updates"]
    del state["param_groups"][0]["steps_of_epoch"]
    eigen = METHODS["EigenSAM"](cut, **BASES["sgd"])
    eigen.load_state_dict({**state, "progress": {"step": 4, "eigenvector": vector}})
    train(cut, eigen, batches(9)[4:])
    assert_same_state(straight, cut)
