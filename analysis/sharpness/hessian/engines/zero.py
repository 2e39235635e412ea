"""The block of parameters that no output depends on: zero, which takes no product to know."""

import torch
from torch import Tensor

from analysis.sharpness.hessian.cost import EngineCost
from analysis.sharpness.hessian.engines.engine import Engine
from analysis.sharpness.hessian.setting import Block, Setting
from analysis.sharpness.problem import Problem

UNREACHED = "no output depends on it for any sample, so its block is zero"


class Zero:
    """The (n, n) zero matrix."""

    def __init__(self, dim: int, device: torch.device, dtype: torch.dtype) -> None:
        self.dim, self.device, self.dtype = dim, device, dtype

    def matmat(self, V: Tensor) -> Tensor:
        """Zeros."""
        return torch.zeros_like(V)

    def exact_eigenvalues(self, dtype: torch.dtype | None = None) -> Tensor:
        """One zero; the others are left out."""
        return torch.zeros(1, dtype=torch.float64, device=self.device)


def _refusal(setting: Setting, block: Block) -> str | None:
    return None if setting.unreached.issuperset(block.names) else "an output depends on it"


def _cost(setting: Setting, block: Block) -> EngineCost:
    return EngineCost(0.0, 0.0, 0.0, 0)


def _build(setting: Setting, block: Block, problem: Problem) -> Zero:
    return Zero(setting.profile.size(block.names), problem.device, problem.dtype)


ZERO = Engine(
    name="zero", refusal=_refusal, cost=_cost, build=_build, always_fits=True, has_gram=True, gram_in_any_precision=True
)
