"""Builds the operators that were chosen: tries the specialised ones, then runs the passes that several share."""

import math
from collections.abc import Callable, Iterator, Mapping
from functools import partial

import torch
from torch import Tensor

from analysis.sharpness.hessian.choice import Choice, Setting
from analysis.sharpness.hessian.cost import BlockOperator
from analysis.sharpness.hessian.engines.double_backward import DoubleBackward
from analysis.sharpness.hessian.engines.factors import CapturedFactors, FactorPass, TapeFactors
from analysis.sharpness.hessian.engines.gauss_newton import DenseStore, FactorStore, GaussNewtonFactor, GaussNewtonGram
from analysis.sharpness.hessian.engines.head import Head
from analysis.sharpness.hessian.engines.pooled_factor import PooledFactor, PooledStore, store_for
from analysis.sharpness.hessian.engines.r_operator import ROperator
from analysis.sharpness.hessian.self_check import TOLERANCE, SelfCheck
from analysis.sharpness.hessian.tape.linear_maps import UnsupportedError
from analysis.sharpness.problem import Problem

Members = Mapping[str | None, list[str]]  # the parameters of every block
Choices = Mapping[str | None, Choice]

FACTORED = ("gauss_newton_factor", "gauss_newton_gram")
# Bytes of one activation that are worked on at a time on a CPU: measured the fastest; more leaves the caches.
CACHED_BYTES = 2**22
WEIGHTS_SHARE = 4  # a chunk's activations are at least so many times the weights

COPIES = 12  # of the parameters that the R-operator holds for a vector, as transformed kernels above all

PATCHES = 9  # what a 3×3 kernel sees, in copies of an activation


