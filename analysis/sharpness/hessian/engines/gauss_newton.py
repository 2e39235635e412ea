"""Gauss–Newton blocks from their factors: products by two matrix products, exact spectra from a Gram matrix.

For one layer of a piecewise-linear network the Gauss–Newton block is the Hessian's block: the outputs are piecewise
linear in one layer's weights, so the loss is the only source of curvature.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from analysis.errors import AnalysisError
from analysis.sharpness.hessian.cost import EIGENVALUES, EngineCost
from analysis.sharpness.hessian.engines.double_backward import DOUBLE_BACKWARD
from analysis.sharpness.hessian.engines.engine import Engine, Factor, FromFactors
from analysis.sharpness.hessian.engines.forms import (
    MATRICES,
    Form,
    form_cost,
    gram_form,
    gram_macs,
    held_bytes,
    is_small,
)
from analysis.sharpness.hessian.engines.r_operator import R_OPERATOR, product_passes
from analysis.sharpness.hessian.setting import Block, Setting
from analysis.sharpness.linalg import BlockOperator, tensor_eigvalsh, times_transpose
from analysis.sharpness.problem import Problem

CONVERTED_COLUMNS = 4096  # of a factor, converted to another type at a time
GRAM_DEPTH = 4  # how often a Gram matrix is halved: all but 1/16 of its upper half is not computed
GRAM_BLOCK = 64  # rows of a block that is not halved further


def gram(G: Tensor, dtype: torch.dtype | None = None) -> Tensor:
    """G Gᵀ (r, r) of an (r, n) matrix, formed in `dtype` (left out: that of G).

    The rows are halved repeatedly, and of two blocks that mirror each other only one is computed: measured 0.59 of the
    time of one matrix product, where blocks of rows took 0.63.
    """
    if dtype not in (None, G.dtype):
        K = torch.zeros(len(G), len(G), dtype=dtype, device=G.device)
        for columns in torch.split(G, CONVERTED_COLUMNS, dim=1):
            K += gram(columns.to(dtype))
        return K
    G = G.contiguous()  # oneDNN takes a thousand times longer on slices of a transposed matrix
    K = torch.empty(len(G), len(G), dtype=G.dtype, device=G.device)
    _write_gram(G, K, GRAM_DEPTH)
    return K


def _write_gram(G: Tensor, K: Tensor, depth: int) -> None:
    if len(G) <= GRAM_BLOCK or depth == 0:
        K.copy_(times_transpose(G, G))
        return
    half = math.ceil(len(G) / 32) * 16  # matrix products are fastest on whole multiples of 16
    _write_gram(G[:half], K[:half, :half], depth - 1)
    _write_gram(G[half:], K[half:, half:], depth - 1)
    K[half:, :half] = times_transpose(G[half:], G[:half])
    K[:half, half:] = K[half:, :half].T


def semidefinite_eigenvalues(gram_matrix: Tensor) -> Tensor:
    """Eigenvalues of a positive semidefinite matrix, largest first, as float64; round-off below zero is set to zero.

    Solved in the matrix's own type: its entries are no better, and entropies of ResNet-20's blocks (α ≥ .1) moved by
    less than 2e-5 nats between all-float32 and all-float64.
    """
    return tensor_eigvalsh(gram_matrix).double().flip(0).clamp_min(0)


class GaussNewtonFactor:
    """GᵀG for an (r, n) factor G held in memory, r = N·R with R the rank of the loss curvature.

    A product is 4·r·n operations a vector, and no pass through the network.
    """

    def __init__(self, G: Tensor) -> None:
        self._G: Tensor | None = G
        self.dim = G.shape[1]
        self.device, self.dtype = G.device, G.dtype

    @property
    def G(self) -> Tensor:  # noqa: N802  # as in the mathematics
        """The factor (r, n).

        Raises:
            AnalysisError: it was released.
        """
        if self._G is None:
            raise AnalysisError(
                "this block's factor was released when the next block was requested; use each block before you request "
                "the next, or make it with block_operator"
            )
        return self._G

    def release(self) -> None:
        """Release the factor: its memory is used for that of the next layer."""
        self._G = None

    def matmat(self, V: Tensor) -> Tensor:
        """(p, n) vectors, one a row, to their (p, n) products."""
        return times_transpose(self.pushed(V), self.G.T)

    def pushed(self, V: Tensor) -> Tensor:
        """(p, n) vectors, one a row, to their (p, r) products G v."""
        return times_transpose(V, self.G)

    def gram(self, dtype: torch.dtype | None = None) -> Tensor:
        """GGᵀ (r, r), formed in `dtype`; left out, the factor's own."""
        return gram(self.G, dtype)

    def exact_eigenvalues(self, dtype: torch.dtype | None = None) -> Tensor:
        """The min(r, n) eigenvalues that can differ from zero, largest first, in float64.

        Args:
            dtype: type in which the smaller of GGᵀ and GᵀG is formed; left out, that of the factor, which leaves an
                error of about its precision times the largest eigenvalue in every one.

        Cost: r·n·min(r, n) multiplications and a symmetric eigenproblem of that size.
        """
        return semidefinite_eigenvalues(gram(self.G if len(self.G) <= self.dim else self.G.T, dtype))


