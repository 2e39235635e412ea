"""The R-operator of Pearlmutter (1994) on a tape: Hessian products for piecewise-linear networks.

Forward, the tangent of every activation; backward, the tangent of every gradient:
    Rz = A(W) Rx + A(V) x + v,   Rδ_x = A(W)ᵀ Rδ_z + A(V)ᵀ δ_z,   RG = Rδ_z ⊗ x + δ_z ⊗ Rx.
The primal x and δ are computed once for all products, and batch-norm is folded away, which leaves six convolutions a
layer for the Hessian of all of them, four for Gauss–Newton (the terms with δ gone), and for one layer two in each
layer above it. Where it is cheaper they are carried out in another basis than that of images and kernels.
"""

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from analysis.sharpness.hessian.cost import EngineCost, Profile
from analysis.sharpness.hessian.engines.engine import Engine
from analysis.sharpness.hessian.setting import Block, Setting
from analysis.sharpness.hessian.tape.bases import Basis, InBasis, Kernels, basis_of
from analysis.sharpness.hessian.tape.folding import Folding
from analysis.sharpness.hessian.tape.operations import Add
from analysis.sharpness.hessian.tape.tape import Record, Tape
from analysis.sharpness.problem import Problem

COPIES = 12  # of the parameters that are held for a vector, transformed kernels above all
NARROW = 9 * 64  # inputs of one output of a convolution: 3 × 3 positions of 64 channels

Moves = Mapping[int, tuple[Tensor, Tensor | None]]  # directions of W̃, in the step's basis, and b̃ by step


class Sums(NamedTuple):
    """Gradients or products, added up over chunks of samples."""

    weights: dict[int, Tensor]  # in W̃, in the step's basis, by step
    biases: dict[int, Tensor]  # in b̃


class Primal(NamedTuple):
    """What all products on a chunk of samples share; of the chosen steps, in their bases."""

    chunk: Problem
    record: Record
    inputs: Mapping[int, InBasis]  # x by step
    cotangents: Mapping[int, InBasis]  # δ by step; empty where no product of two weights occurs


