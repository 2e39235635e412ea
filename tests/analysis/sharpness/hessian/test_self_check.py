"""An engine that is wrong for a network is found out, whatever the order of the samples."""

import warnings

import pytest
import torch
from torch import Tensor, nn

from analysis.sharpness import layer_spectra
from analysis.sharpness.hessian import block_operator, layer_operators
from analysis.sharpness.hessian.engines import ENGINES
from analysis.sharpness.hessian.self_check import FEWEST_SAMPLES, Record, dimensions, foreign_number
from analysis.sharpness.hessian.tape.bases import Kernels
from analysis.sharpness.layers import select_parameters
from analysis.sharpness.problem import pose
from tests.analysis.sharpness.hessian.networks import build, dense_vector, hessian_rows, samples
from tests.analysis.sharpness.hessian.odd_networks import Cosine, Recurrent, StandardizedConv


def test_a_wrong_engine_steps_aside(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sabotaged convolution is found out by the self-check, and the product is still right."""
    model, (inputs, targets) = build("odd"), samples(4)
    original = Kernels.transpose
    monkeypatch.setattr(Kernels, "transpose", lambda self, *args: 1.001 * original(self, *args))
    with pytest.warns(RuntimeWarning, match="double_backward is used instead of r_operator: its product differs"):
        block = block_operator(model, inputs, targets, "conv1.weight", "r_operator")
    assert block.engine == "double_backward"
    assert "differs from double backward's by" in block.reason
    V = dense_vector(block.dim)
    reference = hessian_rows(model, inputs, targets, ["conv1.weight"], V)
    assert torch.allclose(block.matmat(V), reference, rtol=1e-10)


def trace(model: nn.Module, inputs: Tensor, targets: Tensor, layer: str) -> float:
    wide = model.double()
    identity = torch.eye(wide.get_parameter(layer).numel(), dtype=torch.float64)
    return hessian_rows(wide, inputs.double(), targets, [layer], identity).trace().item()


@pytest.mark.parametrize("blank", [0, 3, None])
def test_a_black_image_in_front_does_not_pass_for_evidence(blank: int | None) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 64, bias=False), nn.ReLU(), Cosine(64, 3, bias=False))
    inputs, targets = torch.randn(6, 5), torch.randint(0, 3, (6,))
    if blank is None:
        inputs[1:] = 0  # one sample alone shows anything
    else:
        inputs[blank] = 0
    found = layer_spectra(model, inputs, targets, ["2.weight"])["2.weight"].trace().value
    assert found == pytest.approx(trace(model, inputs, targets, "2.weight"), rel=1e-4)


def test_a_subclass_is_not_its_parent() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(
        StandardizedConv(2, 3, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), Cosine(3, 3)
    ).double()
    inputs, targets = torch.randn(5, 2, 5, 5, dtype=torch.float64), torch.arange(5) % 3
    for engine in ENGINES:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            for block in layer_operators(model, inputs, targets, [*select_parameters(model, None), None], engine):
                V = torch.eye(block.dim).double()
                H = hessian_rows(model, inputs, targets, list(select_parameters(model, block.layer)), V)
                assert (block.matmat(V) - H).norm() <= 1e-9 * H.norm(), (engine, block.layer)


def test_layers_that_only_a_late_sample_reaches_are_checked_on_it() -> None:
    """Of 60 samples one wakes the hidden units; the engines are checked on it and keep their block."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 6, bias=False), nn.ReLU(), nn.Linear(6, 3, bias=False)).double()
    inputs, targets = torch.zeros(60, 4, dtype=torch.float64), torch.arange(60) % 3
    inputs[41] = torch.randn(4, dtype=torch.float64)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        block = block_operator(model, inputs, targets, "0.weight", "gauss_newton_factor")
    V = torch.eye(24).double()
    H = hessian_rows(model, inputs, targets, ["0.weight"], V)
    assert block.engine == "gauss_newton_factor"
    assert (block.matmat(V) - H).norm() <= 1e-12 * H.norm()


def test_zero_on_every_sample_is_a_proof_and_round_off_is_none() -> None:
    assert Record(error=1e-12, scale=1.0).verdict(1e-9, 1e-14) is True
    assert Record(error=1e-3, scale=1.0).verdict(1e-9, 1e-14) is False
    assert Record(error=0.0, scale=0.0).verdict(1e-9, 1e-14) is None
    assert Record(error=1e-16, scale=1e-16).verdict(1e-9, 1e-14) is None
    assert Record(error=1e-3, scale=0.0).verdict(1e-9, 1e-14) is False
    record = Record()
    record.note(float("nan"), 1.0)
    assert record.verdict(1e-9, 1e-14) is False


def test_the_number_of_samples_is_no_other_dimension() -> None:
    torch.manual_seed(0)
    model = Recurrent().double()
    sizes = dimensions(pose(model, torch.randn(3, 5, 4, dtype=torch.float64), torch.arange(3)))
    assert {3, 4, 5, 16} <= sizes
    assert foreign_number(FEWEST_SAMPLES, sizes) == 7
    assert foreign_number(14, {17}) == 19


class Upcasting(nn.Module):
    """A normalization that computes in float32 whatever it is given."""

    def forward(self, x: Tensor) -> Tensor:
        wide = x.float()
        return (wide * (wide.square().mean(1, keepdim=True) + 1e-6).rsqrt()).to(x.dtype)


def test_float32_inside_is_no_difference() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 8), Upcasting(), nn.Linear(8, 3))
    inputs, targets = torch.randn(9, 5), torch.arange(9) % 3
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        engines = {
            block.layer: block.engine
            for block in layer_operators(model, inputs, targets, engine="gauss_newton_factor", curvature="gauss_newton")
        }
    assert set(engines.values()) == {"gauss_newton_factor"}
