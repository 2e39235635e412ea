"""Chunks, memory budgets and shared passes change how products are made, never what they are."""

import warnings
from collections.abc import Iterator

import pytest

from analysis.sharpness.hessian import layer_operators, setting
from analysis.sharpness.hessian.engines import ENGINES
from analysis.sharpness.hessian.engines.captured import CapturedFactors
from analysis.sharpness.hessian.engines.factors import Rows, TapeFactors
from analysis.sharpness.layers import weight_layers
from analysis.sharpness.problem import Problem
from tests.analysis.sharpness.hessian.networks import build, dense_vector, samples

NETWORKS = {  # with what serves them in either curvature; double backward stands for the engines that it replaces
    ("odd", "hessian"): ["auto", *ENGINES],
    ("odd", "gauss_newton"): ["auto", *ENGINES],
    ("attentive", "hessian"): ["auto", "double_backward"],
    ("attentive", "gauss_newton"): ["auto", "gauss_newton_factor", "gauss_newton_gram", "double_backward"],
}


@pytest.mark.parametrize(
    ("name", "curvature", "engine"), [(*key, engine) for key, engines in NETWORKS.items() for engine in engines]
)
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