class ROperator:
    """Products with the Hessian or the Gauss–Newton matrix of the named parameters.

    With `keep` the primal pass of every chunk of samples stays in memory; without, each `matmat` repeats it, once for
    every `vectors_a_pass`. Without `tiled` no layer uses Winograd's tiles, whose transformed kernels take memory.
    """

    def __init__(
        self,
        problem: Problem,
        tape: Tape,
        names: Sequence[str],
        curvature: str = "hessian",
        samples_a_chunk: int | None = None,
        keep: bool = True,
        vectors_a_pass: int = 1,
        tiled: bool = True,
    ) -> None:
        self._problem, self._tape, self._tiled = problem, tape, tiled
        self._chunk = samples_a_chunk or problem.num_samples
        self._vectors = 1 if keep else vectors_a_pass
        self._shapes = {name: problem.parameters[name].shape for name in names}
        self.dim = sum(shape.numel() for shape in self._shapes.values())
        self.device, self.dtype = problem.device, problem.dtype
        state = {**problem.parameters, **problem.buffers}
        self._folded = tape.fold(state)
        wanted = set(names)
        self._chosen = {
            index: step.operation.at(state)
            for index, step in enumerate(tape.steps)
            if isinstance(step.operation, Folding) and wanted.intersection(step.operation.names)
        }
        self._live = tape.downstream(set(self._chosen))
        self._bilinear = (
            curvature == "hessian" and len(names) > 1
        )  # with one tensor alone, no product of two weights occurs
        with torch.no_grad():
            self._bases = self._choose_bases()
            self._weights = {index: basis.weights(self._folded[index][0]) for index, basis in self._bases.items()}
            self._kept = list(self._primal_passes()) if keep else None
            self._folded_gradients = self._sum_gradients() if self._bilinear else {}

    def matmat(self, V: Tensor) -> Tensor:
        """(p, n) vectors, one a row, to their (p, n) products."""
        with torch.no_grad():
            products = [self._together(group) for group in torch.split(V, self._vectors) if len(group)]
            return _joined(products, dim=0) if products else V.clone()

    def release(self) -> None:
        """Release the passes that were kept; a later product repeats them."""
        self._kept = None

    def _together(self, V: Tensor) -> Tensor:
        """The products of vectors that share a primal pass."""
        named = [self._named(v[None]) for v in V]
        moves = [self._moves(directions) for directions in named]
        sums = [Sums({}, {}) for _ in named]
        for primal in self._kept if self._kept is not None else self._primal_passes():
            for move, total in zip(moves, sums, strict=True):
                self._accumulate(primal, move, total)
        return _joined([self._products(*pair) for pair in zip(named, sums, strict=True)], dim=0)

    def _named(self, v: Tensor) -> dict[str, Tensor]:
        """A direction (1, n) by parameter, each (1, *shape)."""
        sizes = [shape.numel() for shape in self._shapes.values()]
        pieces = zip(self._shapes.items(), torch.split(v, sizes, dim=1), strict=True)
        return {name: piece.reshape(1, *shape) for (name, shape), piece in pieces}

    def _moves(self, named: dict[str, Tensor]) -> Moves:
        moves = {}
        for index, folding in self._chosen.items():
            V, v = folding.push(named)
            V = torch.zeros_like(self._folded[index][0]) if V is None else V[0]
            moves[index] = self._bases[index].weights(V), None if v is None else v[0]
        return moves

    def _products(self, named: dict[str, Tensor], sums: Sums) -> Tensor:
        """From products in (W̃, b̃) to those in the parameters, (1, n)."""
        wanted = set(self._shapes)
        products: dict[str, Tensor] = {}
        for index, folding in self._chosen.items():
            weight = self._bases[index].weight_matrix(sums.weights[index])
            products |= folding.pull(weight[None], sums.biases[index][None], wanted)
            if self._bilinear:
                for name, extra in folding.curvature(named, *self._folded_gradients[index], wanted).items():
                    products[name] += extra
        for name in self._shapes:  # one that no output depends on is not on the tape
            if name not in products:
                products[name] = torch.zeros_like(named[name])
        return _joined([products[name].flatten(1) for name in self._shapes], dim=1)

    def _choose_bases(self) -> dict[int, Basis]:
        """By step with weights that products pass through, from the shapes in a forward pass of one sample."""
        sample = self._problem.subset(slice(0, 1))
        record = self._tape.primal(self._folded, sample.inputs, self._live)
        bases = {}
        for index, (operation, _) in enumerate(self._tape.steps):
            if isinstance(operation, Folding) and self._live[index]:
                x, num_outputs = record.saved[index], len(self._folded[index][0])
                like = x.expand(self._chunk, *x.shape[1:])
                bases[index] = basis_of(operation.map, like, num_outputs, index in self._chosen, self._tiled)
        return bases

    def _primal_passes(self) -> Iterator[Primal]:
        """By chunk of samples: the results of the primal forward and backward pass that products need."""
        for chunk in self._problem.chunks(self._chunk):
            record = self._primal_record(chunk)
            inputs = {index: self._bases[index].inputs(record.saved[index]) for index in self._chosen}
            yield Primal(chunk, record, inputs, self._primal_gradients(chunk, record) if self._bilinear else {})

    def _primal_record(self, chunk: Problem) -> Record:
        record = self._tape.primal(self._folded, self._arranged(chunk.inputs), self._live)
        return replace(record, outputs=chunk.flat(record.outputs))

    def _arranged(self, inputs: Tensor) -> Tensor:
        """Channels last where the convolutions that are done directly are narrow.

        Measured on a CPU: 1.15 to 1.5 times faster for 16 to 64 channels, where rearranging activations costs most; for
        64 to 512 channels, 1.15 times slower in late layers, where every convolution rearranges weights.
        """
        fans = [self._folded[index][0].shape[1] for index, basis in self._bases.items() if isinstance(basis, Kernels)]
        narrow = not fans or statistics.median(fans) <= NARROW
        return inputs.contiguous(memory_format=torch.channels_last) if inputs.ndim == 4 and narrow else inputs

    def _accumulate(self, primal: Primal, moves: Moves, sums: Sums) -> None:
        """Add one chunk's part of the products in (W̃, b̃) to `sums`."""
        d_outputs = self._push(primal, moves, sums)
        curved = primal.chunk.curvature(primal.record.outputs, d_outputs.flatten(2)) / self._problem.num_samples
        curved = curved.view(d_outputs.shape)
        entered: dict[int, InBasis] = {}  # cotangents by step, in its basis

        def transpose(index: int, dz: Tensor) -> Tensor:
            pairs = [(entered.pop(index), self._weights[index])]
            if index in primal.cotangents:
                pairs.append((primal.cotangents[index], moves[index][0]))
            return self._bases[index].transpose(pairs, primal.record.saved[index]).unsqueeze(1)

        for index, dz in self._tape.pull(self._folded, primal.record, curved, self._live, transpose):
            entered[index] = self._bases[index].cotangents(dz.dense().squeeze(1))
            if index in self._chosen:
                self._add(index, primal.inputs[index], entered[index], sums)
                self._add_bias(index, entered[index], sums)

    def _add(self, index: int, x: InBasis, dz: InBasis, sums: Sums) -> None:
        """Add dz ⊗ x to a step's product in W̃."""
        sums.weights[index] = self._bases[index].weight_gradient(x, dz, into=sums.weights.get(index))

    def _add_bias(self, index: int, dz: InBasis, sums: Sums) -> None:
        """Add a cotangent to a step's product in b̃."""
        own = self._bases[index].bias_gradient(dz)
        sums.biases[index] = sums.biases[index].add_(own) if index in sums.biases else own

    def _push(self, primal: Primal, moves: Moves, sums: Sums) -> Tensor:
        """The tangents of the outputs. For a chosen step, δ ⊗ the tangent of its input is added to `sums`."""
        results: dict[int, Tensor] = {}
        owned: set[int] = set()  # results that no one else holds
        for index, (operation, sources) in enumerate(self._tape.steps):
            if not self._live[index]:
                continue
            dxs = [results[source] for source in sources if source in results]
            overwrite = sources[0] in owned and self._tape.last_use[sources[0]] == index
            if isinstance(operation, Folding):
                basis, pairs = self._bases[index], []
                if dxs:
                    tangent = basis.inputs(dxs[0].squeeze(1))
                    pairs.append((tangent, self._weights[index]))
                    if index in primal.cotangents:
                        self._add(index, tangent, primal.cotangents[index], sums)
                V, v = moves.get(index, (None, None))
                if V is not None:
                    pairs.append((primal.inputs[index], V))
                results[index] = basis.apply(pairs, v).unsqueeze(1)
                owned.add(index)
            elif isinstance(operation, Add) and len(dxs) == 2:
                results[index] = dxs[0].add_(dxs[1]) if overwrite else dxs[0] + dxs[1]
                owned.add(index)
            elif isinstance(operation, Add):
                results[index] = dxs[0]
            else:
                results[index] = operation.push(primal.record.saved[index], dxs[0], overwrite)
            for source in sources:
                if self._tape.last_use[source] == index:
                    results.pop(source, None)
        return results[len(self._tape.steps) - 1]

    def _primal_gradients(self, chunk: Problem, record: Record) -> dict[int, InBasis]:
        """δ: the gradient of L in the result of every chosen step, in its basis."""
        with torch.enable_grad():
            outputs = record.outputs.detach().requires_grad_()
            (seed,) = torch.autograd.grad(chunk.mean(outputs), outputs)
        seed = chunk.shaped(seed)[:, None] * (chunk.num_samples / self._problem.num_samples)
        passes = self._tape.pull(self._folded, record, seed, self._live)
        return {
            index: self._bases[index].cotangents(dz.dense().squeeze(1)) for index, dz in passes if index in self._chosen
        }

    def _sum_gradients(self) -> dict[int, tuple[Tensor, Tensor]]:
        """∂L/∂W̃ (C, K), out of its basis, and ∂L/∂b̃ (C,) over all samples, by chosen step."""
        sums = Sums({}, {})
        for primal in self._kept if self._kept is not None else self._primal_passes():
            for index, dz in primal.cotangents.items():
                self._add(index, primal.inputs[index], dz, sums)
                self._add_bias(index, dz, sums)
        return {
            index: (self._bases[index].weight_matrix(weight), sums.biases[index])
            for index, weight in sums.weights.items()
        }


