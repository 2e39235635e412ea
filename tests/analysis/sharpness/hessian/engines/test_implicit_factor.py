"""Factors kept unmultiplied, against the same factors written out, for every kind of layer."""

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor, nn

from analysis.sharpness.hessian import block_operator, layer_operators
from analysis.sharpness.hessian.engines import implicit_factor, structured_gram
from analysis.sharpness.hessian.engines.factors import Unmultiplied
from analysis.sharpness.hessian.engines.implicit_factor import GAUSS_NEWTON_IMPLICIT, ImplicitFactor
from analysis.sharpness.hessian.tape.cotangents import Cotangents
from analysis.sharpness.hessian.tape.linear_maps import Bilinear, ChannelScale, Convolution, MatrixProduct
from tests.analysis.sharpness.hessian.networks import build, samples

KINDS: dict[str, tuple[Bilinear, tuple[int, ...], tuple[int, int]]] = {  # the map, the input of a sample, (C, K)
    "strided": (Convolution.of(nn.Conv2d(3, 4, 3, stride=2, padding=1)), (3, 6, 5), (4, 27)),
    "dilated": (Convolution.of(nn.Conv2d(3, 4, (3, 2), padding=(2, 0), dilation=(2, 1))), (3, 5, 6), (4, 18)),
    "grouped": (Convolution.of(nn.Conv2d(4, 6, 3, stride=2, padding=2, groups=2)), (4, 5, 5), (6, 18)),
    "depthwise": (Convolution.of(nn.Conv2d(4, 8, 3, groups=4)), (4, 5, 4), (8, 9)),
    "pointwise": (Convolution.of(nn.Conv2d(4, 6, 1, stride=2)), (4, 5, 6), (6, 4)),
    "of sequences": (Convolution.of(nn.Conv1d(3, 4, 3, stride=2, padding=1)), (3, 7), (4, 9)),
    "of volumes": (Convolution.of(nn.Conv3d(2, 3, 2)), (2, 3, 3, 4), (3, 16)),
    "linear": (MatrixProduct(), (5,), (3, 5)),
    "tokens": (MatrixProduct(), (4, 5), (3, 5)),
    "scale": (ChannelScale(), (4, 3, 3), (4, 1)),
}
PARTS = {"one sample": (1,), "unequal": (3, 1, 2)}


