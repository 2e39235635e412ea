"""What all share: restoring, batch-norm, schedulers, clipping, accumulation, errors."""

import copy
from functools import partial
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.nn.utils import clip_grad_norm_

from tests.trainables.optimizers.networks import METHODS, assert_same_state, batches, closure_for, network, train
from trainables.errors import TrainingError
from trainables.optimizers import ASAM, RSAM, SAM, EigenSAM

BASE: dict[str, Any] = {"lr": 0.1, "momentum": 0.9, "weight_decay": 1e-2}
each_method = pytest.mark.parametrize("name", list(METHODS))


@each_method
def test_is_a_torch_optimizer_around_any_base(name: str) -> None:
    model = network()
    optimizer = METHODS[name](model, base_optimizer=torch.optim.AdamW, lr=1e-2, betas=(0.8, 0.9))
    assert isinstance(optimizer, torch.optim.Optimizer)
    assert isinstance(optimizer.base_optimizer, torch.optim.AdamW)
    assert optimizer.param_groups is optimizer.base_optimizer.param_groups
    before = [parameter.clone() for parameter in model.parameters()]
    train(model, optimizer, batches(4))
    assert not any(torch.equal(old, new) for old, new in zip(before, model.parameters(), strict=True))


@each_method
@pytest.mark.parametrize("base", ["sgd", "adam"])
def test_zero_rho_equals_the_base_optimizer_bit_for_bit(name: str, base: str) -> None:
    cls: Any = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}[base]
    arguments = BASE if base == "sgd" else {"lr": 0.01, "weight_decay": 1e-2}
    plain, perturbed = network(), network()
    optimizer = METHODS[name](perturbed, base_optimizer=cls, **arguments)
    for group in optimizer.param_groups:
        group["rho"] = 0.0
    train(plain, cls(plain.parameters(), **arguments), batches(6))
    train(perturbed, optimizer, batches(6))
    assert_same_state(plain, perturbed)  # running statistics of batch-norm included


@each_method
@pytest.mark.parametrize("size", [1e-20, 1.0, 1e20])
def test_weights_come_back_bit_for_bit(name: str, size: float) -> None:
    """At every size of weight, where w + ε − ε would round, −0.0 included."""
    torch.manual_seed(0)
    weight = nn.Parameter(torch.randn(1000) * size)
    with torch.no_grad():
        weight[0] = -0.0
    model = nn.Module()
    model.weight = weight
    optimizer = METHODS[name](model, lr=0.0)
    before = weight.detach().clone()
    weight.grad = torch.randn(1000)
    assert optimizer.first_step()
    assert all(parameter.grad is None for parameter in model.parameters())
    assert not torch.equal(weight, before) or size == 1e20
    weight.grad = torch.zeros(1000)
    optimizer.restore()
    assert torch.equal(weight.view(torch.int32), before.view(torch.int32))


@each_method
def test_two_calls_equal_the_closure(name: str) -> None:
    with_closure, by_hand = network(), network()
    first = METHODS[name](with_closure, **BASE)
    second = METHODS[name](by_hand, **BASE)
    for count, (inputs, targets) in enumerate(batches(5)):
        loss = first.step(closure_for(with_closure, inputs, targets))
        if isinstance(second, EigenSAM) and count == 3:
            second.update_eigenvector(closure_for(by_hand, inputs, targets))
        second.zero_grad()
        own = cross_entropy(by_hand(inputs), targets)
        own.backward()
        if second.first_step():
            cross_entropy(by_hand(inputs), targets).backward()
        second.second_step()
        assert torch.equal(loss, own)  # the loss at w, not at w + ε
    assert_same_state(with_closure, by_hand)


@each_method
def test_step_without_a_closure_ends_what_first_step_began(name: str) -> None:
    """For trainers that call `step` themselves."""
    by_step, by_hand = network(), network()
    optimizers = METHODS[name](by_step, **BASE), METHODS[name](by_hand, **BASE)
    for inputs, targets in batches(2):
        for model, optimizer, end in zip((by_step, by_hand), optimizers, ("step", "second_step"), strict=True):
            closure = closure_for(model, inputs, targets)
            closure()
            if optimizer.first_step():
                closure()
            getattr(optimizer, end)()
    assert_same_state(by_step, by_hand)


@pytest.mark.parametrize("name", METHODS)
def test_error_in_the_second_pass_restores_everything(name: str) -> None:
    model = network()
    inputs, targets = batches(1)[0]
    optimizer = METHODS[name](model, **BASE)
    run = closure_for(model, inputs, targets)
    before = copy.deepcopy(model)

    def closure() -> torch.Tensor:
        if optimizer.perturbed:
            model(inputs)
            raise KeyboardInterrupt
        return run()

    with pytest.raises(KeyboardInterrupt):
        optimizer.step(closure)
    assert not optimizer.perturbed
    before(inputs)  # what the first pass did to the running statistics
    assert_same_state(model, before)
    train(model, optimizer, batches(1))  # and it can go on


