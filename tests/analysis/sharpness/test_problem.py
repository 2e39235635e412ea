"""Bad input is refused with one clear error, and the model is left as it was found."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from analysis.errors import AnalysisError, UndefinedMeasureError
from analysis.sharpness.hessian import block_operator, layer_operators
from analysis.sharpness.layers import weight_layers
from tests.analysis.sharpness.hessian.networks import NETWORKS, build, samples


class Noise(nn.Module):
    """Dropout that eval mode does not switch off."""

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.dropout(x, 0.5, training=True)


class Centre(nn.Module):
    """Subtracts the mean over the batch."""

    def forward(self, x: Tensor) -> Tensor:
        return x - x.mean(dim=0)


class Stubborn(nn.Sequential):
    """Can't be put into eval mode."""

    def train(self, mode: bool = True) -> "Stubborn":
        super().train(True)
        return self


def linear() -> list[nn.Module]:
    torch.manual_seed(0)
    return [nn.Flatten(), nn.Linear(192, 4), nn.ReLU(), nn.Linear(4, 3)]


def plain(inputs: Tensor, targets: Tensor, layer: str | None = "1.weight", **options: Any) -> object:
    return block_operator(nn.Sequential(*linear()).double(), inputs, targets, layer, **options)


BAD: dict[str, tuple[Callable[[Tensor, Tensor], object], str]] = {
    "unknown layer": (lambda x, y: plain(x, y, "1.wieght"), r"no layer '1.wieght'; nearest names: 1.weight"),
    "mismatched batch": (lambda x, y: plain(x, y[:2]), "same samples; got 4 and 2"),
    "empty batch": (lambda x, y: plain(x[:0], y[:0]), "same samples; got 0 and 0"),
    "target too large": (lambda x, y: plain(x, y.clone().fill_(3)), "targets must lie in 0 … 2.*got 3"),
    "target negative": (lambda x, y: plain(x, y - 100), "targets must lie in 0 … 2"),
    "float targets": (lambda x, y: plain(x, y.double()), r"targets must be \(N,\) integer classes.*loss=.mse."),
    "integer inputs": (
        lambda x, y: plain(x.long(), y),
        r"can.t be called with inputs of shape .4, 3, 8, 8. and torch.int64",
    ),
    "inputs of another type": (lambda x, y: plain(x.float(), y), "inputs must have the type and device"),
    "unknown loss": (
        lambda x, y: plain(x, y, loss="hinge"),
        "loss must be one of cross_entropy, mse, bce; got 'hinge'",
    ),
    "unknown engine": (lambda x, y: plain(x, y, engine="fast"), "engine must be one of auto, .*got 'fast'"),
    "unknown curvature": (lambda x, y: plain(x, y, curvature="fisher"), "curvature must be one of hessian"),
    "classes for the squared error": (lambda x, y: plain(x, y, loss="mse"), r"float of shape \(N, 3\)"),
    "tiny budget": (lambda x, y: plain(x, y, memory_budget=2**20), "memory_budget must be more than"),
    "dropout": (
        lambda x, y: block_operator(nn.Sequential(*linear(), Noise()).double(), x, y, "1.weight"),
        "different outputs for the same inputs",
    ),
    "coupled samples": (
        lambda x, y: block_operator(nn.Sequential(*linear(), Centre()).double(), x, y, "1.weight"),
        "depends on the other samples",
    ),
    "dropout module left on": (
        lambda x, y: block_operator(Stubborn(*linear(), nn.Dropout(0.1)).double(), x, y, "1.weight"),
        "dropout '4' stays on",
    ),
    "batch-norm of the batch": (
        lambda x, y: block_operator(
            nn.Sequential(nn.Conv2d(3, 2, 3), nn.BatchNorm2d(2, track_running_stats=False), *linear()).double(),
            x,
            y,
            "0.weight",
        ),
        "batch-norm '1' uses the statistics of the batch",
    ),
    "outputs with positions": (
        lambda x, y: block_operator(nn.Conv2d(3, 3, 3).double(), x, y, "weight"),
        r"targets must be \(N, 6, 6\) or \(N, 3, 6\) integer classes",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_refused(case: str) -> None:
    inputs, targets = samples(4)
    call, message = BAD[case]
    with pytest.raises(AnalysisError, match=message):
        call(inputs, targets)


@pytest.mark.parametrize("what", ["1.weight", "the inputs"])
def test_nan_is_an_undefined_measure(what: str) -> None:
    model, (inputs, targets) = nn.Sequential(*linear()).double(), samples(4)
    poisoned = inputs if what == "the inputs" else dict(model.named_parameters())[what].data
    poisoned.view(-1)[0] = float("nan")
    with pytest.raises(UndefinedMeasureError, match=f"{what} has NaN or infinite entries"):
        block_operator(model, inputs, targets, None)


def test_vectors_of_another_length_are_refused() -> None:
    block = block_operator(nn.Sequential(*linear()).double(), *samples(4), "3.weight")
    with pytest.raises(AnalysisError, match=r"vectors must be \(p, 12\)"):
        block.matmat(torch.zeros(2, 11, dtype=torch.float64))


@pytest.mark.parametrize("name", NETWORKS)
def test_model_is_left_as_it_was_found(name: str) -> None:
    model, (inputs, targets) = build(name), samples(4)
    weights = list(model.parameters())
    weights[0].grad = torch.ones_like(weights[0])
    weights[-1].requires_grad_(False)
    next(model.children()).eval()
    handle = model.register_forward_hook(lambda module, args, result: None)
    state, flags = copy.deepcopy(model.state_dict()), [m.training for m in model.modules()]
    hooks = [(len(m._forward_hooks), len(m._forward_pre_hooks), len(m._backward_hooks)) for m in model.modules()]
    random_state = torch.get_rng_state()
    for curvature in ("hessian", "gauss_newton"):
        for block in layer_operators(model, inputs, targets, [*weight_layers(model), None], curvature=curvature):
            block.matmat(torch.ones(1, block.dim, dtype=torch.float64))
    assert all(torch.equal(value, state[key]) for key, value in model.state_dict().items())
    assert flags == [m.training for m in model.modules()]
    assert hooks == [
        (len(m._forward_hooks), len(m._forward_pre_hooks), len(m._backward_hooks)) for m in model.modules()
    ]
    assert torch.equal(weights[0].grad, torch.ones_like(weights[0]))
    assert all(weight.grad is None for weight in weights[1:])
    assert [weight.requires_grad for weight in weights] == [True] * (len(weights) - 1) + [False]
    assert torch.equal(torch.get_rng_state(), random_state)
    assert torch.backends.mha.get_fastpath_enabled()
    handle.remove()


def test_a_failure_leaves_the_model_alone() -> None:
    model = nn.Sequential(*linear(), Noise()).double().train()
    with pytest.raises(AnalysisError):
        block_operator(model, *samples(4), "1.weight")
    assert all(module.training for module in model.modules())


@pytest.mark.parametrize("engine", ["auto", "r_operator", "double_backward", "gauss_newton_factor"])
def test_inference_mode_and_its_tensors(engine: str) -> None:
    model, (inputs, targets) = build("odd"), samples(4)
    reference = block_operator(model, inputs, targets, "conv2.weight", engine)
    V = torch.ones(1, reference.dim, dtype=torch.float64)
    with torch.inference_mode():
        block = block_operator(model, inputs.clone(), targets.clone(), "conv2.weight", engine)
        assert torch.allclose(block.matmat(V.clone()), reference.matmat(V), rtol=1e-12)


def test_autocast_does_not_reach_the_products() -> None:
    model, (inputs, targets) = nn.Sequential(*linear()), samples(4)
    reference = block_operator(model, inputs.float(), targets, "1.weight", "double_backward")
    V = torch.ones(1, reference.dim)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        block = block_operator(model, inputs.float(), targets, "1.weight", "double_backward")
        assert torch.equal(block.matmat(V), reference.matmat(V))
