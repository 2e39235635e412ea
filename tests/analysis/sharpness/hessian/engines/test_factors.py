"""Factors from a tape: every parameter's rows, once each, in the same order for every chunk."""

import torch

from analysis.sharpness.hessian.engines.factors import TapeFactors
from analysis.sharpness.hessian.tape.tape import tape_of
from analysis.sharpness.problem import pose
from tests.analysis.sharpness.hessian.networks import build, gauss_newton, samples


def test_rows_of_two_chunks_make_the_gauss_newton_block() -> None:
    model, (inputs, targets) = build("odd"), samples(5)
    problem, names = pose(model, inputs, targets), ["out.weight", "conv2.weight", "bn1.weight"]
    factors = TapeFactors(tape_of(model.eval()))
    found: dict[str, list[torch.Tensor]] = {}
    for chunk in problem.chunks(3):
        for name, rows in factors.sweep(chunk, names):
            part = torch.empty(chunk.num_samples, 2, problem.parameters[name].numel(), dtype=torch.float64)
            rows.write(part, 5**-0.5)
            found.setdefault(name, []).append(part.flatten(0, 1))
    assert list(found) == names
    for name, parts in found.items():
        G = torch.cat(parts)
        assert torch.allclose(G.T @ G, gauss_newton(model, inputs, targets, [name]), rtol=1e-9, atol=1e-14)