@each_method
@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("on_base", [False, True])
def test_schedulers_act_on_the_base_optimizer(name: str, on_base: bool) -> None:
    model = network()
    optimizer = METHODS[name](model, lr=1.0)
    target = optimizer.base_optimizer if on_base else optimizer
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(target, T_max=4)
    rates = []
    for inputs, targets in batches(4):
        rates.append(optimizer.base_optimizer.param_groups[0]["lr"])
        optimizer.step(closure_for(model, inputs, targets))
        scheduler.step()
    assert rates == pytest.approx([1.0, 0.8535534, 0.5, 0.1464466])


@pytest.mark.filterwarnings("error")
def test_schedulers_accept_the_two_calls() -> None:
    model = network()
    optimizer = SAM(model.parameters(), lr=1.0)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1)
    inputs, targets = batches(1)[0]
    closure = closure_for(model, inputs, targets)
    closure()
    optimizer.first_step()
    closure()
    optimizer.second_step()
    scheduler.step()
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.1)


@each_method
def test_clipping_the_final_gradient(name: str) -> None:
    """By a hook on the base optimizer, and by hand before `second_step`: the same, and ε is of the raw gradient.

    GSAM's final gradient is made in `second_step`, so it is clipped by the hook only.
    """
    hooked, by_hand, free = network(), network(), network()
    inputs, targets = batches(1)[0]
    optimizers = [METHODS[name](model, lr=1.0) for model in (hooked, by_hand, free)]

    def clip(*_: Any) -> None:
        clip_grad_norm_(hooked.parameters(), 1e-3)

    optimizers[0].base_optimizer.register_step_pre_hook(clip)
    start = [parameter.detach().clone() for parameter in hooked.parameters()]
    train(hooked, optimizers[0], [(inputs, targets)])
    train(free, optimizers[2], [(inputs, targets)])
    closure = closure_for(by_hand, inputs, targets)
    closure()
    optimizers[1].first_step()
    closure()
    clip_grad_norm_(by_hand.parameters(), 1e-3)
    optimizers[1].second_step()
    if name != "GSAM":
        assert_same_state(hooked, by_hand)
    moved = torch.cat([(new - old).flatten() for old, new in zip(start, hooked.parameters(), strict=True)])
    assert moved.norm().item() == pytest.approx(1e-3, rel=1e-4)
    assert torch.equal(optimizers[0].epsilon_norm, optimizers[2].epsilon_norm)


@each_method
def test_accumulating_equals_the_whole_batch(name: str) -> None:
    """Two halves of a batch, without batch-norm's batch statistics."""
    whole, halves = network().eval(), network().eval()
    first, second = METHODS[name](whole, **BASE), METHODS[name](halves, **BASE)
    for inputs, targets in batches(5):
        first.step(closure_for(whole, inputs, targets))

        def closure(inputs: torch.Tensor = inputs, targets: torch.Tensor = targets) -> float:
            second.zero_grad()
            total = 0.0
            for part, classes in zip(inputs.chunk(2), targets.chunk(2), strict=True):
                loss = cross_entropy(halves(part), classes) / 2
                loss.backward()
                total += loss.item()
            return total

        second.step(closure)
    for mine, other in zip(whole.parameters(), halves.parameters(), strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-9, atol=1e-9)


@each_method
def test_accumulating_without_a_closure_equals_the_whole_batch(name: str) -> None:
    """All backwards, the first step, all backwards again, the second: for loops that call backward themselves."""
    whole, parts = network().eval(), network().eval()
    first, second = METHODS[name](whole, **BASE), METHODS[name](parts, **BASE)

    def backwards(inputs: torch.Tensor, targets: torch.Tensor) -> None:
        for part, classes in zip(inputs.chunk(4), targets.chunk(4), strict=True):
            (cross_entropy(parts(part), classes) / 4).backward()

    for count, batch in enumerate(batches(5)):
        first.step(closure_for(whole, *batch))
        if isinstance(second, EigenSAM) and count == 3:
            second.update_eigenvector(partial(backwards, *batch))
        second.zero_grad()
        backwards(*batch)
        if second.first_step():
            backwards(*batch)
        second.second_step()
    for mine, other in zip(whole.parameters(), parts.parameters(), strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-9, atol=1e-9)


def test_parameters_without_gradient_stay() -> None:
    used, unused = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2))
    optimizer = SAM([used, unused], rho=0.5, lr=0.1)
    used.grad = torch.ones(2)
    optimizer.first_step()
    assert unused.tolist() == [1.0, 1.0]


