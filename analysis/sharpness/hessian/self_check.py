"""Whether specialised engines are right for this network: random products against plain double backward in float64.

A check that one lucky sample can pass is none. So it draws several samples from anywhere in the set. Their number is
no other dimension of the network: what mistakes time, layers or channels for samples then fails. A product that is
zero shows nothing: more samples are drawn until each block has shown something, or until every sample has been seen.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn

from analysis.sharpness.hessian.engines.double_backward import DoubleBackward
from analysis.sharpness.hessian.engines.engine import Engine, Factor, FromFactors
from analysis.sharpness.hessian.engines.factors import FactorPass
from analysis.sharpness.hessian.engines.forms import Form
from analysis.sharpness.hessian.engines.stores import DenseStore, forms_of, store_for
from analysis.sharpness.hessian.precision import Narrowest
from analysis.sharpness.hessian.setting import Block, Setting
from analysis.sharpness.hessian.tape.linear_maps import UnsupportedError
from analysis.sharpness.problem import Problem, held_still
from analysis.sharpness.tree import tensors

TOLERANCE = 1e-9  # relative, where the network computes in float64 throughout
FEWEST_SAMPLES = 5
GROWTH = 4  # of the number of samples from one draw to the next
SILENT = 50  # units of round-off: a product below this, with outputs of order one, shows nothing
GRAPHS = 16  # bytes of a float64 graph that can be differentiated twice, over those of the results
MAY_FAIL = (UnsupportedError, RuntimeError)  # what an engine raises on a network that it was not made for


@dataclass
class Record:
    """What the draws have shown of one block so far, as norms of the products of one random vector."""

    error: float = 0.0  # largest difference from double backward, in the products or in what the spectrum comes from
    scale: float = 0.0  # of double backward's product, where that error was
    failure: str | None = None

    def note(self, error: float, scale: float) -> None:
        """Take in one comparison; NaN counts as infinite."""
        error = math.inf if math.isnan(error) else error
        if self.scale == 0 or error * self.scale > self.error * scale:
            self.error, self.scale = error, scale

    def verdict(self, tolerance: float, silent: float) -> bool | None:
        """Whether the engine is right; None: the products are at most `silent`, which shows nothing."""
        if self.failure is not None:
            return False
        if self.scale > 0 and self.error <= tolerance * self.scale:
            return True
        return None if max(self.error, self.scale) <= silent else False

    @property
    def zero(self) -> bool:
        """Whether both products are exactly zero."""
        return self.failure is None and max(self.error, self.scale) == 0


@dataclass
class Draw:
    """Some samples in float64, with outputs of order one.

    The outputs are shifted to random ones: where the loss is close to zero, its curvature is round-off in every engine,
    and a good engine would fail.
    """

    problem: Problem
    tolerance: float  # relative
    silent: float
    records: dict[Block, Record] = field(default_factory=dict)


class SelfCheck:
    """Compares the engines of many blocks with double backward.

    Cost: in float64, on a few samples, a forward and a backward pass and four backward passes a layer; on more of them
    for a layer whose products vanish.
    """

    def __init__(self, setting: Setting, factors: FactorPass) -> None:
        self._setting, self._factors = setting, factors
        self._generator = torch.Generator().manual_seed(0)
        self.written_out: set[str] = set()  # parameters that no module alone uses: their factors come as rows

    def failures(self, engines: Mapping[Block, Engine]) -> dict[Block, str]:
        """The blocks whose engine differs from double backward, or can't be built, and why."""
        failures: dict[Block, str] = {}
        waiting, zero = dict(engines), dict.fromkeys(engines, True)
        for draw in self._draws():
            self._compare(draw, waiting)
            for block, record in draw.records.items():
                right = record.verdict(draw.tolerance, draw.silent)
                zero[block] &= record.zero
                if right is False:
                    failures[block] = record.failure or _differs(record)
                if right is not None:
                    waiting.pop(block)
            if not waiting:
                break
        # On every sample: exactly zero on both sides is a proof, round-off is none.
        return failures | {block: "its products are round-off for every sample" for block in waiting if not zero[block]}

    # Drawing

    def _draws(self) -> Iterator[Draw]:
        """Disjoint draws that together are all samples, each a few times larger than the last."""
        problem, profile = self._setting.problem, self._setting.profile
        order = torch.randperm(problem.num_samples, generator=self._generator).to(problem.device)
        taken = dimensions(problem)
        most = max(FEWEST_SAMPLES, self._setting.memory // max(1, GRAPHS * profile.activations))
        start, size = 0, FEWEST_SAMPLES
        while start < len(order):
            size = foreign_number(size, taken)
            chosen = torch.arange(start, start + size, device=problem.device) % len(order)  # the last draw is filled up
            yield self._draw(problem.subset(order[chosen]))
            start, size = start + size, min(GROWTH * size, most)

    def _draw(self, few: Problem) -> Draw:
        """In float64; in the network's own type where it can't compute in that."""
        try:
            return self._shifted(few.to(torch.float64))
        except RuntimeError:
            return self._shifted(few)

    def _shifted(self, few: Problem) -> Draw:
        narrowest = Narrowest(few.dtype)
        with held_still(few.model), torch.no_grad(), narrowest:
            outputs = few.outputs()
        eps = torch.finfo(narrowest.dtype).eps
        tolerance = TOLERANCE if narrowest.dtype == torch.float64 else eps**0.5
        return Draw(replace(few, offset=self._random(outputs) - outputs), tolerance, SILENT * eps)

    def _random(self, like: Tensor) -> Tensor:
        draw = torch.randn(like.shape, generator=self._generator, dtype=torch.float64)
        return draw.to(like)

    # Comparing

    def _compare(self, draw: Draw, engines: Mapping[Block, Engine]) -> None:
        on_factors = {block: engine for block, engine in engines.items() if isinstance(engine.build, FromFactors)}
        if on_factors:
            self._compare_factors(draw, on_factors)
        for block, engine in engines.items():
            build = engine.build.products if isinstance(engine.build, FromFactors) else engine.build
            record = draw.records.setdefault(block, Record())
            if build is None or (block in on_factors and block.layer is not None):
                continue
            try:
                operator = build(self._setting, block, draw.problem)
                v = self._random(torch.empty(1, operator.dim, dtype=draw.problem.dtype, device=draw.problem.device))
                reference = self._reference(draw, block.names).matmat(v)
                record.note(*_difference(operator.matmat(v), reference))
            except MAY_FAIL as problem:
                record.failure = f"the self-check failed: {problem}"

    def _compare_factors(self, draw: Draw, blocks: Mapping[Block, Engine]) -> None:
        """Of every parameter, from one pass for all: G must give double backward's product, and GGᵀ must be of this G.

        A block of several parameters is a sum, which may err by what is small in the sum.
        """
        owners: dict[str, list[Block]] = {}
        for block in blocks:
            for name in set(block.names) - self._setting.unreached:
                owners.setdefault(name, []).append(block)
        records = {block: draw.records.setdefault(block, Record()) for block in blocks}
        norms: dict[str, list[tuple[float, float]]] = {}
        forms = forms_of(self._setting, blocks)
        try:
            reference = self._reference(draw, list(owners))
            for name, rows in self._factors.sweep(draw.problem, list(owners)):
                shape = draw.problem.parameters[name].shape
                if rows.unmultiplied is None:
                    self.written_out.add(name)
                implicit = forms[name] is Form.IMPLICIT and rows.unmultiplied is not None
                form = Form.IMPLICIT if implicit else Form.ROWS  # a sum GᵀG says nothing of G
                store = store_for(form, name, rows, draw.problem, self._setting.rank)
                assert not isinstance(store, DenseStore)
                if not store.add(rows):
                    raise UnsupportedError(f"the factor of {name} has no row for some samples")
                norms[name] = self._factor_differences(store.factor(), reference, name, shape)
        except MAY_FAIL as problem:
            for block in {block for name in owners if name not in norms for block in owners[name]}:
                records[block].failure = f"the self-check failed: {problem}"
            return
        for block, record in records.items():
            names = [name for name in block.names if name in owners]
            missing = [name for name in names if name not in norms]
            if missing:
                record.failure = f"no factor of {', '.join(missing)}"
                continue
            for pairs in zip(*(norms[name] for name in names), strict=True):
                record.note(math.hypot(*(error for error, _ in pairs)), math.hypot(*(scale for _, scale in pairs)))

    def _factor_differences(
        self, factor: Factor, reference: DoubleBackward, name: str, shape: torch.Size
    ) -> list[tuple[float, float]]:
        v = self._random(torch.empty(shape, dtype=factor.dtype, device=factor.device))
        expected = reference.block_product(name, v).reshape(1, -1)
        pushed = factor.pushed(v.reshape(1, -1))
        return [
            _difference(factor.matmat(v.reshape(1, -1)), expected),
            _difference(pushed @ factor.gram(), factor.pushed(expected)),  # G (Gᵀ G v) = (G Gᵀ) G v
        ]

    def _reference(self, draw: Draw, names: Sequence[str]) -> DoubleBackward:
        return DoubleBackward(draw.problem, names, self._setting.curvature, lean=False)


def dimensions(problem: Problem) -> set[int]:
    """Every size of a parameter, an input and a result of a module, for one sample."""
    sizes = {size for tensor in problem.parameters.values() for size in tensor.shape}
    sizes.update(size for tensor in tensors(problem.inputs) for size in tensor.shape[1:])

    def note(module: nn.Module, args: object, result: object) -> None:
        sizes.update(size for tensor in _tensors((args, result)) for size in tensor.shape)

    handles = [module.register_forward_hook(note) for module in problem.model.modules()]
    try:
        with held_still(problem.model), torch.no_grad():
            problem.subset(slice(0, 1)).outputs()
    finally:
        for handle in handles:
            handle.remove()
    return sizes


def foreign_number(least: int, taken: Iterable[int]) -> int:
    """The first prime from `least` on that is not among the numbers taken."""
    others = set(taken)
    number = max(2, least)
    while number in others or any(number % divisor == 0 for divisor in range(2, math.isqrt(number) + 1)):
        number += 1
    return number


def _tensors(values: object) -> Iterator[Tensor]:
    if isinstance(values, Tensor):
        yield values
    elif isinstance(values, list | tuple):
        for value in values:
            yield from _tensors(value)
    elif isinstance(values, dict):
        yield from _tensors(list(values.values()))


def _difference(value: Tensor, reference: Tensor) -> tuple[float, float]:
    """The norms of the difference and of the reference."""
    return float(torch.linalg.vector_norm(value - reference)), float(torch.linalg.vector_norm(reference))


def _differs(record: Record) -> str:
    relative = record.error / record.scale if record.scale > 0 else math.inf
    return f"its product differs from double backward's by {relative:.1e} (relative, float64)"
