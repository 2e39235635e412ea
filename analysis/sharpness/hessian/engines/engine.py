"""What an engine is: one record says all that the choice, the building and the self-check ask of it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from analysis.sharpness.hessian.cost import EngineCost
from analysis.sharpness.hessian.engines.forms import Form
from analysis.sharpness.hessian.setting import Block, Setting
from analysis.sharpness.linalg import BlockOperator
from analysis.sharpness.problem import Problem


class Factor(BlockOperator, Protocol):
    """A Gauss–Newton block GᵀG that is held as its factor G."""

    def pushed(self, V: Tensor) -> Tensor:
        """(p, n) vectors, one a row, to their (p, r) products G v."""

    def gram(self, dtype: torch.dtype | None = None) -> Tensor:
        """GGᵀ (r, r), formed in `dtype`; left out, the factor's own."""


@runtime_checkable
class Releasable(Protocol):
    """An operator that holds memory which the next block needs."""

    def release(self) -> None:
        """Release this memory."""


# Builds an operator for a block, on all samples of a problem: that of the setting, or the self-check's single sample.
Alone = Callable[[Setting, Block, Problem], BlockOperator]


@dataclass(frozen=True)
class FromFactors:
    """How an engine makes operators from the factors of a pass that many blocks share."""

    operator: Callable[[Factor, Tensor | None], BlockOperator]  # from G and, where it has been formed already, GGᵀ
    form: Callable[[Setting, str], Form]  # in which form the factor of a parameter is kept
    total: Callable[[Setting, Block, Tensor], BlockOperator] | None = None  # all layers', from the sum of their GGᵀ
    products: Alone | None = None  # where products of all layers' come from, besides this sum


@dataclass(frozen=True)
class Engine:
    """One way to multiply a block of the loss Hessian with vectors."""

    name: str
    refusal: Callable[[Setting, Block], str | None]  # why it can't serve a block; None: it may, the self-check decides
    cost: Callable[[Setting, Block], EngineCost]  # for a block that it does not refuse
    build: Alone | FromFactors
    always_fits: bool = False  # it works on as few samples at a time as memory demands
    has_gram: bool = False  # exact spectra come from a Gram matrix, without any product
    gram_in_any_precision: bool = False  # and this matrix is formed in any precision

    def alone(self, setting: Setting, block: Block, problem: Problem) -> BlockOperator:
        """The operator of an engine that needs no factors."""
        assert not isinstance(self.build, FromFactors)
        return self.build(setting, block, problem)