def draw(*size: int, seed: int = 0) -> Tensor:
    return torch.randn(*size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def uses_of(kind: str, num_samples: int, rank: int, seed: int, pooled: bool = False) -> Unmultiplied:
    bilinear, shape, weights = KINDS[kind]
    x = draw(num_samples, *shape, seed=seed)
    result = bilinear.apply(x, draw(*weights), None).shape[1:]
    if pooled:
        cotangents = Cotangents(
            draw(num_samples, 1, *result, seed=seed + 1), draw(num_samples, rank, weights[0], seed=seed + 2)
        )
    else:
        cotangents = Cotangents(draw(num_samples, rank, *result, seed=seed + 1))
    return Unmultiplied(bilinear, x, cotangents, draw(weights[0], seed=99))


def written_out(pieces: Sequence[Sequence[Unmultiplied]], weights: tuple[int, int], num_samples: int) -> Tensor:
    """(N·R, n)."""
    rows = []
    for uses in pieces:
        total = draw(uses[0].num_samples, uses[0].rank, *weights) * 0
        for use in uses:
            part = torch.empty_like(total)
            assert use.scale is not None
            use.map.sample_gradients(use.inputs, use.cotangents.dense(), use.scale, part)
            total += part
        rows.append(total.flatten(2).flatten(0, 1))
    G: Tensor = torch.cat(rows) * num_samples**-0.5
    return G


def assert_same(factor: ImplicitFactor, G: Tensor) -> None:
    V = draw(5, G.shape[1], seed=7)
    assert torch.allclose(factor.matmat(V), V @ G.T @ G, rtol=1e-10, atol=1e-12)
    assert torch.allclose(factor.pushed(V), V @ G.T, rtol=1e-10, atol=1e-12)
    assert torch.allclose(factor.gram(), G @ G.T, rtol=1e-10, atol=1e-12)
    spectrum = torch.linalg.svdvals(G).square()
    assert (factor.exact_eigenvalues() - spectrum).abs().max() < 1e-10 * spectrum[0]


@pytest.mark.parametrize("parts", PARTS)
@pytest.mark.parametrize("rank", [1, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_it_is_the_factor_written_out(kind: str, rank: int, parts: str, monkeypatch: pytest.MonkeyPatch) -> None:
    weights, sizes = KINDS[kind][2], PARTS[parts]
    pieces = [[uses_of(kind, size, rank, seed=10 * index)] for index, size in enumerate(sizes)]
    G, factor = written_out(pieces, weights, sum(sizes)), ImplicitFactor(pieces, sum(sizes), weights)
    assert_same(factor, G)
    monkeypatch.setattr(implicit_factor, "WORKED_BYTES", {"cpu": 1})
    monkeypatch.setattr(implicit_factor, "FEWEST_SAMPLES", 1)
    monkeypatch.setattr(implicit_factor, "WEIGHTS_SHARE", 0)
    monkeypatch.setattr(implicit_factor, "VECTOR_BYTES", 2 * 8 * G.shape[1])
    assert_same(factor, G)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [1, 2**27])  # bytes: sample by sample and channel by channel, or at once
def test_both_orders_give_the_gram_matrix(kind: str, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(structured_gram, "WORKSPACE", size)
    monkeypatch.setattr(structured_gram, "PAIRED", size)
    for pooled in (False, isinstance(KINDS[kind][0], Convolution)):
        pieces = [[uses_of(kind, size, 2, 10 * index, pooled)] for index, size in enumerate((3, 1, 2))]
        G, scale = written_out(pieces, KINDS[kind][2], 1), pieces[0][0].scale
        assert scale is not None
        one = structured_gram.Places.of([[pieces[0][0].samples(slice(0, 1))]], torch.float64)
        for order in (structured_gram._by_pairs, structured_gram._by_rows):
            K = order(pieces, scale.view(one.patches.shape[1], -1), one)
            assert torch.allclose(K.reshape(len(G), -1), G @ G.T, rtol=1e-10, atol=1e-12), (order.__name__, pooled)


@pytest.mark.parametrize("kind", ["strided", "tokens"])
def test_uses_of_one_weight_add_up(kind: str) -> None:
    weights = KINDS[kind][2]
    pieces = [[uses_of(kind, size, 2, size + use) for use in (0, 50)] for size in (2, 3)]
    assert_same(ImplicitFactor(pieces, 5, weights), written_out(pieces, weights, 5))


def test_cotangents_that_are_one_map_scaled() -> None:
    weights = KINDS["strided"][2]
    pieces = [[uses_of("strided", size, 4, size, pooled=True)] for size in (2, 3)]
    assert_same(ImplicitFactor(pieces, 5, weights), written_out(pieces, weights, 5))


def test_single_precision_errs_by_round_off() -> None:
    model, (inputs, targets) = build("perceptron"), samples(5)
    double = layer_operators(model, inputs, targets, engine=GAUSS_NEWTON_IMPLICIT.name)
    single = layer_operators(build("perceptron").float(), inputs.float(), targets, engine=GAUSS_NEWTON_IMPLICIT.name)
    for block, rounded in zip(double, single, strict=True):
        V = draw(2, block.dim)
        reference, eigenvalues = block.matmat(V), block.exact_eigenvalues()
        assert block.engine == rounded.engine == GAUSS_NEWTON_IMPLICIT.name
        assert (rounded.matmat(V.float()) - reference).norm() < 1e-5 * reference.norm(), block.layer
        error = (rounded.exact_eigenvalues(torch.float64) - eigenvalues).abs().max()
        assert error < 1e-6 * eigenvalues[0], block.layer


def test_a_factor_that_was_released_says_so() -> None:
    model, (inputs, targets) = build("perceptron"), samples(3)
    blocks = layer_operators(model, inputs, targets, engine=GAUSS_NEWTON_IMPLICIT.name)
    first = next(blocks)
    next(blocks)
    with pytest.raises(Exception, match="released when the next block was requested"):
        first.matmat(draw(1, first.dim))


def test_a_weight_outside_its_module_is_refused() -> None:
    model, (inputs, targets) = build("attentive"), samples(3)
    block = "token_weight"
    with pytest.warns(RuntimeWarning, match="not the weight of a convolution or linear map"):
        operator = block_operator(model, inputs, targets, block, GAUSS_NEWTON_IMPLICIT.name, curvature="gauss_newton")
    assert operator.engine == "double_backward"
