"""Which engine serves a block: the cheapest that fits into memory, for the products that are expected."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from analysis.errors import AnalysisError
from analysis.sharpness.hessian.cost import EngineCost, Profile
from analysis.sharpness.hessian.memory import taken_memory
from analysis.sharpness.hessian.tape.linear_maps import UnsupportedError
from analysis.sharpness.hessian.tape.tape import Tape, trace
from analysis.sharpness.problem import Problem, held_still

ENGINES = ("auto", "head", "gauss_newton_factor", "gauss_newton_gram", "r_operator", "double_backward")
CURVATURES = ("hessian", "gauss_newton")
DEFAULT_MEMORY_BUDGET = 4 * 2**30
SHARE = 0.7  # of what the budget leaves; the caller's vectors and the allocator take the rest


@dataclass(frozen=True)
class Choice:
    """The engine of one block, and why."""

    engine: str
    reason: str
    cost: EngineCost


@dataclass(frozen=True)
class Setting:
    """Everything that the choice depends on."""

    problem: Problem
    curvature: str
    profile: Profile
    tape: Tape | None
    tape_reason: str  # why there is no tape
    memory: int  # bytes for what an engine holds
    num_products: float
    spectrum: bool  # whether the exact spectrum would do in place of the products

    @classmethod
    def of(
        cls, problem: Problem, curvature: str, memory_budget: int, num_products: float, spectrum: bool = False
    ) -> "Setting":
        """Trace and profile the network."""
        if curvature not in CURVATURES:
            raise AnalysisError(f"curvature must be one of {', '.join(CURVATURES)}; got {curvature!r}")
        taken = taken_memory(problem.device)
        if memory_budget <= taken:
            raise AnalysisError(
                f"memory_budget must be more than the {taken / 2**20:.0f} MiB that the process already takes; got "
                f"{memory_budget / 2**20:.0f} MiB"
            )
        tape, reason = None, ""
        try:
            with held_still(problem.model):
                tape = trace(problem.model)
        except UnsupportedError as error:
            reason = str(error)
        memory = int(SHARE * (memory_budget - taken))
        return cls(problem, curvature, Profile.of(problem), tape, reason, memory, num_products, spectrum)

    @property
    def factor_memory(self) -> int:
        """Bytes for factors; the pass that makes them needs the rest."""
        return self.memory // 2

    @property
    def rank(self) -> int:
        """R, the rank of the loss curvature."""
        return self.problem.loss.rank(self.profile.num_outputs)

    def candidates(self, names: list[str], layer: str | None) -> Iterator[tuple[str, EngineCost]]:
        """Engines that may be right for a block (the self-check has the last word), with their costs."""
        profile, rank = self.profile, self.rank
        # One layer's Hessian is its Gauss–Newton block where everything else is piecewise linear.
        if self.curvature == "gauss_newton" or (layer is not None and self.tape is not None):
            if layer is not None:
                yield "gauss_newton_factor", profile.factor(layer, rank)
                small = profile.sizes[layer] <= self.problem.num_samples * rank
                yield "gauss_newton_gram", profile.dense(layer, rank) if small else profile.gram([layer], rank)
            else:
                yield "gauss_newton_gram", profile.gram(names, rank)
        if layer is not None and self._may_be_head(layer):
            yield "head", profile.head(layer)
        if self.tape is not None and all(self.tape.step_of(name) is not None for name in names):
            yield "r_operator", profile.r_operator(names, self.curvature == "hessian")
        yield "double_backward", profile.double_backward(names)

    def _may_be_head(self, layer: str) -> bool:
        return self.profile.after[layer] == 0 and self.problem.parameters[layer].ndim == 2

    def choose(self, names: list[str], layer: str | None, engine: str) -> Choice:
        """The engine asked for, or the cheapest whose state fits into memory.

        R-operator and double backward always fit: they can work chunk by chunk.
        """
        costs = dict(self.candidates(names, layer))
        if engine != "auto":
            if engine in costs:
                return Choice(engine, "asked for", costs[engine])
            return Choice("double_backward", self._refusal(engine, layer), costs["double_backward"])
        fitting = {
            name: cost
            for name, cost in costs.items()
            if name in ("r_operator", "double_backward", "head") or cost.memory <= self.factor_memory
        }
        best = min(fitting, key=lambda name: self._price(fitting[name]))
        return Choice(best, self._explain(best, costs, fitting), costs[best])

    def _price(self, cost: EngineCost) -> float:
        return cost.of(self.num_products, self.spectrum)

    def _explain(self, best: str, costs: dict[str, EngineCost], fitting: dict[str, EngineCost]) -> str:
        def price(name: str) -> str:
            return f"{name} {self._price(costs[name]):.3g}"

        rivals = ", ".join(price(name) for name in costs if name != best)
        aims = [f"{self.num_products} products"] if math.isfinite(self.num_products) else []
        aims += ["the exact spectrum"] if self.spectrum else []
        text = f"{price(best)} forward passes for {' or '.join(aims)}" + (f", against {rivals}" if rivals else "")
        for name in set(costs) - set(fitting):
            text += f"; {name} needs {costs[name].memory / 2**20:.0f} MiB, more than {self.factor_memory / 2**20:.0f}"
        return text + (f"; no tape: {self.tape_reason}" if self.tape is None else "")

    def _refusal(self, engine: str, layer: str | None) -> str:
        if engine == "head":
            return f"{layer or 'the set of all layers'} is not the last linear layer"
        if engine == "r_operator":
            return (
                f"the network has no tape: {self.tape_reason}"
                if self.tape is None
                else "a parameter is not on the tape"
            )
        if layer is None:
            return f"{engine} holds no Hessian of all layers; ask for curvature='gauss_newton' or one layer"
        return f"the network may bend between layer and loss: {self.tape_reason}; ask for curvature='gauss_newton'"
