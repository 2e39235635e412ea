"""Every loss against dense matrices in float64, and the engine that serves it."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from analysis.sharpness.hessian import block_operator, layer_operators
from analysis.sharpness.hessian.engines.double_backward import DoubleBackward
from analysis.sharpness.layers import select_parameters, weight_layers
from analysis.sharpness.loss import BinaryCrossEntropy, CrossEntropy, LossLike
from analysis.sharpness.problem import pose
from tests.analysis.sharpness.hessian.networks import build, hessian_rows, samples

WEIGHT = (0.5, 2.0, 1.0)
SMOOTHED = CrossEntropy(label_smoothing=0.1, weight=WEIGHT, ignore_index=9)
N = 5


def draw(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(7), dtype=torch.float64)


class Pixels(nn.Module):
    """A prediction for every pixel, by convolutions and ReLU alone."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv1 = nn.Conv2d(3, 4, 3, padding=1, stride=4)
        self.norm = nn.BatchNorm2d(4)
        self.conv2 = nn.Conv2d(4, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.conv2(self.norm(self.conv1(x)).relu())
        return out


@dataclass(frozen=True)
class Case:
    """A loss, the network and targets that it is taken on, and the mean that it must be."""

    loss: LossLike
    network: Callable[[], nn.Module]
    targets: Tensor
    mean: Callable[[Tensor, Tensor], Tensor]
    root: bool = True  # whether its curvature has a root, which the factor engines need


def cases() -> dict[str, Case]:
    w, classes = torch.tensor(WEIGHT, dtype=torch.float64), samples(N)[1]
    ignoring = classes.clone()
    ignoring[2] = 9
    options: dict[str, Any] = {"weight": w, "label_smoothing": 0.1, "ignore_index": 9}
    ce, bce = functional.cross_entropy, functional.binary_cross_entropy_with_logits
    of_pixels = torch.randint(0, 3, (N, 2, 2), generator=torch.Generator().manual_seed(8))
    of_pixels[0] = 9
    of_pixels[1, 0] = 9
    resnet, attentive, odd = partial(build, "resnet"), partial(build, "attentive"), partial(build, "odd")
    return {
        "smoothing": Case(CrossEntropy(0.1), resnet, classes, partial(ce, label_smoothing=0.1)),
        "weights": Case(CrossEntropy(weight=WEIGHT), odd, classes, partial(ce, weight=w)),
        "soft labels": Case("cross_entropy", resnet, draw(N, 3).softmax(1), ce),
        "all options": Case(SMOOTHED, resnet, ignoring, partial(ce, **options)),
        "torch's module": Case(nn.CrossEntropyLoss(w), attentive, classes, partial(ce, weight=w)),
        "pixels": Case(SMOOTHED, pixels, of_pixels, partial(ce, **options)),
        "binary": Case(
            BinaryCrossEntropy((3.0,)), resnet, draw(N, 3).sigmoid(), partial(bce, pos_weight=3 * torch.ones(3))
        ),
        "squared": Case("mse", attentive, draw(N, 3), functional.mse_loss),
        "a function's mean": Case(functional.smooth_l1_loss, attentive, draw(N, 3), functional.smooth_l1_loss, False),
        "a function's losses": Case(
            each_log_cosh, pixels, draw(N, 3, 2, 2), lambda f, y: each_log_cosh(f, y).mean(), False
        ),
    }


def each_log_cosh(outputs: Tensor, targets: Tensor) -> Tensor:
    return (outputs - targets).cosh().log().flatten(1).sum(1)


def pixels() -> nn.Module:
    return Pixels().double()


CASES = cases()


def dense(case: Case, names: list[str]) -> tuple[Tensor, Tensor]:
    """(n, n) Hessian and Gauss–Newton matrix, by rows of double backward and by Jacobians."""
    model, (inputs, _) = case.network().eval(), samples(N)
    parameters = {name: parameter.detach() for name, parameter in model.named_parameters() if name in names}
    sizes = [parameter.numel() for parameter in parameters.values()]

    def outputs(w: Tensor) -> Tensor:
        pieces = zip(parameters.items(), w.split(sizes), strict=True)
        result: Tensor = torch.func.functional_call(model, {name: v.view_as(p) for (name, p), v in pieces}, (inputs,))
        return result

    w = torch.cat([parameter.flatten() for parameter in parameters.values()])
    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        f = outputs(w)
        J = torch.autograd.functional.jacobian(outputs, w).reshape(-1, len(w))
        S = torch.autograd.functional.hessian(lambda f: case.mean(f, case.targets), f).reshape(f.numel(), -1)
    H = hessian_rows(model, inputs, case.targets, names, torch.eye(len(w), dtype=w.dtype), case.mean)
    return H, J.T @ S @ J


@pytest.mark.parametrize("name", CASES)
def test_products_and_spectra_are_those_of_the_dense_matrices(name: str) -> None:
    case = CASES[name]
    model, (inputs, _) = case.network(), samples(N)
    layer = weight_layers(model)[-2]
    for chosen in (layer, None) if name in ("pixels", "a function's losses") else (layer,):
        names = list(select_parameters(model, chosen))
        matrices = dict(zip(("hessian", "gauss_newton"), dense(case, names), strict=True))
        for curvature, matrix in matrices.items():
            block = block_operator(model, inputs, case.targets, chosen, curvature=curvature, loss=case.loss)
            V = draw(3, block.dim)
            assert torch.allclose(block.matmat(V), V @ matrix, atol=1e-10 * matrix.abs().max().item())
            found, expected = block.exact_eigenvalues(), torch.linalg.eigvalsh(matrix).flip(0)
            found = torch.cat([found, found.new_zeros(len(expected) - len(found))]).sort(descending=True).values
            assert (found - expected).abs().max() < 1e-9 * expected.abs().max()


@pytest.mark.parametrize("engine", ["gauss_newton_factor", "gauss_newton_gram", "r_operator"])
@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.root])
@pytest.mark.filterwarnings("error")
def test_losses_with_a_root_keep_the_engines(name: str, engine: str) -> None:
    case = CASES[name]
    smooth = case.network in (CASES["squared"].network, CASES["torch's module"].network)
    if smooth and engine == "r_operator":
        return  # attention and GELU have no tape
    model, (inputs, _) = case.network(), samples(N)
    curvature = "gauss_newton" if smooth else "hessian"
    for block in layer_operators(model, inputs, case.targets, engine=engine, curvature=curvature, loss=case.loss):
        assert block.engine == engine
        V = draw(2, block.dim)
        reference = block_operator(
            model, inputs, case.targets, block.layer, "double_backward", curvature=curvature, loss=case.loss
        )
        assert torch.allclose(block.matmat(V), reference.matmat(V), rtol=1e-9, atol=1e-12)