@each_method
def test_no_python_number_is_read_in_a_step(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each would wait for the device."""
    model = network()
    optimizer = METHODS[name](model, lr=0.1, momentum=0.9)
    train(model, optimizer, batches(1))

    def refuse(*_: Any) -> None:
        raise AssertionError("a tensor was read")

    for reader in ("item", "tolist", "__float__", "__bool__", "__int__", "numpy"):
        monkeypatch.setattr(torch.Tensor, reader, refuse)
    train(model, optimizer, batches(4))


def test_misuse_is_named() -> None:
    model = network()
    optimizer = SAM(model.parameters(), lr=0.1)
    with pytest.raises(TrainingError, match=r"SAM\.step needs a closure"):
        optimizer.step()
    with pytest.raises(TrainingError, match="second_step: no step has begun"):
        optimizer.second_step()
    with pytest.raises(TrainingError, match="no parameter has a gradient; call backward first"):
        optimizer.first_step()
    closure_for(model, *batches(1)[0])()
    optimizer.first_step()
    with pytest.raises(TrainingError, match=r"first_step: the weights are w \+ ε.*call second_step\(\) or restore"):
        optimizer.first_step()
    optimizer.restore()


@pytest.mark.parametrize(
    ("method", "arguments", "message"),
    [
        (SAM, {"rho": -0.1}, "rho must be finite and at least 0; got -0.1"),
        (SAM, {"rho": float("nan")}, "rho must be finite"),
        (SAM, {"bn_second_pass": "hold"}, "bn_second_pass must be 'freeze' or 'update'; got 'hold'"),
        (ASAM, {"eta": -1.0}, "eta must be at least 0; got -1.0"),
        (EigenSAM, {"model": nn.Identity(), "period": 0}, "period must be at least 1; got 0"),
        (EigenSAM, {"model": nn.Identity(), "iterations": 0}, "iterations must be at least 1; got 0"),
        (EigenSAM, {"model": nn.Identity(), "alpha": -0.1}, "alpha must be at least 0"),
        (RSAM, {"order": 1.0}, "order must be positive, finite and not 1; got 1.0"),
        (RSAM, {"order": 0.0}, "order must be positive"),
        (RSAM, {"order": -2.0}, "order must be positive"),
        (RSAM, {"perturbation": "algorithm 2"}, "perturbation must be 'paper', 'power', 'exact' or 'per_tensor'"),
        (RSAM, {"perturbation": "power", "order": 0.3}, "order must be at least 0.5 for perturbation 'power'; got 0.3"),
        (RSAM, {"warmup_epochs": -1}, "warmup_epochs must be at least 0; got -1"),
        (RSAM, {"warmup_epochs": 5, "warmup_accuracy": 0.3}, "without warmup_epochs"),
        (RSAM, {"warmup_accuracy": 30.0}, r"warmup_accuracy must be in \[0, 1\)"),
        (RSAM, {"max_eps_norm": 0.0}, "max_eps_norm must be positive; got 0.0"),
    ],
)
def test_arguments_out_of_range(method: Any, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        method([nn.Parameter(torch.ones(1))], lr=0.1, **arguments)


@pytest.mark.parametrize("method", [SAM, ASAM])
@pytest.mark.parametrize("size", [1e-30, 1e30])
def test_norms_of_sam_and_asam_at_extreme_gradients(method: type[SAM] | type[ASAM], size: float) -> None:
    weight = torch.nn.Parameter(torch.tensor([1.0, -2.0]))
    weight.grad = torch.tensor([3.0, 4.0]) * size
    optimizer = method([weight], rho=0.5, lr=0.1)
    optimizer.first_step()
    if method is SAM:  # ρ‖g‖/(‖g‖ + 1e-12)
        assert optimizer.epsilon_norm.item() == pytest.approx(0.5 * 5 * size / (5 * size + 1e-12), rel=1e-5)
    else:
        transform = torch.tensor([1.01, 2.01])
        expected = 0.5 * transform.square() * torch.tensor([3.0, 4.0]) / (transform * torch.tensor([3.0, 4.0])).norm()
        assert optimizer.epsilon_norm.item() == pytest.approx(expected.norm().item(), rel=1e-5)


@pytest.mark.parametrize("method", [SAM, ASAM, EigenSAM])
def test_zero_gradient_gives_no_perturbation(method: Any) -> None:
    weight = torch.nn.Parameter(torch.ones(3))
    weight.grad = torch.zeros(3)
    extra = {"model": torch.nn.Identity()} if method is EigenSAM else {}
    optimizer = method([weight], lr=0.1, **extra)
    if method is EigenSAM:
        optimizer.state[weight].update(eigenvector=torch.tensor([1.0, 0.0, 0.0]), eigenvector_updates=1)
    optimizer.first_step()
    assert weight.tolist() == [1.0, 1.0, 1.0]
