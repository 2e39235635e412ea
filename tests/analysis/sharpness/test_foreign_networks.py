"""Networks as people have them: wrapped, checkpointed, half precision, recurrent, parametrized."""

import copy
import math
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from analysis.settings import SharpnessSettings
from analysis.sharpness import layer_spectra, measure, weight_layers
from analysis.sharpness.layers import select_parameters, unwrapped
from tests.analysis.sharpness.hessian.networks import hessian_rows
from tests.analysis.sharpness.hessian.odd_networks import Recurrent, Unused

OWN = "tests.analysis.sharpness.own_measures.largest_output"
QUICK = SharpnessSettings(samples=6, measures=("trace", "lambda_max", "l2", "fisher_rao", "sam"))


class Checkpointed(nn.Module):
    """Computes its middle again on the way back."""

    def __init__(self, reentrant: bool) -> None:
        super().__init__()
        self.reentrant = reentrant
        self.first, self.middle, self.last = nn.Linear(5, 4), nn.Linear(4, 4), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        h = self.first(x).tanh()
        h = checkpoint(lambda t: self.middle(t).tanh(), h, use_reentrant=self.reentrant)
        out: Tensor = self.last(h)
        return out


def mlp() -> nn.Sequential:
    return nn.Sequential(nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 3))


def samples() -> tuple[Tensor, Tensor]:
    return torch.randn(6, 5, generator=torch.Generator().manual_seed(1)), torch.arange(6) % 3


def trace(model: nn.Module, inputs: Tensor, targets: Tensor, layer: str) -> float:
    wide = copy.deepcopy(model).double()
    size = wide.get_parameter(layer).numel()
    return hessian_rows(wide, inputs.double(), targets, [layer], torch.eye(size).double()).trace().item()


@pytest.mark.parametrize(
    "network",
    [
        lambda: Checkpointed(reentrant=False),
        lambda: Checkpointed(reentrant=True),
        lambda: nn.Sequential(nn.Linear(5, 4), nn.Hardsigmoid(), nn.Linear(4, 4), nn.Hardswish(), nn.Linear(4, 3)),
        lambda: nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(5, 4)), nn.Tanh(), nn.Linear(4, 3)),
    ],
)
def test_every_layer_has_the_trace_of_double_backward(network: Callable[[], nn.Module]) -> None:
    torch.manual_seed(0)
    model, (inputs, targets) = network(), samples()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        spectra = layer_spectra(model, inputs, targets)
    plain = copy.deepcopy(model)
    if isinstance(plain, Checkpointed):
        plain.reentrant = False
    for layer in weight_layers(model):
        reference = plain
        if any(isinstance(module, nn.Hardsigmoid) for module in plain.modules()):
            reference = nn.Sequential(
                *(Sixth() if isinstance(module, nn.Hardsigmoid) else module for module in plain.children())
            )
        expected = trace(reference, inputs, targets, layer)
        assert spectra[layer].trace().value == pytest.approx(expected, rel=1e-4), layer


