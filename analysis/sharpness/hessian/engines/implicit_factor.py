"""Gauss–Newton blocks whose factor is kept unmultiplied: the inputs of a layer and the cotangents of its results.

Row (n, r) of the factor G is the derivative of ⟨g_nr, A(W) a_n⟩ in the weights W, with a_n what sample n brings to the
layer and g_nr the r-th cotangent of its result: for a convolution the correlation of the two. Nothing needs this
product itself:
    (G v)_nr = ⟨g_nr, A(v) a_n⟩,   Gᵀu = ∂/∂W Σ_n ⟨Σ_r u_nr g_nr, A(W) a_n⟩,
which are two convolutions of one layer, and no pass through any other. A sample takes |a_n| + R·|g_n| numbers instead
of R·n: in deep layers, where weights are many and positions few, a hundredth.
"""

import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from analysis.errors import AnalysisError
from analysis.sharpness.hessian.engines.engine import Engine, FromFactors
from analysis.sharpness.hessian.engines.factors import Unmultiplied
from analysis.sharpness.hessian.engines.forms import Form, form_cost
from analysis.sharpness.hessian.engines.gauss_newton import gram, refusal_of_factors, semidefinite_eigenvalues
from analysis.sharpness.hessian.engines.structured_gram import structured_gram
from analysis.sharpness.hessian.setting import Block, Setting

WORKED_BYTES = {"cpu": 2**23, "cuda": 2**28}  # of inputs, cotangents and tangents at a time
FEWEST_SAMPLES = 8  # at a time: convolutions of single samples measured 1.6 times slower
VECTOR_BYTES = 2**24  # of directions at a time: more share no work in a layer of so many weights
WEIGHTS_SHARE = 4  # and at least so many times the bytes of the weights, which every chunk goes through


