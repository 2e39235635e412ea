"""GPT-2 with 2 layers, width 64, and (N, T, V) outputs: every layer against dense double backward in float64."""

from functools import cache

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from analysis.sharpness.hessian import layer_operators
from analysis.sharpness.layers import weight_layers
from tests.analysis.sharpness.hessian.language_model import LanguageModel, text

N = 2


@cache
def subject() -> tuple[LanguageModel, dict[str, Tensor], Tensor]:
    return LanguageModel().double().eval(), *text(N)


def next_token_loss(logits: Tensor, targets: Tensor) -> Tensor:
    return cross_entropy(logits.flatten(0, 1), targets.flatten())


def gram_of_all(model: LanguageModel, inputs: dict[str, Tensor], targets: Tensor) -> dict[str, Tensor]:
    """By layer (r, r) S^½ J Jᵀ S^½, which has the non-zero eigenvalues of Jᵀ S J; by a backward pass a row."""
    layers = weight_layers(model)
    parameters = [model.get_parameter(name) for name in layers]
    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        logits = model(**inputs)["logits"]
    S = torch.autograd.functional.hessian(lambda f: next_token_loss(f, targets), logits.detach())
    values, vectors = torch.linalg.eigh(S.reshape(logits.numel(), -1))
    roots = (vectors * values.clamp_min(0).sqrt()).T[values > 1e-14 * values[-1]]
    rows = [torch.autograd.grad(logits, parameters, root.view_as(logits), retain_graph=True) for root in roots]
    stacked = [torch.stack([row[index].flatten() for row in rows]) for index in range(len(layers))]
    return {name: G @ G.T for name, G in zip(layers, stacked, strict=True)}


@pytest.mark.filterwarnings("error")
def test_all_gauss_newton_spectra() -> None:
    model, inputs, targets = subject()
    expected = gram_of_all(model, inputs, targets)
    seen = set()
    for block in layer_operators(model, inputs, targets, engine="gauss_newton_gram", curvature="gauss_newton"):
        assert block.layer is not None
        assert block.engine == "gauss_newton_gram"
        seen.add(block.layer)
        reference, found = torch.linalg.eigvalsh(expected[block.layer]).flip(0), block.exact_eigenvalues()
        assert (found[: len(reference)] - reference).abs().max() < 1e-10 * reference[0], block.layer
        assert found[len(reference) :].abs().sum() < 1e-10 * reference[0], block.layer
    assert seen == set(weight_layers(model))


def test_all_hessian_products() -> None:
    model, inputs, targets = subject()
    for block in layer_operators(model, inputs, targets, [*weight_layers(model), None]):
        names = [block.layer] if block.layer else [name for name, _ in model.named_parameters()]
        parameters = [model.get_parameter(name) for name in names]
        V = torch.randn(2, block.dim, generator=torch.Generator().manual_seed(3)).double()
        with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
            loss = next_token_loss(model(**inputs)["logits"], targets)
        gradient = torch.autograd.grad(loss, parameters, create_graph=True)
        flat = torch.cat([part.flatten() for part in gradient])
        for v, found in zip(V, block.matmat(V), strict=True):
            parts = torch.autograd.grad(flat @ v, parameters, retain_graph=True, materialize_grads=True)
            expected = torch.cat([part.flatten() for part in parts])
            assert (found - expected).norm() < 1e-10 * expected.norm(), block.layer
