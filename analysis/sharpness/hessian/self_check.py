"""Whether a specialised engine is right for this network: one random product against double backward in float64."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from analysis.sharpness.hessian.engines.double_backward import DoubleBackward
from analysis.sharpness.hessian.engines.factors import FactorPass
from analysis.sharpness.hessian.engines.stores import store_for
from analysis.sharpness.linalg import BlockOperator
from analysis.sharpness.problem import Problem, held_still

TOLERANCE = 1e-9
CHECKED_SAMPLES = 1


class SelfCheck:
    """Double backward on one sample in float64, and the products of other engines on it.

    The outputs are shifted to random ones of order one: where the loss is close to zero, its curvature is round-off in
    every engine, and a good engine would fail. The check covers all of an engine except the number of samples.

    Cost: a forward and a backward pass of one sample in float64, and two backward passes a layer.
    """

    def __init__(self, problem: Problem, curvature: str) -> None:
        few = problem.subset(slice(0, CHECKED_SAMPLES)).to(torch.float64)
        self._generator = torch.Generator().manual_seed(0)
        with held_still(problem.model), torch.no_grad():
            outputs = few.outputs()
        self.problem = replace(few, offset=self._random(outputs) - outputs)
        self._curvature = curvature

    def operator_error(self, names: Sequence[str], build: Callable[[Problem], BlockOperator]) -> float:
        """Relative error of an operator, built on the sample, for the block of some parameters."""
        operator = build(self.problem)
        v = self._random(torch.empty(operator.dim, dtype=torch.float64, device=operator.device))
        reference = DoubleBackward(self.problem, names, self._curvature)
        return _relative(operator.matmat(v[None]), reference.matmat(v[None]))

    def factor_errors(self, names: list[str], factors: FactorPass, rank: int) -> Iterator[tuple[str, float]]:
        """Relative error of the Gauss–Newton block of every name, from one pass for all."""
        reference = DoubleBackward(self.problem, names, self._curvature)
        for name, rows in factors.sweep(self.problem, names):
            shape = self.problem.parameters[name].shape
            store = store_for(rows, self.problem, shape.numel(), rank)
            store.add(rows)
            v = self._random(torch.empty(shape, dtype=torch.float64, device=self.problem.device))
            product = store.factor().matmat(v.reshape(1, -1))
            yield name, _relative(product, reference.block_product(name, v).reshape(1, -1))

    def _random(self, like: Tensor) -> Tensor:
        draw = torch.randn(like.shape, generator=self._generator, dtype=torch.float64)
        return draw.to(like.device)


def _relative(value: Tensor, reference: Tensor) -> float:
    scale = torch.linalg.vector_norm(reference)
    error = torch.linalg.vector_norm(value - reference)
    return float(error / scale) if scale > 0 else float(error)