def _joined(parts: list[Tensor], dim: int) -> Tensor:
    """As `torch.cat`, which copies a single part too."""
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim=dim)


# The engine


def product_passes(profile: Profile, names: Sequence[str], hessian: bool) -> float:
    """Two convolutions a layer from the block on, and two (four with the Hessian's own terms) in the block."""
    own, reach = profile.reach(names)
    return 2 * reach if len(names) == 1 else 2 * reach + (4 if hessian else 2) * own


def _cost(setting: Setting, block: Block) -> EngineCost:
    profile, names, hessian = setting.profile, block.names, setting.curvature == "hessian"
    product = product_passes(profile, names, hessian)
    live, bilinear = max(profile.live[name] for name in names), len(names) > 1 and hessian
    tiles = sum(profile.tiles.get(name, 0) for name in names)
    memory = setting.problem.num_samples * (2 * live + tiles if bilinear else live + tiles // 2)
    return EngineCost(1 + profile.reach(names)[1], product, profile.size(names) * product, memory)


def _refusal(setting: Setting, block: Block) -> str | None:
    if setting.tape is None:
        return f"the network has no tape: {setting.tape_reason}"
    if any(setting.tape.step_of(name) is None for name in block.names if name not in setting.unreached):
        return "a parameter is not on the tape"
    return None


def _build(setting: Setting, block: Block, problem: Problem) -> ROperator:
    assert setting.tape is not None
    copies = COPIES * setting.profile.itemsize * setting.profile.size(list(setting.profile.sizes))
    tiled = copies <= setting.memory // 2
    room = setting.memory - copies if tiled else setting.memory
    return ROperator(
        problem,
        setting.tape,
        block.names,
        setting.curvature,
        setting.cached_chunk(block.names),
        keep=_cost(setting, block).memory <= room,
        vectors_a_pass=max(1, room // (2 * copies)),
        tiled=tiled,
    )


R_OPERATOR = Engine(name="r_operator", refusal=_refusal, cost=_cost, build=_build, always_fits=True)
