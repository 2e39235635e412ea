"""What can't be optimized is refused when it is given, in our words; groups are complete whoever added them."""

from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from tests.trainables.optimizers.networks import METHODS, batches, closure_for, network
from trainables.errors import TrainingError
from trainables.optimizers import RSAM, SAM

each_method = pytest.mark.parametrize("name", list(METHODS))


def holding(parameter: torch.Tensor) -> nn.Module:
    model = nn.Module()
    model.register_parameter("weight", nn.Parameter(parameter))
    return model


@each_method
def test_base_optimizers_that_can_not_step_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="base_optimizer can not be LBFGS: it evaluates the closure itself"):
        METHODS[name](network(), base_optimizer=torch.optim.LBFGS)
    with pytest.raises(ValueError, match="base_optimizer can not be SparseAdam: it takes sparse gradients only"):
        METHODS[name](network(), base_optimizer=torch.optim.SparseAdam)


def test_a_function_that_makes_such_a_base_is_refused_too() -> None:
    with pytest.raises(ValueError, match="base_optimizer can not be LBFGS"):
        SAM(network().parameters(), lambda params, **arguments: torch.optim.LBFGS(params, **arguments))


@each_method
def test_parameters_that_are_not_dense_and_real_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"parameter weight is complex64, .*view_as_complex in forward"):
        METHODS[name](holding(torch.zeros(2, dtype=torch.complex64)), lr=0.1)
    with pytest.raises(ValueError, match=r"parameter weight is sparse \(torch.sparse_coo\); give its values to_dense"):
        METHODS[name](holding(torch.eye(2).to_sparse()), lr=0.1)
    optimizer = SAM(network().parameters(), lr=0.1)
    with pytest.raises(ValueError, match="parameter number 1 of its group is complex128"):
        optimizer.add_param_group(
            {"params": [nn.Parameter(torch.zeros(1)), nn.Parameter(torch.zeros(1, dtype=torch.complex128))]}
        )


@each_method
def test_sparse_gradients_are_refused_with_the_remedy(name: str) -> None:
    model = nn.Embedding(5, 2, sparse=True)
    optimizer = METHODS[name](model, lr=0.1)
    model(torch.tensor([1])).sum().backward()
    with pytest.raises(TrainingError, match=r"the gradient of weight is sparse, .* sparse=False"):
        optimizer.first_step()


@pytest.mark.parametrize("rho", [-1, float("nan")])
def test_rho_of_an_added_group_is_checked(rho: float) -> None:
    """A group that is refused is not added."""
    optimizer = SAM([nn.Parameter(torch.ones(2))], lr=0.1)
    group = {"params": [nn.Parameter(torch.ones(2))], "rho": rho}
    with pytest.raises(ValueError, match=f"rho must be finite and at least 0; got {rho}"):
        optimizer.add_param_group(group)
    assert len(optimizer.param_groups) == len(optimizer.base_optimizer.param_groups) == 1
    optimizer.base_optimizer.add_param_group(group)
    optimizer.param_groups[0]["params"][0].grad = torch.ones(2)
    with pytest.raises(ValueError, match="rho must be finite and at least 0"):
        optimizer.first_step()


@each_method
def test_a_group_that_was_added_to_the_base_gets_the_defaults(name: str) -> None:
    """As if it had been added to the optimizer itself."""
    models = [network(), network()]
    for model, on_base in zip(models, (False, True), strict=True):
        optimizer = METHODS[name](nn.Sequential(model[0]), lr=0.1)
        receiver: Any = optimizer.base_optimizer if on_base else optimizer
        receiver.add_param_group({"params": list(model[4].named_parameters()), "lr": 0.2})
        for inputs, targets in batches(4):
            optimizer.step(closure_for(model, inputs, targets))
        assert optimizer.param_groups[1]["rho"] == optimizer.defaults["rho"]
    for mine, other in zip(models[0].parameters(), models[1].parameters(), strict=True):
        assert torch.equal(mine, other)


def test_added_groups_know_how_far_the_warm_up_is() -> None:
    optimizer = RSAM([nn.Parameter(torch.ones(2))], warmup_epochs=1, lr=0.1)
    optimizer.end_epoch()
    optimizer.add_param_group({"params": [nn.Parameter(torch.ones(2))]})
    optimizer.end_epoch()
    assert [group["epochs_done"] for group in optimizer.param_groups] == [2, 2]


@each_method
@pytest.mark.parametrize("base", [torch.optim.SGD, torch.optim.Adam])
def test_maximizing_equals_minimizing_the_negative_bit_for_bit(name: str, base: Any) -> None:
    """ε goes downhill then."""
    minimized, maximized = network(), network()
    first = METHODS[name](minimized, base_optimizer=base, lr=0.01, weight_decay=1e-2)
    second = METHODS[name](maximized, base_optimizer=base, lr=0.01, weight_decay=1e-2, maximize=True)
    for inputs, targets in batches(5):

        def closure(inputs: Any = inputs, targets: Any = targets) -> None:
            maximized.zero_grad()
            (-cross_entropy(maximized(inputs), targets)).backward()

        first.step(closure_for(minimized, inputs, targets))
        second.step(closure)
    assert first.epsilon_norm > 0
    for mine, other in zip(minimized.parameters(), maximized.parameters(), strict=True):
        assert torch.equal(mine, other)