class Workshop:
    """One problem, and the engines that can be built for it."""

    def __init__(self, setting: Setting) -> None:
        self.setting = setting

    # Trying

    def failures(self, members: Members, choices: Choices) -> dict[str | None, str]:
        """Blocks whose specialised engine differs from double backward in float64, or can't be built, and why."""
        specialised = {layer: choice.engine for layer, choice in choices.items() if choice.engine != "double_backward"}
        if not specialised:
            return {}
        check = SelfCheck(self.setting.problem, self.setting.curvature)
        reasons: dict[str | None, str] = {}
        factored = [layer for layer, engine in specialised.items() if engine in FACTORED]
        for layer, error in self._factor_errors(check, members, factored):
            if isinstance(error, str) or not error <= TOLERANCE:
                reasons.setdefault(layer, error if isinstance(error, str) else _differs(error))
        for layer, engine in specialised.items():
            if engine in FACTORED:
                continue
            try:
                build = partial(self._specialised, engine, names=members[layer], memory=None)
                error = check.operator_error(members[layer], build)
                if not error <= TOLERANCE:
                    reasons[layer] = _differs(error)
            except (UnsupportedError, RuntimeError) as problem:
                reasons[layer] = f"the self-check failed: {problem}"
        return reasons

    def _factor_errors(
        self, check: SelfCheck, members: Members, factored: list[str | None]
    ) -> Iterator[tuple[str | None, float | str]]:
        owners: dict[str, list[str | None]] = {}
        for layer in factored:
            for name in members[layer]:
                owners.setdefault(name, []).append(layer)
        if not owners:
            return
        try:
            for name, error in check.factor_errors(list(owners), self._factors(), self.setting.rank):
                yield from ((layer, error) for layer in owners.pop(name))
            left = f"no factor of {', '.join(owners)}"
        except (UnsupportedError, RuntimeError) as problem:
            left = f"the self-check failed: {problem}"
        yield from ((layer, left) for layers in owners.values() for layer in layers)

    # Building

    def build(self, engine: str, names: list[str]) -> BlockOperator:
        """An operator on all samples by an engine that works alone."""
        setting = self.setting
        if engine == "double_backward":
            per_sample = self._graph_bytes(names)
            chunk = self._chunk(per_sample)
            return DoubleBackward(setting.problem, names, setting.curvature, chunk)
        return self._specialised(engine, setting.problem, names, setting.memory)

    def _specialised(self, engine: str, problem: Problem, names: list[str], memory: int | None) -> BlockOperator:
        setting = self.setting
        if engine == "head":
            return Head(problem, names[0], None if memory is None else self._chunk(setting.profile.activations))
        assert setting.tape is not None
        kept = setting.profile.r_operator(names, setting.curvature == "hessian").memory
        copies = COPIES * setting.profile.itemsize * sum(setting.profile.sizes.values())
        tiled = copies <= setting.memory // 2
        room = setting.memory - copies if tiled else setting.memory
        return ROperator(
            problem,
            setting.tape,
            names,
            setting.curvature,
            self._cached_chunk(names, CACHED_BYTES),
            keep=memory is None or kept <= room,
            vectors_a_pass=max(1, room // (2 * copies)),
            tiled=tiled,
        )

    def from_factors(self, members: Members, choices: Choices) -> Iterator[tuple[str | None, BlockOperator]]:
        """The blocks that live on factors, last layer first; that of all layers, a sum of Gram matrices, at the end."""
        layers = {layer: choice.engine for layer, choice in choices.items() if choice.engine in FACTORED}
        summed = members[None] if None in layers else []
        names = list(dict.fromkeys([*(name for layer in layers for name in members[layer])]))
        if not names:
            return
        total: Tensor | None = None
        for name, store in self._finished(self._in_order(names), layers, set(summed)):
            if isinstance(store, DenseStore):
                yield name, store.block()
                continue
            factor = store.factor()
            K = None
            if name in summed or layers.get(name) == "gauss_newton_gram":
                K = factor.gram()
            if name in summed and K is not None:
                total = K.clone() if total is None else total.add_(K)
            if name in layers:
                yield name, factor if layers[name] == "gauss_newton_factor" or K is None else _with_products(K, factor)
            if isinstance(factor, GaussNewtonFactor):
                factor.release()
        if total is not None:
            dim = sum(self.setting.profile.sizes[name] for name in summed)
            engine = "double_backward" if self.setting.tape is None else "r_operator"
            yield None, GaussNewtonGram(total, dim, lambda: self.build(engine, summed))

    def _in_order(self, names: list[str]) -> list[str]:
        """Last layer first."""
        place = {name: index for index, name in enumerate(self.setting.problem.parameters)}
        after = self.setting.profile.after
        return sorted(names, key=lambda name: (after[name], -place[name]))

    def _finished(
        self, names: list[str], layers: Mapping[str | None, str], summed: set[str]
    ) -> Iterator[tuple[str, FactorStore | PooledStore | DenseStore]]:
        """Factors of all samples, one parameter after another.

        Where the cotangents of all samples fit, one sweep serves all, and only one layer's factor is held at a time.
        Otherwise samples are taken in chunks, and as many parameters at a time as have room for their factors.
        """
        setting, rank = self.setting, self.setting.rank
        problem, factors = setting.problem, self._factors()

        def dense(name: str) -> bool:
            small = setting.profile.sizes[name] <= problem.num_samples * rank
            return small and name not in summed and layers.get(name) == "gauss_newton_gram"

        def held(name: str) -> int:
            n = setting.profile.sizes[name]
            return setting.profile.itemsize * (2 * n * n if dense(name) else problem.num_samples * rank * n)

        per_sample = self._sweep_bytes(names)
        streaming = problem.num_samples * per_sample + max(map(held, names)) <= setting.memory
        size = self._cached_chunk(names, CACHED_BYTES // max(1, rank))
        if not streaming:
            size = min(size, self._chunk(2 * per_sample))
        workspace = None
        if streaming:
            # One block of memory for every layer's factor in turn: fresh pages would cost as much as filling them.
            entries = max([setting.profile.sizes[name] for name in names if not dense(name)], default=0)
            workspace = problem.inputs.new_empty(problem.num_samples * rank * entries)
        pieces = list(problem.chunks(size))
        for group in [names] if streaming else _pack(names, held, setting.factor_memory):
            sweeps = (factors.sweep(piece, group) for piece in pieces)
            # All chunks of samples at one layer, then the next; or all layers of one chunk, then the next.
            steps = zip(*sweeps, strict=True) if streaming else ((step,) for sweep in sweeps for step in sweep)
            stores: dict[str, FactorStore | PooledStore | DenseStore] = {}
            for step in steps:
                for name, rows in step:
                    if name not in stores:
                        n = setting.profile.sizes[name]
                        stores[name] = (
                            DenseStore(problem, n, rank)
                            if dense(name)
                            else store_for(rows, problem, n, rank, workspace)
                        )
                    if stores[name].add(rows):
                        yield name, stores.pop(name)

    def _cached_chunk(self, names: list[str], room: int) -> int:
        """Samples of which the largest activation fits into so many bytes, on a CPU.

        But not so few that the weights, which every chunk goes through, outweigh its activations.
        """
        profile = self.setting.profile
        if self.setting.problem.device.type != "cpu":
            return self._chunk((4 + self.setting.rank) * profile.activations)
        cached = room // max(1, max(profile.crest[name] for name in names))
        balanced = WEIGHTS_SHARE * sum(profile.sizes.values()) * profile.itemsize // max(1, profile.activations)
        most = max(1, min(max(cached, balanced), self._chunk((4 + self.setting.rank) * profile.activations)))
        num_samples = self.setting.problem.num_samples
        return math.ceil(num_samples / math.ceil(num_samples / most))  # chunks of nearly equal size

    def _factors(self) -> FactorPass:
        return CapturedFactors() if self.setting.tape is None else TapeFactors(self.setting.tape)

    # Memory

    def _sweep_bytes(self, names: list[str]) -> int:
        """Bytes a sample that a factor pass holds at its peak."""
        profile, rank = self.setting.profile, self.setting.rank
        if self.setting.tape is not None:
            return profile.activations + (4 * rank + PATCHES) * profile.widest
        return self._graph_bytes(names) + (rank + 2) * profile.activations

    def _graph_bytes(self, names: list[str]) -> int:
        """Bytes a sample of a graph that can be differentiated twice, measured on two samples."""
        saved: dict[int, int] = {}
        # A graph whose hooks keep its own results is a cycle that no collector sees: emptied boxes break it.
        boxes: list[list[Tensor]] = []
        few = self.setting.problem.take(slice(0, 2))
        parameters = {tensor.data_ptr() for tensor in self.setting.problem.parameters.values()}

        def note(tensor: Tensor) -> list[Tensor]:
            if tensor.data_ptr() not in parameters:
                saved[tensor.data_ptr()] = tensor.untyped_storage().nbytes()
            boxes.append([tensor])
            return boxes[-1]

        with torch.autograd.graph.saved_tensors_hooks(note, lambda box: box[0]):
            DoubleBackward(few, names, self.setting.curvature)
        for box in boxes:
            box.clear()
        return max(1, sum(saved.values()) // few.num_samples)

    def _chunk(self, bytes_a_sample: int) -> int:
        return max(1, min(self.setting.problem.num_samples, self.setting.memory // max(1, bytes_a_sample)))


def _with_products(K: Tensor, factor: GaussNewtonFactor | PooledFactor) -> GaussNewtonGram:
    return GaussNewtonGram(K, factor.dim, lambda: factor)


def _pack(names: list[str], held: Callable[[str], int], room: int) -> Iterator[list[str]]:
    """Consecutive names whose factors fit together; at least one at a time."""
    group: list[str] = []
    used = 0
    for name in names:
        if group and used + held(name) > room:
            yield group
            group, used = [], 0
        group.append(name)
        used += held(name)
    if group:
        yield group


def _differs(error: float) -> str:
    return f"its product differs from double backward's by {error:.1e} (relative, float64)"
