"""Factors of layers whose channels are pooled, against the same factor written out."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from analysis.sharpness.hessian import layer_operators
from analysis.sharpness.hessian.engines import pooled_factor as pooled
from analysis.sharpness.hessian.engines.factors import TapeFactors
from analysis.sharpness.hessian.engines.gauss_newton import GaussNewtonFactor
from analysis.sharpness.hessian.engines.pooled_factor import PooledFactor
from analysis.sharpness.hessian.tape.tape import tape_of
from analysis.sharpness.layers import weight_layers
from analysis.sharpness.problem import pose
from tests.analysis.sharpness.hessian.networks import build, gauss_newton, samples


def draw(*size: int, seed: int = 0) -> Tensor:
    return torch.randn(*size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("shape", [(5, 2, 3, 4), (5, 4, 3, 4), (1, 1, 1, 1)])  # N, R, C, K: N·R below and above C·K
def test_it_is_the_factor_written_out(shape: tuple[int, int, int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    N, R, C, K = shape
    u, Q, V = draw(N, R, C), draw(N, C, K, seed=1), draw(3, C * K, seed=2)
    short, long = PooledFactor(u, Q), GaussNewtonFactor(torch.einsum("nrc,nck->nrck", u, Q).reshape(N * R, C * K))
    monkeypatch.setattr(pooled, "GRAM_BYTES", 2 * N * R * C * 8)  # of two samples at a time
    assert short.dim == long.dim
    assert torch.allclose(short.matmat(V), long.matmat(V))
    assert torch.allclose(short.gram(), long.gram())
    assert torch.allclose(short.exact_eigenvalues(), long.exact_eigenvalues(), atol=1e-12)
    single = PooledFactor(u.float(), Q.float())
    assert single.gram().dtype == torch.float32
    assert torch.allclose(single.gram(torch.float64), long.gram(), atol=1e-5)


class Pooling(nn.Module):
    """Two convolutions, a skip around the second, and a way to end them."""

    def __init__(self, end: Callable[[Tensor], Tensor], num_features: int = 4) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3, padding=1)
        self.last = nn.Conv2d(4, 4, 3, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(4)
        self.end = end
        self.flatten = nn.Flatten()
        self.head = nn.Linear(num_features, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x).relu()
        x = self.end(torch.relu(self.bn(self.last(x)) + x))
        out: Tensor = self.head(self.flatten(x))
        return out


ENDS: dict[str, tuple[Callable[[Tensor], Tensor], int, bool]] = {  # with the features left, and whether it pools
    "adaptive": (nn.AdaptiveAvgPool2d(1), 4, True),
    "average": (nn.AvgPool2d(8), 4, True),
    "maximum": (nn.MaxPool2d(8), 4, True),
    "two steps": (nn.Sequential(nn.MaxPool2d(2), nn.AdaptiveAvgPool2d(1)), 4, True),
    "mean": (lambda x: x.mean((2, 3)), 4, True),
    "function": (lambda x: nn.functional.adaptive_avg_pool2d(x, 1), 4, True),
    "to four positions": (nn.AdaptiveAvgPool2d(2), 16, False),
    "over channels": (lambda x: x.mean(1), 64, False),
    "none": (nn.Identity(), 256, False),
}


@pytest.mark.parametrize("end", ENDS)
def test_layers_in_front_of_a_pooling(end: str) -> None:
    make, num_features, pools = ENDS[end]
    torch.manual_seed(0)
    model, (inputs, targets) = Pooling(make, num_features).double().eval(), samples(5)
    problem = pose(model, inputs, targets, "cross_entropy")
    rows = dict(TapeFactors(tape_of(model)).sweep(problem, list(problem.parameters)))
    assert {name for name, found in rows.items() if found.scales is not None} == ({"last.weight"} if pools else set())
    for block in layer_operators(model, inputs, targets, [*weight_layers(model), None], curvature="gauss_newton"):
        V = draw(3, block.dim)
        names = [name for name, _ in model.named_parameters() if block.layer in (None, name)]
        assert torch.allclose(block.matmat(V), V @ gauss_newton(model, inputs, targets, names)), block.layer


@pytest.mark.parametrize(
    ("network", "layers"),
    [
        ("resnet", {"layer2.0.conv2.weight", "layer2.0.downsample.0.weight"}),
        ("bottleneck", {"layer2.0.conv3.weight", "layer2.0.downsample.0.weight"}),
        ("wide_resnet", {"2.conv2.weight"}),
        ("perceptron", set()),
    ],
)
def test_which_layers_of_the_networks_are_pooled(network: str, layers: set[str]) -> None:
    model, (inputs, targets) = build(network).eval(), samples(3)
    problem = pose(model, inputs, targets, "cross_entropy")
    rows = TapeFactors(tape_of(model)).sweep(problem, list(problem.parameters))
    assert {name for name, found in rows if found.scales is not None} == layers