class GaussNewtonGram:
    """A Gauss–Newton block known through a Gram matrix: GᵀG itself (n, n), or GGᵀ (r, r), which has the same spectrum.

    With GᵀG, a product is one matrix product. With GGᵀ, it comes from `products`, another operator of the same block,
    which is made at the first product.
    """

    def __init__(
        self, matrix: Tensor, dim: int | None = None, products: Callable[[], BlockOperator] | None = None
    ) -> None:
        self.matrix = matrix
        self.dim = len(matrix) if dim is None else dim
        self.device, self.dtype = matrix.device, matrix.dtype
        self._make = products
        self._products: BlockOperator | None = None

    def matmat(self, V: Tensor) -> Tensor:
        """(p, n) vectors, one a row, to their (p, n) products."""
        if self._make is None:
            return V @ self.matrix
        if self._products is None:
            self._products = self._make()
        return self._products.matmat(V)

    def exact_eigenvalues(self, dtype: torch.dtype | None = None) -> Tensor:
        """The eigenvalues that can differ from zero, largest first, in float64, whatever `dtype`.

        Cost: a symmetric eigenproblem of the Gram matrix's size.
        """
        return semidefinite_eigenvalues(self.matrix)[: self.dim]


# The engines


def refusal_of_factors(name: str, setting: Setting, block: Block) -> str | None:
    """Why the engine of this name can't serve a block by its factor."""
    # One layer's Hessian is its Gauss–Newton block where everything else is piecewise linear.
    if block.layer is None:
        return f"{name} holds no Hessian of all layers; ask for curvature='gauss_newton' or one layer"
    if setting.curvature == "gauss_newton" or setting.tape is not None:
        return None
    return f"the network may bend between layer and loss: {setting.tape_reason}; ask for curvature='gauss_newton'"


def _refusal_of_factor(setting: Setting, block: Block) -> str | None:
    return refusal_of_factors(GAUSS_NEWTON_FACTOR.name, setting, block)


def _refusal_of_gram(setting: Setting, block: Block) -> str | None:
    if block.layer is None and setting.curvature == "gauss_newton":
        return None
    return refusal_of_factors(GAUSS_NEWTON_GRAM.name, setting, block)


def _cost_of_factor(setting: Setting, block: Block) -> EngineCost:
    return form_cost(setting, block.names[0], Form.ROWS)


def _form_of_gram(setting: Setting, name: str) -> Form:
    return Form.SUMMED if is_small(setting, name) else gram_form(setting, name)


def _cost_of_gram(setting: Setting, block: Block) -> EngineCost:
    """The factor, then GᵀG, (n, n), or GGᵀ, (r, r).

    Beside GGᵀ, products take the factor; for several parameters, whose GGᵀ are added up, another engine.
    """
    if block.layer is not None and is_small(setting, block.layer):
        return form_cost(setting, block.layer, Form.SUMMED)
    profile, r, names = setting.profile, setting.num_rows, block.names
    forms = {name: gram_form(setting, name) for name in names}
    own, reach = profile.reach(names)
    grams = sum(gram_macs(setting, name, form, r) for name, form in forms.items())
    setup = 1 + setting.rank * (reach + own) + profile.passes(grams)
    if len(names) == 1:
        product = form_cost(setting, names[0], forms[names[0]]).product
    else:
        product = product_passes(profile, names, hessian=False)
    memory = max(held_bytes(setting, name, form) for name, form in forms.items())
    memory += MATRICES * r * r * profile.itemsize
    return EngineCost(setup, product, profile.passes(EIGENVALUES * r**3), memory)


def _gram_of(factor: Factor, K: Tensor | None) -> GaussNewtonGram:
    return GaussNewtonGram(factor.gram() if K is None else K, factor.dim, lambda: factor)


def _gram_of_all(setting: Setting, block: Block, K: Tensor) -> GaussNewtonGram:
    dim = setting.profile.size(block.names)
    return GaussNewtonGram(K, dim, lambda: _products_of_all(setting, block, setting.problem))


def _products_of_all(setting: Setting, block: Block, problem: Problem) -> BlockOperator:
    engine = DOUBLE_BACKWARD if R_OPERATOR.refusal(setting, block) is not None else R_OPERATOR
    return engine.alone(setting, block, problem)


GAUSS_NEWTON_FACTOR = Engine(
    name="gauss_newton_factor",
    refusal=_refusal_of_factor,
    cost=_cost_of_factor,
    build=FromFactors(operator=lambda factor, _K: factor, form=lambda _setting, _name: Form.ROWS),
    has_gram=True,
    gram_in_any_precision=True,
)
GAUSS_NEWTON_GRAM = Engine(
    name="gauss_newton_gram",
    refusal=_refusal_of_gram,
    cost=_cost_of_gram,
    build=FromFactors(operator=_gram_of, form=_form_of_gram, total=_gram_of_all, products=_products_of_all),
    has_gram=True,
)