class ImplicitFactor:
    """GᵀG for the pieces of an (N·R, n) factor G; each piece holds the uses of the weights in some samples.

    A product is one convolution with the vector and one weight gradient, of this layer alone.
    """

    def __init__(self, pieces: Sequence[Sequence[Unmultiplied]], num_samples: int, shape: tuple[int, int]) -> None:
        """`shape`: (C, K) of the weights as a matrix."""
        self._pieces: Sequence[Sequence[Unmultiplied]] | None = pieces
        self._num_samples, self._shape = num_samples, shape
        self.dim = math.prod(shape)
        inputs = pieces[0][0].inputs
        self.device, self.dtype = inputs.device, inputs.dtype
        scale = pieces[0][0].scale
        self._scale = num_samples**-0.5 * (inputs.new_ones(shape[0]) if scale is None else scale)[:, None]  # (C, 1)

    def release(self) -> None:
        """Release what the pieces hold: the next layer needs the memory."""
        self._pieces = None

    def matmat(self, V: Tensor) -> Tensor:
        """(p, n) vectors, one a row, to their (p, n) products."""
        if not len(V):
            return V.clone()
        together = max(1, VECTOR_BYTES // (self.dim * self.dtype.itemsize))
        products = torch.empty_like(V)
        with torch.no_grad():
            for part, out in zip(torch.split(V, together), torch.split(products, together), strict=True):
                torch.mul(self._product(self._directions(part)), self._scale, out=torch.unflatten(out, 1, self._shape))
        return products

    def _product(self, directions: Tensor) -> Tensor:
        total: Tensor | None = None
        for uses in self._chunks(len(directions)):
            weights = _pushed(uses, directions)
            for use in uses:
                part = use.map.weight_gradient(use.inputs, use.cotangents.mixed(weights))
                total = part if total is None else total.add_(part)
        assert total is not None
        return total

    def pushed(self, V: Tensor) -> Tensor:
        """(p, n) vectors, one a row, to their (p, N·R) products G v."""
        directions = self._directions(V)
        with torch.no_grad():
            parts = [_pushed(uses, directions) for uses in self._chunks(len(V))]
        return torch.cat(parts).permute(2, 0, 1).flatten(1)

    def gram(self, dtype: torch.dtype | None = None) -> Tensor:
        """GGᵀ (N·R, N·R), formed in `dtype`; left out, the factor's own."""
        with torch.no_grad():
            return structured_gram(self._held(), self._scale[:, 0], dtype or self.dtype)

    def exact_eigenvalues(self, dtype: torch.dtype | None = None) -> Tensor:
        """The min(N·R, n) eigenvalues that can differ from zero, largest first, in float64; see `GaussNewtonFactor`."""
        num_rows = self._num_samples * self._held()[0][0].rank
        if num_rows <= self.dim:
            return semidefinite_eigenvalues(self.gram(dtype))
        H = torch.zeros(self.dim, self.dim, dtype=dtype or self.dtype, device=self.device)
        with torch.no_grad():
            for uses in self._chunks(1):
                H += gram(self._written_out(uses).T, H.dtype)
        return semidefinite_eigenvalues(H)

    def _written_out(self, uses: Sequence[Unmultiplied]) -> Tensor:
        """(B·R, n): the rows of some samples."""
        total = uses[0].inputs.new_zeros(uses[0].num_samples, uses[0].rank, *self._shape)
        for use in uses:
            rows = torch.empty_like(total)
            use.map.sample_gradients(use.inputs, use.cotangents.dense(), self._scale[:, 0], rows)
            total += rows
        return total.flatten(2).flatten(0, 1)

    def _held(self) -> Sequence[Sequence[Unmultiplied]]:
        if self._pieces is None:
            raise AnalysisError(
                "this block's factor was released when the next block was requested; use each block before you request "
                "the next, or make it with block_operator"
            )
        return self._pieces

    def _directions(self, V: Tensor) -> Tensor:
        """(p, n) to (p, C, K), with the factors that every row has."""
        directions: Tensor = torch.unflatten(V, 1, self._shape) * self._scale
        return directions

    def _chunks(self, num_vectors: int) -> Iterator[Sequence[Unmultiplied]]:
        """The pieces cut to what is worked on at a time."""
        at_once = WORKED_BYTES.get(self.device.type, max(WORKED_BYTES.values()))
        weights = WEIGHTS_SHARE * num_vectors * self.dim * self.dtype.itemsize
        for uses in self._held():
            a_sample = sum(use.bytes_a_sample(num_vectors) for use in uses)
            size = max(FEWEST_SAMPLES, max(at_once, weights) // max(1, a_sample))
            for start in range(0, uses[0].num_samples, size):
                yield [use.samples(slice(start, start + size)) for use in uses]


def _pushed(uses: Sequence[Unmultiplied], directions: Tensor) -> Tensor:
    """(B, R, p): G v for directions (p, C, K), added up over the uses."""
    total: Tensor | None = None
    for use in uses:
        part = use.cotangents.inner(use.map.weight_tangents(use.inputs, directions))
        total = part if total is None else total.add_(part)
    assert total is not None
    return total


# The engine


def _refusal(setting: Setting, block: Block) -> str | None:
    refusal = refusal_of_factors(GAUSS_NEWTON_IMPLICIT.name, setting, block)
    if refusal is not None or block.layer is None:
        return refusal
    if block.layer not in setting.profile.shapes and setting.problem.parameters[block.layer].ndim > 1:
        return f"{block.layer} is not the weight of a convolution or linear map"
    return None


GAUSS_NEWTON_IMPLICIT = Engine(
    name="gauss_newton_implicit",
    refusal=_refusal,
    cost=lambda setting, block: form_cost(setting, block.names[0], Form.IMPLICIT),
    build=FromFactors(operator=lambda factor, _K: factor, form=lambda _setting, _name: Form.IMPLICIT),
    has_gram=True,
    gram_in_any_precision=True,
)
