"""The factors G of Gauss–Newton blocks: one row a sample and column of the loss curvature's square root.

With ∂²ℓ_i/∂f² = Σ_j s_ij s_ijᵀ and J_i the Jacobian of sample i's outputs in a parameter, row (i, j) of G is
s_ijᵀ J_i /√N, and the Gauss–Newton block is GᵀG. One forward pass, and one backward pass a column, give the factors
of all parameters: what a layer needs is its input and the cotangents of its result.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

from analysis.sharpness.hessian.setting import Setting
from analysis.sharpness.hessian.tape.cotangents import Cotangents
from analysis.sharpness.hessian.tape.folding import Folding
from analysis.sharpness.hessian.tape.linear_maps import Bilinear, ChannelScale, Convolution, UnsupportedError
from analysis.sharpness.hessian.tape.tape import Tape, Weights
from analysis.sharpness.problem import Problem

PATCHES = 9  # what a 3×3 kernel sees, in copies of an activation


@dataclass(frozen=True)
class Unmultiplied:
    """What the rows of B samples are made of: row (b, r) is `scale` times the derivative of ⟨g_br, A(W) a_b⟩ in W."""

    map: Bilinear  # A
    inputs: Tensor  # a (B, …)
    cotangents: Cotangents  # g (B, R, …)
    scale: Tensor | None = None  # (C,), by output: that of a batch-norm which follows; None: 1

    @property
    def num_samples(self) -> int:
        """B."""
        return len(self.inputs)

    @property
    def rank(self) -> int:
        """R."""
        scales = self.cotangents.scales
        return (self.cotangents.values if scales is None else scales).shape[1]

    def samples(self, chosen: slice) -> "Unmultiplied":
        """That of some samples."""
        return replace(self, inputs=self.inputs[chosen], cotangents=self.cotangents.samples(chosen))

    def room_for(self, num_samples: int) -> "Unmultiplied":
        """Tensors of the same kind for so many samples, not yet written."""
        values, scales = self.cotangents.values, self.cotangents.scales

        def room(tensor: Tensor) -> Tensor:
            return tensor.new_empty(num_samples, *tensor.shape[1:])

        cotangents = Cotangents(room(values), None if scales is None else room(scales))
        return replace(self, inputs=room(self.inputs), cotangents=cotangents)

    def copy_(self, other: "Unmultiplied") -> None:
        """Take over what as many samples bring.

        Raises:
            UnsupportedError: it is of another shape.
        """
        ours, theirs = self.cotangents, other.cotangents
        pairs = [(self.inputs, other.inputs), (ours.values, theirs.values)]
        if ours.scales is not None and theirs.scales is not None:
            pairs.append((ours.scales, theirs.scales))
        if (ours.scales is None) != (theirs.scales is None) or any(a.shape != b.shape for a, b in pairs):
            raise UnsupportedError("chunks of samples bring inputs or cotangents of different shapes")
        for mine, more in pairs:
            mine.copy_(more)

    def bytes_a_sample(self, num_vectors: int) -> int:
        """What a product with so many vectors reads and writes for a sample."""
        values = self.cotangents.values
        tangents = num_vectors * math.prod(values.shape[2:])
        return (self.inputs[0].numel() + values[0].numel() + tangents) * values.element_size()


def rows_alone(rows: Tensor) -> Unmultiplied:
    """Rows (B, R, n) of a 1-D parameter as they are: each is the cotangent of n numbers, scaled by the parameter."""
    return Unmultiplied(ChannelScale(), rows.new_ones(len(rows), rows.shape[2]), Cotangents(rows))


@dataclass(frozen=True)
class Rows:
    """The rows of one parameter's factor that belong to B samples, not computed yet."""

    num_samples: int  # B
    write: Callable[[Tensor, float], None]  # computes s_ijᵀ J_i times a factor (1/√N), into a (B, R, n) tensor
    scales: Tensor | None = None  # u (B, R, C): s_ijᵀ J_i = diag(u_ij) Q_i, with one matrix Q_i (C, K) a sample
    write_matrices: Callable[[Tensor, float], None] | None = None  # computes these, into a (B, 1, n) tensor
    unmultiplied: Callable[[], Sequence[Unmultiplied]] | None = None  # by use of the parameter; None: written out only


