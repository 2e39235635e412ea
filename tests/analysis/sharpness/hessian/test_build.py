"""Chunks, memory budgets, shared passes and self-checks change how products are made, never what they are."""

import math
import warnings
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from analysis.errors import AnalysisError
from analysis.sharpness.hessian import HessianBlock, block_operator, layer_operators, setting
from analysis.sharpness.hessian.engines import r_operator
from analysis.sharpness.hessian.engines.factors import CapturedFactors, Rows, TapeFactors
from analysis.sharpness.hessian.memory import taken_memory
from analysis.sharpness.hessian.tape.bases import Kernels
from analysis.sharpness.layers import select_parameters, weight_layers
from analysis.sharpness.problem import Problem
from tests.analysis.sharpness.hessian.networks import build, hessian_rows, samples


def dense_vector(dim: int) -> Tensor:
    return torch.randn(1, dim, generator=torch.Generator().manual_seed(4), dtype=torch.float64)


@pytest.mark.parametrize(
    "engine", ["auto", "head", "gauss_newton_factor", "gauss_newton_gram", "r_operator", "double_backward"]
)
@pytest.mark.parametrize("curvature", ["hessian", "gauss_newton"])
@pytest.mark.parametrize("name", ["odd", "attentive"])
def test_chunks_of_unequal_size_give_the_same(
    name: str, curvature: str, engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With next to no memory every pass is cut into chunks of one or a few samples, 7 not being a multiple."""
    model, (inputs, targets) = build(name), samples(7)
    layers = [*weight_layers(model), None]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        whole = {}
        for block in layer_operators(model, inputs, targets, layers, engine, curvature=curvature):
            whole[block.layer] = block.matmat(dense_vector(block.dim))
        monkeypatch.setattr(setting, "CACHED_BYTES", 4000)
        monkeypatch.setattr(setting.Setting, "chunk", lambda self, bytes_a_sample: 3)
        for factors in (TapeFactors, CapturedFactors):
            monkeypatch.setattr(factors, "bytes_a_sample", lambda self, setting, names: 2**40)
        count = 0
        for block in layer_operators(model, inputs, targets, layers, engine, curvature=curvature):
            reference = whole[block.layer]
            assert (block.matmat(dense_vector(block.dim)) - reference).norm() < 1e-12 * reference.norm()
            count += 1
    assert count == len(layers)


def test_little_memory_turns_auto_away_from_factors() -> None:
    model, (inputs, targets) = build("digits_cnn"), samples(40)
    layer = "features.4.weight"
    roomy = block_operator(model, inputs, targets, layer, num_products=10_000)
    tight = block_operator(
        model, inputs, targets, layer, num_products=10_000, memory_budget=taken_memory(inputs.device) + 2**19
    )
    assert roomy.engine.startswith("gauss_newton")
    assert tight.engine == "r_operator"
    assert "MiB, more than" in tight.reason
    V = dense_vector(roomy.dim)
    assert torch.allclose(roomy.matmat(V), tight.matmat(V), rtol=1e-10)


def test_auto_counts_the_products_that_are_expected() -> None:
    model, (inputs, targets) = build("resnet", 30), samples(20, 30)
    layer = weight_layers(model)[0]
    once = block_operator(model, inputs, targets, layer, num_products=1)
    often = block_operator(model, inputs, targets, layer, num_products=10_000)
    assert once.engine == "r_operator"
    assert often.engine.startswith("gauss_newton")
    assert often.cost.product < once.cost.product
    assert "forward passes for 10000 products, against" in often.reason


def test_auto_weighs_the_exact_spectrum_where_it_would_do() -> None:
    """The Gram matrix of all layers makes its spectrum cheap, and its products as dear as any engine's."""
    model, (inputs, targets) = build("resnet"), samples(20)

    def choose(num_products: float, spectrum: bool) -> HessianBlock:
        return block_operator(
            model, inputs, targets, None, curvature="gauss_newton", num_products=num_products, spectrum=spectrum
        )

    assert choose(100, spectrum=False).engine == "r_operator"
    assert choose(1, spectrum=True).engine == "r_operator"
    block = choose(100, spectrum=True)
    assert block.engine == "gauss_newton_gram"
    assert block.cost.of(100, spectrum=True) == block.cost.setup + block.cost.exact
    assert "for 100 products or the exact spectrum, against" in block.reason
    assert "forward passes for the exact spectrum, against" in choose(math.inf, spectrum=True).reason


def test_one_pass_serves_all_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    model, (inputs, targets) = build("resnet"), samples(4)
    passes: list[int] = []
    original = TapeFactors.sweep

    def counted(self: TapeFactors, chunk: Problem, names: list[str]) -> Iterator[tuple[str, Rows]]:
        passes.append(len(names))
        return original(self, chunk, names)

    monkeypatch.setattr(TapeFactors, "sweep", counted)
    blocks = sum(1 for _ in layer_operators(model, inputs, targets, engine="gauss_newton_factor"))
    assert blocks == len(weight_layers(model))
    assert passes == [blocks, blocks]  # one for the self-check on one sample, one on all


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


def test_blocks_of_the_r_operator_outlive_what_they_kept() -> None:
    model, (inputs, targets) = build("resnet"), samples(4)
    for block in list(layer_operators(model, inputs, targets, engine="r_operator")):
        assert block.layer is not None
        V = dense_vector(block.dim)
        reference = hessian_rows(model, inputs, targets, [block.layer], V)
        assert torch.allclose(block.matmat(V), reference, rtol=1e-8, atol=1e-12), block.layer


class Tied(nn.Module):
    """One weight used by two modules."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(192, 192, bias=False), nn.Linear(192, 192, bias=False)
        self.second.weight = self.first.weight
        self.head = nn.Linear(192, 3)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(self.second(self.first(x.flatten(1)).relu()).relu())
        return out


def test_a_weight_used_twice_is_not_its_gauss_newton_block() -> None:
    torch.manual_seed(0)
    model, (inputs, targets) = Tied().double(), samples(4)
    block = block_operator(model, inputs, targets, "first.weight")
    assert block.engine == "double_backward"
    factor = block_operator(model, inputs, targets, "first.weight", "gauss_newton_factor", curvature="gauss_newton")
    plain = block_operator(model, inputs, targets, "first.weight", "double_backward", curvature="gauss_newton")
    V = dense_vector(block.dim)
    assert factor.engine == "gauss_newton_factor"
    assert torch.allclose(factor.matmat(V), plain.matmat(V), rtol=1e-10)


def test_a_block_is_given_up_when_the_next_is_asked_for() -> None:
    model, (inputs, targets) = build("resnet"), samples(4)
    first, *_ = layer_operators(model, inputs, targets, engine="gauss_newton_factor")
    with pytest.raises(AnalysisError, match="released when the next block was requested"):
        first.matmat(dense_vector(first.dim))


@pytest.mark.parametrize("name", ["resnet", "simple_vit"])
def test_all_layer_gauss_newton_spectrum_is_the_sum_of_gram_matrices(name: str) -> None:
    model, (inputs, targets) = build(name), samples(3)
    layers = [*weight_layers(model), None]
    *_, total = layer_operators(model, inputs, targets, layers, "gauss_newton_gram", curvature="gauss_newton")
    assert total.layer is None
    assert total.engine == "gauss_newton_gram"
    exact = total.exact_eigenvalues()
    assert len(exact) == 3 * 2
    plain = block_operator(model, inputs, targets, None, "double_backward", curvature="gauss_newton")
    V = dense_vector(total.dim)
    assert torch.allclose(total.matmat(V), plain.matmat(V), rtol=1e-9, atol=1e-14)
    names = list(select_parameters(model, None))
    assert total.dim == sum(p.numel() for n, p in model.named_parameters() if n in names)
    assert torch.allclose(exact.sum(), _trace(plain), rtol=1e-10)


def _trace(block: HessianBlock) -> Tensor:
    return torch.trace(block.matmat(torch.eye(block.dim, dtype=torch.float64)))


def test_engines_without_a_factor_have_exact_eigenvalues_too() -> None:
    model, (inputs, targets) = build("odd"), samples(4)
    block = block_operator(model, inputs, targets, None, "r_operator")
    H = hessian_rows(model, inputs, targets, list(select_parameters(model, None)), torch.eye(block.dim).double())
    reference = torch.linalg.eigvalsh(H).flip(0)
    assert (block.exact_eigenvalues() - reference).abs().max() < 1e-10 * reference.abs().max()
    assert reference[-1] < 0  # the Hessian of all layers is indefinite


def test_float32_products_are_close_to_float64() -> None:
    model, (inputs, targets) = build("resnet"), samples(6)
    wide = {b.layer: b.matmat(dense_vector(b.dim)) for b in layer_operators(model, inputs, targets)}
    model = model.float()
    for engine in ("gauss_newton_factor", "gauss_newton_gram", "r_operator", "double_backward"):
        for block in layer_operators(model, inputs.float(), targets, engine=engine):
            assert block.dtype == torch.float32
            product = block.matmat(dense_vector(block.dim).float())
            reference = wide[block.layer]
            assert (product - reference).norm() < 1e-4 * reference.norm(), (engine, block.layer)


@pytest.mark.parametrize("layer", [None, "layer1.0.conv2.weight"])
def test_the_order_of_activations_in_memory_does_not_matter(layer: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Channels last for narrow networks, PyTorch's own order for wide ones."""
    model, (inputs, targets) = build("resnet"), samples(5)
    products = []
    for width in (0, math.inf):
        monkeypatch.setattr(r_operator, "NARROW", width)
        block = block_operator(model, inputs, targets, layer, "r_operator")
        products.append(block.matmat(dense_vector(block.dim)))
    assert torch.allclose(products[0], products[1], rtol=1e-10)