def test_a_loss_with_options_keeps_the_factor_engines_by_itself() -> None:
    model, (inputs, targets) = build("perceptron"), samples(N)
    plain = [b.engine for b in layer_operators(model, inputs, targets, spectrum=True)]
    soft = torch.nn.functional.one_hot(targets, 3) * 0.9 + 0.1 / 3
    for loss, given in ((CrossEntropy(0.1), targets), (CrossEntropy(weight=WEIGHT), targets), (CrossEntropy(), soft)):
        engines = [b.engine for b in layer_operators(model, inputs, given, spectrum=True, loss=loss)]
        assert engines == plain
        assert "double_backward" not in engines
        assert {"gauss_newton_factor", "gauss_newton_gram"} & set(engines)


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if not case.root])
def test_functions_are_served_by_double_backward_and_say_so(name: str) -> None:
    case = CASES[name]
    model, (inputs, _) = case.network(), samples(N)
    layer = weight_layers(model)[-1]
    block = block_operator(model, inputs, case.targets, layer, loss=case.loss)
    assert block.engine == "double_backward"
    with pytest.warns(RuntimeWarning, match="the loss is a function, of whose curvature no square root is known"):
        block_operator(model, inputs, case.targets, layer, "head", loss=case.loss)


def test_chunks_are_weighted_by_what_their_samples_count() -> None:
    case = CASES["all options"]
    model, (inputs, _) = case.network().eval(), samples(N)
    problem, names = pose(model, inputs, case.targets, SMOOTHED), weight_layers(model)[:1]
    for curvature in ("hessian", "gauss_newton"):
        whole, pieces = DoubleBackward(problem, names, curvature), DoubleBackward(problem, names, curvature, 2)
        V = draw(2, whole.dim)
        assert torch.allclose(pieces.matmat(V), whole.matmat(V), rtol=1e-10, atol=1e-14)
