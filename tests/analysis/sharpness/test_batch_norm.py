import pytest
import torch
from torch import nn

from analysis.errors import AnalysisError
from analysis.sharpness.batch_norm import fold_batch_norm, normalized_pairs
from analysis.sharpness.problem import pose
from tests.analysis.sharpness.networks import residual_network
from trainables.models import build_model

PAIRS = [("conv1", "norm1"), ("conv2", "norm2"), ("shortcut", "shortcut_norm")]


def test_pairs_follow_the_data_and_not_the_order_of_modules() -> None:
    model, inputs, targets = residual_network()
    assert normalized_pairs(pose(model, inputs, targets)) == PAIRS
    assert not model.conv1._forward_hooks
    assert not model.norm1._forward_pre_hooks


def test_a_folded_network_computes_the_same_without_batch_norm() -> None:
    model, inputs, _ = residual_network()
    folded = fold_batch_norm(model, PAIRS).eval()
    assert torch.allclose(folded(inputs), model(inputs), rtol=1e-10)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in folded.modules())
    assert isinstance(model.norm1, nn.BatchNorm2d)  # the original is as it was


def test_a_resnet_has_a_pair_for_every_convolution() -> None:
    torch.manual_seed(0)
    model = build_model("resnet20", 10).eval()
    inputs = torch.randn(4, 3, 32, 32)
    pairs = normalized_pairs(pose(model, inputs, torch.zeros(4, dtype=torch.int64)))
    assert len(pairs) == sum(isinstance(module, nn.Conv2d) for module in model.modules()) == 21
    assert torch.allclose(fold_batch_norm(model, pairs)(inputs), model(inputs), atol=1e-5)


def test_layers_that_are_run_twice_are_left_alone() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear, self.one, self.other = nn.Linear(4, 4), nn.BatchNorm1d(4), nn.BatchNorm1d(4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            out: torch.Tensor = self.other(self.linear(self.one(self.linear(x))))
            return out

    problem = pose(Twice().eval(), torch.randn(4, 4), torch.zeros(4, dtype=torch.int64))
    assert normalized_pairs(problem) == []


@pytest.mark.parametrize(
    ("pair", "message"), [(("conv1", "head"), "'head', a Linear"), (("conv3", "norm1"), "no module 'conv3'")]
)
def test_pairs_that_are_none_are_refused(pair: tuple[str, str], message: str) -> None:
    model, _, _ = residual_network()
    with pytest.raises(AnalysisError, match=message):
        fold_batch_norm(model, [pair])