class FactorPass(Protocol):
    """A way to get the factors of parameters."""

    def sweep(self, chunk: Problem, names: Sequence[str]) -> Iterator[tuple[str, Rows]]:
        """The named parameters, each with its rows; the order is the same for every chunk.

        Write the rows before the next parameter is requested.
        """

    def bytes_a_sample(self, setting: Setting, names: Sequence[str]) -> int:
        """Memory that a sweep holds at its peak."""


class TapeFactors:
    """Factors from a tape: the cotangents of one layer at a time are in memory."""

    def __init__(self, tape: Tape) -> None:
        self._tape = tape
        self._weights: Weights | None = None

    def sweep(self, chunk: Problem, names: Sequence[str]) -> Iterator[tuple[str, Rows]]:
        """One forward pass, and R cotangents carried backward at once, down to the first of the named layers."""
        state = {**chunk.parameters, **chunk.buffers}
        owners = {index for index in map(self._tape.step_of, names) if index is not None}
        live = self._tape.downstream(owners)
        with torch.no_grad():
            weights = self._weights = self._weights or self._tape.fold(state)
            record = self._tape.primal(weights, chunk.inputs, live)
            roots = chunk.root(chunk.flat(record.outputs)).unflatten(2, chunk.shape)
        passes = self._tape.pull(weights, record, roots, live, consume=True)
        while True:
            with torch.no_grad():  # this mode must not hold across a yield
                step = next(passes, None)
            if step is None:
                return
            index, dz = step
            folding = self._tape.steps[index].operation
            assert isinstance(folding, Folding)
            for name in reversed([name for name in folding.names if name in names]):
                yield name, rows_of(folding, state, name, record.saved[index], dz)

    def bytes_a_sample(self, setting: Setting, names: Sequence[str]) -> int:
        profile = setting.profile
        return profile.activations + (4 * setting.rank + PATCHES) * profile.widest


def rows_of(folding: Folding, state: dict[str, Tensor], name: str, x: Tensor, dz: Cotangents) -> Rows:
    """The rows of a parameter of a folding, from the inputs (B, …) and the cotangents of its result."""

    def write(out: Tensor, scale: float) -> None:
        with torch.no_grad():
            folding.sample_gradients(state, name, x, dz.dense(), scale, out)

    def write_matrices(out: Tensor, scale: float) -> None:
        with torch.no_grad():
            folding.sample_gradients(state, name, x, dz.values, scale, out)

    def unmultiplied() -> list[Unmultiplied]:
        with torch.no_grad():
            return [_unmultiplied(folding, state, name, x, dz)]

    if dz.scales is not None and name == folding.weight and isinstance(folding.map, Convolution):
        return Rows(len(x), write, dz.scales, write_matrices, unmultiplied)
    return Rows(len(x), write, unmultiplied=unmultiplied)


def _unmultiplied(folding: Folding, state: dict[str, Tensor], name: str, x: Tensor, dz: Cotangents) -> Unmultiplied:
    """Of a weight, its inputs and cotangents; of a 1-D parameter its rows, which are smaller than these."""
    if name != folding.weight:
        rows = x.new_empty(len(x), dz.dense().shape[1], state[name].numel())
        folding.sample_gradients(state, name, x, dz.dense(), 1.0, rows)
        return rows_alone(rows)
    scale = folding.output_scale(state)
    if not isinstance(folding.map, Convolution):
        return Unmultiplied(folding.map, x, Cotangents(dz.dense()), scale)
    if folding.map.is_strided_pointwise:
        return Unmultiplied(folding.map.unit, folding.map.positions_read(x).contiguous(), dz.shared(), scale)
    return Unmultiplied(folding.map, x, dz.shared(), scale)
