"""Parameters that no output depends on have zero blocks, and references behind a module's back are refused."""

import pytest
import torch
from torch import Tensor, nn

from analysis.errors import AnalysisError
from analysis.sharpness import block_operator, layer_spectra
from analysis.sharpness.hessian.reach import unreached
from analysis.sharpness.problem import pose
from tests.analysis.sharpness.hessian.networks import gauss_newton, hessian_rows
from tests.analysis.sharpness.hessian.odd_networks import Experts, Unused


def test_what_no_output_depends_on() -> None:
    torch.manual_seed(0)
    inputs, targets = torch.randn(7, 5), torch.arange(7) % 3
    names = {"frozen.weight", "frozen.bias", "aux.weight", "aux.bias"}
    assert unreached(pose(Unused(), inputs, targets)) == names
    assert unreached(pose(Experts(), inputs, targets)) == {"experts.2.weight", "experts.2.bias"}


def test_an_expert_that_only_a_late_sample_chooses_is_reached() -> None:
    inputs = torch.rand(200, 5) + 0.1
    inputs[190, 0] = -1
    assert unreached(pose(Experts(), inputs, torch.arange(200) % 3)) == {"experts.2.weight", "experts.2.bias"}


def test_an_expert_that_only_a_late_batch_chooses_is_reached() -> None:
    inputs, targets = torch.rand(200, 5) + 0.1, torch.arange(200) % 3
    inputs[190, 0] = -1
    streamed = pose(Experts(), list(zip(inputs.split(8), targets.split(8), strict=True)), memory_budget=1000)
    assert streamed.stream is not None
    assert unreached(streamed) == {"experts.2.weight", "experts.2.bias"}


def test_other_layers_are_measured_beside_a_zero_block() -> None:
    torch.manual_seed(0)
    model, inputs, targets = Unused().double(), torch.randn(6, 5, dtype=torch.float64), torch.arange(6) % 3
    spectra = layer_spectra(model, inputs, targets)
    assert {layer for layer, spectrum in spectra.items() if spectrum.engine == "zero"} == {
        "frozen.weight",
        "aux.weight",
    }
    assert spectra["aux.weight"].trace().value == 0
    assert "no output depends on it" in spectra["aux.weight"].engine_reason
    for layer in ("first.weight", "fc.weight"):
        expected = gauss_newton(model, inputs, targets, [layer]).trace().item()
        assert spectra[layer].trace().value == pytest.approx(expected, rel=1e-9)


def test_an_expert_that_the_first_samples_pass_by_has_its_hessian() -> None:
    torch.manual_seed(0)
    model, inputs, targets = Experts().double(), torch.randn(6, 5, dtype=torch.float64), torch.arange(6) % 3
    inputs[:, 0] = torch.tensor([-1.0, -1, -1, -1, -1, 1])
    block = block_operator(model, inputs, targets, "experts.1.weight", "double_backward")
    identity = torch.eye(block.dim).double()
    H = hessian_rows(model, inputs, targets, ["experts.1.weight"], identity)
    assert H.norm() > 0
    assert (block.matmat(identity) - H).norm() <= 1e-12 * H.norm()


class Hidden(nn.Module):
    """Reads its weight from a list, which no one can replace."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(5, 3)
        self.kept = [self.fc.weight]

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.linear(x, self.kept[0], self.fc.bias)


def test_a_weight_behind_the_back_of_its_module_is_refused() -> None:
    with pytest.raises(AnalysisError, match=r"fc\.weight is used by more than its module's attribute"):
        layer_spectra(Hidden(), torch.randn(6, 5), torch.arange(6) % 3)
