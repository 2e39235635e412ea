"""The factors G of Gauss–Newton blocks: one row a sample and column of the loss curvature's square root.

With ∂²ℓ_i/∂f² = Σ_j s_ij s_ijᵀ and J_i the Jacobian of sample i's outputs in a parameter, row (i, j) of G is
s_ijᵀ J_i /√N, and the Gauss–Newton block is GᵀG. One forward pass, and one backward pass a column, give the factors
of all parameters: what a layer needs is its input and the cotangents of its result.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge, get_gradient_edge

from analysis.sharpness.hessian.engines.double_backward import graph_bytes
from analysis.sharpness.hessian.setting import Setting
from analysis.sharpness.hessian.tape.cotangents import Cotangents
from analysis.sharpness.hessian.tape.folding import Folding
from analysis.sharpness.hessian.tape.linear_maps import UnsupportedError
from analysis.sharpness.hessian.tape.tape import Tape, Weights, folding_of
from analysis.sharpness.problem import Problem, held_still

PATCHES = 9  # what a 3×3 kernel sees, in copies of an activation


@dataclass(frozen=True)
class Rows:
    """The rows of one parameter's factor that belong to B samples, not computed yet."""

    num_samples: int  # B
    write: Callable[[Tensor, float], None]  # computes s_ijᵀ J_i times a factor (1/√N), into a (B, R, n) tensor
    scales: Tensor | None = None  # u (B, R, C): s_ijᵀ J_i = diag(u_ij) Q_i, with one matrix Q_i (C, K) a sample
    write_matrices: Callable[[Tensor, float], None] | None = None  # computes these, into a (B, 1, n) tensor


class FactorPass(Protocol):
    """A way to get the factors of parameters."""

    def sweep(self, chunk: Problem, names: Sequence[str]) -> Iterator[tuple[str, Rows]]:
        """The named parameters, last layer first, each with its rows. Write the rows before the next parameter."""

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
                yield name, _rows(folding, state, name, record.saved[index], dz)

    def bytes_a_sample(self, setting: Setting, names: Sequence[str]) -> int:
        profile = setting.profile
        return profile.activations + (4 * setting.rank + PATCHES) * profile.widest


def _rows(folding: Folding, state: dict[str, Tensor], name: str, x: Tensor, dz: Cotangents) -> Rows:
    def write(out: Tensor, scale: float) -> None:
        with torch.no_grad():
            folding.sample_gradients(state, name, x, dz.dense(), scale, out)

    def write_matrices(out: Tensor, scale: float) -> None:
        with torch.no_grad():
            folding.sample_gradients(state, name, x, dz.values, scale, out)

    if dz.scales is not None and name == folding.weight:
        return Rows(len(x), write, dz.scales, write_matrices)
    return Rows(len(x), write)


class CapturedFactors:
    """Factors of any network: hooks record the inputs and cotangents of its modules on a pass of autograd.

    Convolutions, linear maps and batch-norms are factored from these. Other parameters (LayerNorm, position
    embeddings, weights that a module uses through a function) are differentiated sample by sample.
    """

    def sweep(self, chunk: Problem, names: Sequence[str]) -> Iterator[tuple[str, Rows]]:
        """One forward and R backward passes, down to the first of the named layers; all cotangents are held at once."""
        state = {**chunk.parameters, **chunk.buffers}
        with held_still(chunk.model):
            calls, roots = self._capture(chunk, names)
        remaining = list(names)
        while calls:
            folding = calls[-1].folding
            shared = [call for call in calls if call.folding.names == folding.names]
            calls = [call for call in calls if call.folding.names != folding.names]
            for name in reversed([name for name in folding.names if name in remaining]):
                remaining.remove(name)
                yield name, _summed([_rows(c.folding, state, name, c.inputs, Cotangents(c.cotangents)) for c in shared])
        for name in reversed(remaining):
            yield name, _one_by_one(chunk, name, roots)

    def bytes_a_sample(self, setting: Setting, names: Sequence[str]) -> int:
        return graph_bytes(setting, names) + (setting.rank + 2) * setting.profile.activations

    def _capture(self, chunk: Problem, names: Sequence[str]) -> tuple[list["Call"], Tensor]:
        calls: list[Call] = []
        identities = {id(parameter): name for name, parameter in chunk.model.named_parameters()}
        foldings = {}
        for path, module in chunk.model.named_modules():
            folding = folding_of(module, path, identities) if module._parameters else None
            if folding is not None and set(folding.names).intersection(names):
                foldings[module] = folding

        def catch(module: nn.Module, args: tuple[Tensor, ...], result: Tensor) -> Tensor:
            if not result.requires_grad:
                result.requires_grad_()
            calls.append(Call(foldings[module], args[0].detach(), get_gradient_edge(result)))
            return result.clone()  # later operations may work in place

        # The weights that are used are those in `state`; the modules' own parameters only serve to name the layers.
        handles = [module.register_forward_hook(catch) for module in foldings]
        try:
            outputs = chunk.outputs()
        finally:
            for handle in handles:
                handle.remove()
        roots = chunk.root(outputs.detach())
        for call in calls:
            if call.inputs._version != call.version:
                raise UnsupportedError(f"the input of {call.folding.names[0]} is overwritten later")
        edges = [call.edge for call in calls]
        for column in range(roots.shape[1] if calls else 0):
            last = column + 1 == roots.shape[1]
            grads = torch.autograd.grad(outputs, edges, roots[:, column], retain_graph=not last, allow_unused=True)
            for call, grad in zip(calls, grads, strict=True):
                call.store(column, roots.shape[1], grad)
        return [call for call in calls if call.cotangents.numel()], roots


class Call:
    """One use of a module in a forward pass."""

    def __init__(self, folding: Folding, inputs: Tensor, edge: GradientEdge) -> None:
        self.folding, self.inputs, self.edge = folding, inputs, edge
        self.version = inputs._version
        self.cotangents = torch.empty(0)

    def store(self, column: int, num_columns: int, grad: Tensor | None) -> None:
        """Keep one column's cotangent (B, …) among the (B, R, …); None is zero."""
        if grad is not None and not self.cotangents.numel():
            self.cotangents = grad.new_zeros(grad.shape[0], num_columns, *grad.shape[1:])
        if grad is not None:
            self.cotangents[:, column] = grad


def _summed(parts: list[Rows]) -> Rows:
    """The sum of the factors of several uses of one weight."""

    def write(out: Tensor, scale: float) -> None:
        parts[0].write(out, scale)
        for part in parts[1:]:
            more = torch.empty_like(out)
            part.write(more, scale)
            out += more

    return Rows(parts[0].num_samples, write)


def _one_by_one(chunk: Problem, name: str, roots: Tensor) -> Rows:
    def write(out: Tensor, scale: float) -> None:
        twin = chunk.parameters[name].detach().clone().requires_grad_()
        with held_still(chunk.model):
            for index in range(chunk.num_samples):
                outputs = chunk.subset(slice(index, index + 1)).outputs({name: twin})
                for column in range(roots.shape[1]):
                    (row,) = torch.autograd.grad(
                        outputs, twin, roots[index : index + 1, column], retain_graph=True, materialize_grads=True
                    )
                    out[index, column] = scale * row.flatten()

    return Rows(chunk.num_samples, write)
