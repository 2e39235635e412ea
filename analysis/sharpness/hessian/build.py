"""Builds the operators that were chosen: first tries the specialised ones, then runs the passes that several share."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

import torch
from torch import Tensor

from analysis.sharpness.hessian.choice import Choice
from analysis.sharpness.hessian.engines import REFERENCE
from analysis.sharpness.hessian.engines.engine import Engine, FromFactors, Releasable
from analysis.sharpness.hessian.engines.factors import CapturedFactors, FactorPass, TapeFactors
from analysis.sharpness.hessian.engines.stores import DenseStore, FactorStore, PooledStore, store_for
from analysis.sharpness.hessian.self_check import TOLERANCE, SelfCheck
from analysis.sharpness.hessian.setting import Block, Setting
from analysis.sharpness.hessian.tape.linear_maps import UnsupportedError
from analysis.sharpness.linalg import BlockOperator

Choices = Mapping[Block, Choice]


class OperatorBuilder:
    """The operators of one setting's blocks."""

    def __init__(self, setting: Setting) -> None:
        self.setting = setting

    # Trying

    def failures(self, choices: Choices) -> dict[Block, str]:
        """Blocks whose specialised engine differs from double backward in float64, or can't be built, and why."""
        specialised = {block: choice.engine for block, choice in choices.items() if choice.engine is not REFERENCE}
        if not specialised:
            return {}
        check = SelfCheck(self.setting.problem, self.setting.curvature)
        reasons: dict[Block, str] = {}
        on_factors = [block for block, engine in specialised.items() if isinstance(engine.build, FromFactors)]
        for block, error in self._factor_errors(check, on_factors):
            if isinstance(error, str) or not error <= TOLERANCE:
                reasons.setdefault(block, error if isinstance(error, str) else _differs(error))
        for block, engine in specialised.items():
            if block in on_factors:
                continue
            try:
                error = check.operator_error(block.names, partial(engine.alone, self.setting, block))
                if not error <= TOLERANCE:
                    reasons[block] = _differs(error)
            except (UnsupportedError, RuntimeError) as problem:
                reasons[block] = f"the self-check failed: {problem}"
        return reasons

    def _factor_errors(self, check: SelfCheck, blocks: Sequence[Block]) -> Iterator[tuple[Block, float | str]]:
        owners: dict[str, list[Block]] = {}
        for block in blocks:
            for name in block.names:
                owners.setdefault(name, []).append(block)
        if not owners:
            return
        try:
            for name, error in check.factor_errors(list(owners), self._factor_pass(), self.setting.rank):
                yield from ((block, error) for block in owners.pop(name))
            reason = f"no factor of {', '.join(owners)}"
        except (UnsupportedError, RuntimeError) as problem:
            reason = f"the self-check failed: {problem}"
        yield from ((block, reason) for remaining in owners.values() for block in remaining)

    # Building

    def build(self, choices: Choices) -> Iterator[tuple[Block, BlockOperator]]:
        """An operator for every block. The memory of one may be released when the next is requested.

        Blocks that come from factors first, last layer first; that of all layers, a sum of Gram matrices, after them.
        """
        yield from self._from_factors(
            {b: c.engine for b, c in choices.items() if isinstance(c.engine.build, FromFactors)}
        )
        for block, choice in choices.items():
            if isinstance(choice.engine.build, FromFactors):
                continue
            operator = choice.engine.alone(self.setting, block, self.setting.problem)
            yield block, operator
            if isinstance(operator, Releasable):
                operator.release()

    def _from_factors(self, engines: Mapping[Block, Engine]) -> Iterator[tuple[Block, BlockOperator]]:
        layers = {block.names[0]: block for block in engines if block.layer is not None}
        whole = next((block for block in engines if block.layer is None), None)
        summed = () if whole is None else whole.names
        recipes = {name: _recipe(engines[block]) for name, block in layers.items()}

        def is_dense(name: str) -> bool:
            return name in recipes and name not in summed and recipes[name].adds_up(self.setting, name)

        names = list(dict.fromkeys(name for block in engines for name in block.names))
        if not names:
            return
        total: Tensor | None = None
        for name, store in self._finished(self._last_layer_first(names), is_dense):
            if isinstance(store, DenseStore):
                yield layers[name], store.block()
                continue
            factor = store.factor()
            K = factor.gram() if name in summed else None
            if K is not None:
                total = K.clone() if total is None else total.add_(K)
            if name in layers:
                yield layers[name], recipes[name].operator(factor, K)
            if isinstance(factor, Releasable):
                factor.release()
        if whole is not None and total is not None:
            make = _recipe(engines[whole]).total
            assert make is not None
            yield whole, make(self.setting, whole, total)

    def _last_layer_first(self, names: Sequence[str]) -> list[str]:
        position = {name: index for index, name in enumerate(self.setting.problem.parameters)}
        after = self.setting.profile.after
        return sorted(names, key=lambda name: (after[name], -position[name]))

    def _finished(
        self, names: list[str], is_dense: Callable[[str], bool]
    ) -> Iterator[tuple[str, FactorStore | PooledStore | DenseStore]]:
        """Factors of all samples, one parameter after another.

        Where the cotangents of all samples fit, one sweep serves all, and only one layer's factor is held at a time.
        Otherwise samples are taken in chunks, and as many parameters at a time as have room for their factors.
        """
        setting, rank, num_rows = self.setting, self.setting.rank, self.setting.num_rows
        problem, factors, sizes = setting.problem, self._factor_pass(), setting.profile.sizes

        def held(name: str) -> int:
            n = sizes[name]
            return setting.profile.itemsize * (2 * n * n if is_dense(name) else num_rows * n)

        per_sample = factors.bytes_a_sample(setting, names)
        streaming = problem.num_samples * per_sample + max(map(held, names)) <= setting.memory
        size = setting.cached_chunk(names, cotangents=rank)
        if not streaming:
            size = min(size, setting.chunk(2 * per_sample))
        workspace = None
        if streaming:
            # One block of memory for every layer's factor in turn: fresh pages would cost as much as filling them.
            entries = max([sizes[name] for name in names if not is_dense(name)], default=0)
            workspace = torch.empty(num_rows * entries, dtype=problem.dtype, device=problem.device)
        pieces = list(problem.chunks(size))
        for group in [names] if streaming else _pack(names, held, setting.factor_memory):
            sweeps = (factors.sweep(piece, group) for piece in pieces)
            # All chunks of samples at one layer, then the next; or all layers of one chunk, then the next.
            steps = zip(*sweeps, strict=True) if streaming else ((step,) for sweep in sweeps for step in sweep)
            stores: dict[str, FactorStore | PooledStore | DenseStore] = {}
            for step in steps:
                for name, rows in step:
                    if name not in stores and is_dense(name):
                        stores[name] = DenseStore(problem, sizes[name], rank)
                    elif name not in stores:
                        stores[name] = store_for(rows, problem, sizes[name], rank, workspace)
                    if stores[name].add(rows):
                        yield name, stores.pop(name)

    def _factor_pass(self) -> FactorPass:
        return CapturedFactors() if self.setting.tape is None else TapeFactors(self.setting.tape)


def _recipe(engine: Engine) -> FromFactors:
    assert isinstance(engine.build, FromFactors)
    return engine.build


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
