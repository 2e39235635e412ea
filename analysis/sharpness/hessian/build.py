"""Builds the operators that were chosen: first tries the specialised ones, then runs the passes that several share."""

from collections.abc import Callable, Iterator, Mapping, Sequence

import torch
from torch import Tensor

from analysis.errors import UndefinedMeasureError
from analysis.sharpness.hessian.choice import Choice, fall_back
from analysis.sharpness.hessian.derivatives import Undefined, naming_derivatives, without_second_derivative
from analysis.sharpness.hessian.engines import REFERENCE
from analysis.sharpness.hessian.engines.captured import CapturedFactors
from analysis.sharpness.hessian.engines.engine import Engine, FromFactors, Releasable
from analysis.sharpness.hessian.engines.factors import FactorPass, TapeFactors
from analysis.sharpness.hessian.engines.forms import Form, held_bytes
from analysis.sharpness.hessian.engines.stores import DenseStore, Store, forms_of, store_for
from analysis.sharpness.hessian.engines.zero import ZERO
from analysis.sharpness.hessian.self_check import SelfCheck
from analysis.sharpness.hessian.setting import Block, Setting
from analysis.sharpness.hessian.tape.linear_maps import UnsupportedError
from analysis.sharpness.linalg import BlockOperator

Choices = Mapping[Block, Choice]


class OperatorBuilder:
    """The operators of one setting's blocks."""

    def __init__(self, setting: Setting) -> None:
        self.setting = setting

    def failures(self, choices: Choices) -> dict[Block, str]:
        """Blocks whose specialised engine differs from double backward in float64, or can't be built, and why.

        What is found on the way is noted in the setting: which factors can't be kept unmultiplied.
        """
        specialised = {b: choice.engine for b, choice in choices.items() if choice.engine not in (REFERENCE, ZERO)}
        if not specialised:
            return {}
        check = SelfCheck(self.setting, self._factor_pass())
        failures = check.failures(specialised)
        self.setting = self.setting.written_out(check.written_out)
        return failures

    def build(self, choices: Choices) -> Iterator[tuple[Block, Choice, BlockOperator]]:
        """An operator for every block, with the choice that it came to.

        Blocks that come from factors first, last layer first; that of all layers, a sum of Gram matrices, after them.
        What an engine can't do after all is left to double backward. The memory of one operator may be released when
        the next is requested.
        """
        on_factors = {b: c.engine for b, c in choices.items() if isinstance(c.engine.build, FromFactors)}
        left: dict[Block, str] = {}
        for block, operator in self._from_factors(on_factors, left):
            yield block, choices[block], operator
        for block, reason in left.items():
            yield self._replaced(block, reason)
        for block, choice in choices.items():
            if isinstance(choice.engine.build, FromFactors):
                continue
            built = self._alone(block, choice)
            yield built
            if isinstance(built[2], Releasable):
                built[2].release()
            del built

    def _alone(self, block: Block, choice: Choice) -> tuple[Block, Choice, BlockOperator]:
        if choice.engine is REFERENCE:
            return self._replaced(block, choice.reason)
        try:
            return block, choice, choice.engine.alone(self.setting, block, self.setting.problem)
        except UnsupportedError as error:
            return self._replaced(block, str(error))

    def _replaced(self, block: Block, reason: str) -> tuple[Block, Choice, BlockOperator]:
        """By double backward; where the network has no second derivative, by an operator that says so."""
        choice = fall_back(self.setting, block, reason)
        if self.setting.cut.intersection(block.names):
            return block, choice, Undefined(self.setting, block, without_second_derivative(block.layer))
        try:
            with naming_derivatives(self.setting.problem, block.layer):
                return block, choice, REFERENCE.alone(self.setting, block, self.setting.problem)
        except UndefinedMeasureError as error:
            return block, choice, Undefined(self.setting, block, error)

    def _from_factors(
        self, engines: Mapping[Block, Engine], left: dict[Block, str]
    ) -> Iterator[tuple[Block, BlockOperator]]:
        """The operators; blocks that no complete factor was found for are put into `left`, with the reason."""
        layers = {block.names[0]: block for block in engines if block.layer is not None}
        whole = next((block for block in engines if block.layer is None), None)
        summed = set() if whole is None else set(whole.names) - self.setting.unreached
        recipes = {name: _recipe(engines[block]) for name, block in layers.items()}
        forms = forms_of(self.setting, engines)
        if not forms:
            return
        total: Tensor | None = None
        missing = dict.fromkeys(forms)
        try:
            for name, store in self._finished(self._last_layer_first(list(missing)), forms):
                missing.pop(name)
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
            reason = "no complete factor of it was found"
        except UnsupportedError as error:
            reason = str(error)
        left.update({layers[name]: reason for name in missing if name in layers})
        if whole is None or total is None:
            return
        if summed.intersection(missing):
            left[whole] = f"{reason}: {', '.join(sorted(summed.intersection(missing)))}"
            return
        make = _recipe(engines[whole]).total
        assert make is not None
        yield whole, make(self.setting, whole, total)

    def _last_layer_first(self, names: Sequence[str]) -> list[str]:
        position = {name: index for index, name in enumerate(self.setting.problem.parameters)}
        after = self.setting.profile.after
        return sorted(names, key=lambda name: (after[name], -position[name]))

    def _finished(self, names: list[str], forms: Mapping[str, Form]) -> Iterator[tuple[str, Store]]:
        """Factors of all samples, one parameter after another.

        Where the cotangents of all samples fit, one sweep serves all, and only one layer's factor is held at a time.
        Otherwise samples are taken in chunks, and as many parameters at a time as have room for their factors.
        """
        setting, rank, num_rows = self.setting, self.setting.rank, self.setting.num_rows
        problem, factors, sizes = setting.problem, self._factor_pass(), setting.profile.sizes

        def held(name: str) -> int:
            return held_bytes(setting, name, forms[name])

        per_sample = factors.bytes_a_sample(setting, names)
        streaming = problem.num_samples * per_sample + max(map(held, names)) <= setting.memory
        size = setting.cached_chunk(names, cotangents=rank)
        if not streaming:
            size = max(1, min(size, (setting.memory - setting.factor_memory) // max(1, per_sample)))
        workspace = None
        if streaming:
            # One block of memory for every layer's factor in turn: fresh pages would cost as much as filling them.
            entries = max([sizes[name] for name in names if forms[name] is Form.ROWS], default=0)
            workspace = torch.empty(num_rows * entries, dtype=problem.dtype, device=problem.device)
        pieces = list(problem.chunks(size))
        for group in [names] if streaming else _pack(names, held, setting.factor_memory):
            sweeps = (factors.sweep(piece, group) for piece in pieces)
            # All chunks of samples at one layer, then the next; or all layers of one chunk, then the next.
            steps = zip(*sweeps, strict=True) if streaming else ((step,) for sweep in sweeps for step in sweep)
            stores: dict[str, Store] = {}
            refused: set[str] = set()  # parameters of which a chunk has only rows; the others are not affected
            for step in steps:
                if streaming and len({name for name, _ in step}) > 1:
                    raise UnsupportedError("chunks of samples give their factors in different orders")
                for name, rows in step:
                    if name in refused:
                        continue
                    if name not in stores:
                        stores[name] = store_for(forms[name], name, rows, problem, rank, workspace)
                    try:
                        complete = stores[name].add(rows)
                    except UnsupportedError:
                        refused.add(name)
                        del stores[name]
                        continue
                    if complete:
                        yield name, stores.pop(name)
            if stores:
                raise UnsupportedError(f"factors without rows of all samples: {', '.join(stores)}")

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
