"""Which engine serves a block: the cheapest that fits into memory, for the products that are expected."""

import math
from dataclasses import dataclass

from analysis.sharpness.hessian.cost import EngineCost
from analysis.sharpness.hessian.engines import ENGINES, REFERENCE
from analysis.sharpness.hessian.engines.engine import Engine, FromFactors
from analysis.sharpness.hessian.engines.zero import UNREACHED, ZERO
from analysis.sharpness.hessian.setting import Block, Setting

AUTO = "auto"  # asks for the cheapest engine
CHOICES = (AUTO, *ENGINES)  # what a caller may ask for


@dataclass(frozen=True)
class Choice:
    """The engine of one block, and why."""

    engine: Engine
    reason: str
    cost: EngineCost
    asked: bool = False  # by its name


def choose(setting: Setting, block: Block, engine: str = AUTO) -> Choice:
    """The engine asked for; or the cheapest whose state fits into memory, of those that do not refuse the block."""
    if ZERO.refusal(setting, block) is None:
        return Choice(ZERO, UNREACHED, ZERO.cost(setting, block))
    if engine != AUTO:
        refusal = _refusal(setting, block, ENGINES[engine])
        if refusal is not None:
            return fall_back(setting, block, refusal)
        return Choice(ENGINES[engine], "asked for", ENGINES[engine].cost(setting, block), asked=True)
    willing = [engine for engine in ENGINES.values() if _refusal(setting, block, engine) is None]
    costs = {engine.name: engine.cost(setting, block) for engine in willing}
    fitting = [e.name for e in willing if e.always_fits or costs[e.name].memory <= setting.factor_memory]
    best = min(fitting, key=lambda name: _price(setting, costs[name]))
    return Choice(ENGINES[best], _explain(setting, best, costs, fitting), costs[best])


def _refusal(setting: Setting, block: Block, engine: Engine) -> str | None:
    """Why an engine can't serve a block: for a reason of its own, or because only the reference can."""
    if engine is not REFERENCE and not setting.problem.loss.has_root:
        return "the loss is a function, of whose curvature no square root is known"
    if engine is not REFERENCE and setting.problem.stream is not None:
        return "the samples do not fit into the memory budget, and are read again on every pass"
    return engine.refusal(setting, block)


def fall_back(setting: Setting, block: Block, reason: str) -> Choice:
    """The engine that serves any block, for one that another engine can't serve."""
    return Choice(REFERENCE, reason, REFERENCE.cost(setting, block))


def choose_factor(setting: Setting, block: Block, reason: str) -> Choice:
    """The cheapest engine for a block whose factor is right, though it can't be kept in the form that was chosen."""
    choice = choose(setting, block)
    return choice if isinstance(choice.engine.build, FromFactors) else fall_back(setting, block, reason)


def _price(setting: Setting, cost: EngineCost) -> float:
    return cost.of(setting.num_products, setting.spectrum)


def _explain(setting: Setting, best: str, costs: dict[str, EngineCost], fitting: list[str]) -> str:
    def price(name: str) -> str:
        return f"{name} {_price(setting, costs[name]):.3g}"

    rivals = ", ".join(price(name) for name in costs if name != best)
    aims = [f"{setting.num_products} products"] if math.isfinite(setting.num_products) else []
    aims += ["the exact spectrum"] if setting.spectrum else []
    text = f"{price(best)} forward passes for {' or '.join(aims)}" + (f", against {rivals}" if rivals else "")
    for name, cost in costs.items():
        if name not in fitting:
            text += f"; {name} needs {cost.memory / 2**20:.0f} MiB, more than {setting.factor_memory / 2**20:.0f}"
    return text + (f"; no tape: {setting.tape_reason}" if setting.tape is None else "")