class Sixth(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return (x + 3).clamp(0, 6) / 6


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_measured_in_float32_with_the_weights_as_they_are(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    model, (inputs, targets) = mlp().to(dtype), samples()
    inputs = inputs.to(dtype)
    rows = measure(model, inputs, targets, QUICK)
    wide = measure(copy.deepcopy(model).float(), inputs.float(), targets, QUICK)
    assert [row.value for row in rows] == [row.value for row in wide]
    assert all(row.value is not None and math.isfinite(row.value) for row in rows)
    assert model[0].weight.dtype == dtype


@pytest.mark.parametrize("as_batches", [False, True])
def test_every_measure_of_half_precision_is_that_of_the_same_weights_in_float32(as_batches: bool) -> None:
    torch.manual_seed(0)
    narrow = nn.Sequential(nn.Linear(5, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 3)).bfloat16()
    start = copy.deepcopy(narrow.state_dict())
    with torch.no_grad():
        for parameter in narrow.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    inputs, _ = samples()
    targets = copy.deepcopy(narrow).float().eval()(inputs).argmax(1)  # so that margins and PAC-Bayes bounds exist
    names = ["path_norm", "prod_of_spec", "sum_of_fro", "pacbayes_orig", "pacbayes_mag_init", "sam", "trace", OWN]
    batches = [(inputs[:4], targets[:4]), (inputs[4:], targets[4:])]
    given: tuple[Any, Any] = (batches, None) if as_batches else (inputs, targets)
    wide = copy.deepcopy(narrow).float()
    found, expected = (measure(m, *given, initial=start, measures=names, progress=False) for m in (narrow, wide))
    assert all(row.value is not None for row in found if row.measure != "trace")
    assert list(found) == list(expected)


def test_wrapped_networks_are_measured_inside_their_wrapper() -> None:
    torch.manual_seed(0)
    model, (inputs, targets) = mlp(), samples()
    expected = [row.value for row in measure(model, inputs, targets, QUICK)]
    wrappers: list[Any] = [nn.DataParallel(model), torch.compile(model)]
    for wrapped in wrappers:
        assert unwrapped(wrapped) is model
        assert weight_layers(wrapped) == weight_layers(model)
        with pytest.warns(RuntimeWarning, match="is measured without (DataParallel|OptimizedModule): eagerly"):
            assert [row.value for row in measure(wrapped, inputs, targets, QUICK)] == expected


@pytest.mark.parametrize(
    "network",
    [
        lambda: Recurrent(),
        lambda: nn.Sequential(nn.Flatten(), nn.utils.parametrizations.weight_norm(nn.Linear(20, 3))),
    ],
)
def test_fisher_rao_without_forward_mode_is_that_of_float64_gradients(network: Callable[[], nn.Module]) -> None:
    torch.manual_seed(0)
    model, inputs, targets = network(), torch.randn(6, 5, 4), torch.arange(6) % 3
    (row,) = (
        row for row in measure(model, inputs, targets, QUICK) if (row.measure, row.layer) == ("fisher_rao", "all")
    )
    wide, squares = copy.deepcopy(model).double().eval(), 0.0
    for x, y in zip(inputs.double(), targets, strict=True):
        loss = nn.functional.cross_entropy(wide(x[None]), y[None])
        gradients = torch.autograd.grad(loss, list(wide.parameters()))
        squares += sum((p * g).sum().item() for p, g in zip(wide.parameters(), gradients, strict=True)) ** 2
    assert row.value == pytest.approx(math.sqrt(squares / 6), rel=1e-4)


def test_layers_that_no_output_depends_on_end_nothing() -> None:
    torch.manual_seed(0)
    rows = {(row.measure, row.layer): row for row in measure(Unused(), *samples(), QUICK)}
    assert rows["trace", "aux.weight"].value == 0
    assert rows["fisher_rao", "aux.weight"].value == 0
    assert rows["sam", "aux.weight"].value is None
    assert "gradient is zero" in str(rows["sam", "aux.weight"].reason)
    assert rows["trace", "first.weight"].value is not None
    assert rows["trace", "all"].value is not None


def test_which_parameters_are_layers() -> None:
    parametrized = nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(5, 4)), nn.Linear(4, 3))
    assert weight_layers(parametrized) == ["0.parametrizations.weight.original1", "1.weight"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        older = nn.Sequential(nn.utils.weight_norm(nn.Linear(5, 4)))
    assert weight_layers(older) == ["0.weight_v"]
    model = mlp()
    model[0].requires_grad_(False)
    assert weight_layers(model) == ["2.weight"]
    assert weight_layers(model, frozen=True) == ["0.weight", "2.weight"]
    with pytest.warns(UserWarning, match=r"layer '2' is read as '2\.weight'"):
        assert list(select_parameters(model, "2")) == ["2.weight"]
    with pytest.warns(UserWarning, match="is read as"):
        assert list(layer_spectra(model, *samples(), ["2"])) == ["2.weight"]


class NoWayBack(torch.autograd.Function):
    """The identity, whose derivative fails."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Tensor:
        raise RuntimeError("no way back")


class Broken(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = NoWayBack.apply(x)
        return out


def test_a_measure_that_fails_ends_no_other() -> None:
    model = nn.Sequential(nn.Linear(5, 4), Broken(), nn.Linear(4, 3))
    rows = measure(model, *samples(), QUICK)
    assert {row.measure for row in rows} == set(QUICK.measures)
    assert all(row.value is not None for row in rows if row.measure == "l2")
    assert all("no way back" in str(row.reason) for row in rows if row.measure in ("trace", "sam"))
