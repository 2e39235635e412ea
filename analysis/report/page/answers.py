"""The answers that a report begins with: a sentence for each question, with its sign, by the rules of `statements`."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import pandas as pd

from analysis.report.conclusion import Judged, judge, standing
from analysis.report.evidence import Evidence
from analysis.report.statements import LEAST_FOR_CLAIMS, LEVEL, LEVEL_OF_RIVALS, NEGLIGIBLE, Beyond, Claim, Pooling
from analysis.report.tables import RENYI
from analysis.report.wording import ANY_LAYER, column_name, measure_name, p_text, with_interval
from analysis.schema import LAYER, MEASURE, PARAMETER
from analysis.statistics.ranking import lead


class Sign(StrEnum):
    """How a question is answered."""

    YES = "yes"
    NO = "no"
    OPEN = "not resolved"


@dataclass(frozen=True)
class Answer:
    """One question about a sweep, and what its data say."""

    question: str
    sign: Sign
    sentence: str
    figure: str  # the part of the page that shows it
    table: str  # the part of the page with its numbers


def answers(evidence: Evidence) -> list[Answer]:
    """The five questions of a report and their answers; of very many models, whose verdict claims nothing, none."""
    if evidence.interval != "bootstrap":
        return []
    judged = judge(evidence)
    asked: tuple[Callable[[Evidence, Judged], Answer], ...] = (_associated, _beyond, _within, _best, _order)
    return [ask(evidence, judged) for ask in asked]


def _associated(evidence: Evidence, judged: Judged) -> Answer:
    question = f"Is a measure associated with the {evidence.matrix.target.label}{judged.within}?"
    rows = judged.taking_part
    if judged.claim in (Claim.TOO_LITTLE, Claim.INTERVALS):
        sign, text = Sign.OPEN, _too_few(judged)
    elif len(judged.significant):
        best = judged.significant.iloc[0]
        count = f"significant columns: {len(judged.significant)} of {len(rows)}"
        sign, text = Sign.YES, f"{count}; the strongest is {_name(evidence, best)}, τ = {_tau(best)}"
    elif _negligible(rows["ci_low"], rows["ci_high"]):
        sign, text = Sign.NO, f"every interval lies within ±{NEGLIGIBLE:g}"
    else:
        sign, text = Sign.OPEN, f"none of {len(rows)} columns reaches |τ| = {judged.significant_from:.2f}"
    return Answer(question, sign, text, "heat_map", "groups" if judged.axis else "headline")


def _beyond(evidence: Evidence, judged: Judged) -> Answer:
    question = "Is it associated beyond the training loss?"
    found = standing(evidence, judged, judged.significant) if judged.claim in (Claim.BEST, Claim.TIED) else []
    kinds = [kind for kind, _ in found]
    beyond = [entry for kind, entry in found if kind is Beyond.BEYOND]
    if beyond:
        best = beyond[0]
        interval = with_interval(best["given_tau"], best["given_low"], best["given_high"])
        text = f"{len(beyond)} of {len(found)} significant columns are; first {_name(evidence, best)}, τ = {interval} "
        return Answer(question, Sign.YES, f"{text}given the {best['given']}", "tau_strongest", "training")
    if kinds and all(kind is Beyond.NONE for kind in kinds):
        text = f"given the training loss, each of {len(found)} significant columns keeps at most ±{NEGLIGIBLE:g}"
        return Answer(question, Sign.NO, text, "tau_strongest", "training")
    if not found:
        text = "no column is significant" if evidence.training.size else "the training loss is not known"
        text = _too_few(judged) if judged.claim in (Claim.TOO_LITTLE, Claim.INTERVALS) else text
        return Answer(question, Sign.OPEN, text, "tau_strongest", "training")
    words = [f"{kinds.count(kind)} {kind.value}" for kind in Beyond if kind in kinds]
    return Answer(question, Sign.OPEN, f"of the significant columns, {', '.join(words)}", "tau_strongest", "training")


def _within(evidence: Evidence, judged: Judged) -> Answer:
    table = evidence.groups
    axes = list(dict.fromkeys(table["axis"])) if len(table) else []
    axis = judged.axis or ("optimizer" if "optimizer" in axes else axes[0] if axes else "optimizer")
    question = f"Does it hold within each {axis}?"
    rows = table[table["axis"] == axis] if axes else table
    if rows.empty or judged.claim in (Claim.TOO_LITTLE, Claim.INTERVALS):
        text = f"fewer than two groups of the {axis} have enough configurations" if rows.empty else _too_few(judged)
        return Answer(question, Sign.OPEN, text, "groups", "groups")
    enough = rows[rows["num_configurations"] >= LEAST_FOR_CLAIMS]
    ordered = enough.iloc[np.argsort(-enough["within_tau"].abs().fillna(-1.0).to_numpy(), kind="stable")]
    holding = ordered[(ordered["p_adjusted"] < LEVEL) & (ordered["reading"] != Pooling.SIGN_DEPENDS.value)]
    opposed = ordered[ordered["p_opposed_holm"] < LEVEL]
    if len(holding):
        best = holding.iloc[0]
        text = f"significant columns: {len(holding)} of {len(enough)}; the first is {_name(evidence, best)}, "
        return Answer(
            question,
            Sign.YES,
            f"{text}τ = {with_interval(best['within_tau'], best['ci_low'], best['ci_high'])}",
            "explorer",
            "groups",
        )
    if len(opposed):
        text = f"the sign depends on the {axis}: {_name(evidence, opposed.iloc[0])}"
        return Answer(question, Sign.NO, text, "explorer", "groups")
    if len(enough) and _negligible(enough["ci_low"], enough["ci_high"]):
        return Answer(question, Sign.NO, f"every interval lies within ±{NEGLIGIBLE:g}", "explorer", "groups")
    return Answer(question, Sign.OPEN, f"no column is significant within each {axis}", "explorer", "groups")


def _best(evidence: Evidence, judged: Judged) -> Answer:
    question = "Is one measure better than the best rival?"
    best, kind = judged.strongest, judged.claim
    if kind is Claim.BEST and best is not None:
        text = (
            f"{_name(evidence, best)}, τ = {_tau(best)}: each of {len(judged.taking_part) - 1} other columns is weaker"
        )
        return Answer(question, Sign.YES, f"{text} (paired p ≤ {LEVEL_OF_RIVALS:g})", "tau_strongest", "headline")
    if kind is Claim.TIED:
        tied = judged.tied
        named = list(dict.fromkeys(measure_name(name) for name in tied[MEASURE]))
        more = f" and {len(named) - 4} more" if len(named) > 4 else ""
        text = f"{len(tied)} columns are tied: {', '.join(named[:4])}{more}"
        return Answer(question, Sign.OPEN, text, "tau_strongest", "headline")
    text = _too_few(judged) if kind is not Claim.NOTHING else "no column is significant"
    return Answer(question, Sign.OPEN, text, "tau_strongest", "headline")


def _order(evidence: Evidence, judged: Judged) -> Answer:
    """The side of 1 on which the best order lies, if its τ beats chance and all orders as strong lie on that side."""
    question = "Which order of the Rényi entropy is best?"
    table = evidence.selection
    chosen = table[table[MEASURE].isin(RENYI)] if len(table) else table
    if chosen.empty or judged.claim in (Claim.TOO_LITTLE, Claim.INTERVALS):
        text = "it was measured at one order at most" if chosen.empty else _too_few(judged)
        return Answer(question, Sign.OPEN, text, "tau_over_orders", "selection")
    row = chosen[chosen[LAYER] == ANY_LAYER].iloc[0] if (chosen[LAYER] == ANY_LAYER).any() else chosen.iloc[0]
    layer = str(row["paper_layer"])
    orders = as_strong_orders(evidence, str(row[MEASURE]), layer)
    where = f"α = {row['paper_parameter']:g} of {evidence.matrix.layer_title(layer)}"
    text = f"{where} has the highest τ, {p_text(row['p_value'])} beside chance"
    if not orders or not row["p_value"] < LEVEL:
        return Answer(question, Sign.OPEN, f"{text}; nothing is chosen by it", "tau_over_orders", "selection")
    if judged.axis:
        text += f"; this is over all trials, whose τ may contain a contrast between groups of the {judged.axis}"
        return Answer(question, Sign.OPEN, text, "tau_over_orders", "selection")
    side = "below" if max(orders) < 1 else "above" if min(orders) > 1 else ""
    others = f"orders from {min(orders):g} to {max(orders):g} are not surely weaker"
    text += f"; {others if len(orders) > 1 else 'every other order is surely weaker'}"
    sign = Sign.YES if side else Sign.OPEN
    return Answer(
        question, sign, f"{text}{f', all {side} 1' if side and len(orders) > 1 else ''}", "tau_over_orders", "selection"
    )


def as_strong_orders(evidence: Evidence, measure: str, layer: str) -> list[float]:
    """The orders of a layer whose τ is not surely below the highest one, by a paired jackknife over configurations."""
    columns = evidence.matrix.families.get((measure, layer))
    if columns is None:
        return []
    taus, orders = evidence.association.taus, evidence.matrix.keys[PARAMETER].to_numpy(dtype=float)[columns]
    tau = taus.tau_b[columns]
    if not np.isfinite(tau).any():
        return []
    highest = np.arange(len(columns)) == int(np.nanargmax(tau))
    p_values = lead(tau, taus.left_out[:, columns], highest).p_values
    return sorted(float(order) for order in orders[highest | (p_values > LEVEL_OF_RIVALS)])


def _too_few(judged: Judged) -> str:
    return f"{judged.configurations} configurations have a value; a claim takes at least {LEAST_FOR_CLAIMS}"


def _negligible(low: pd.Series, high: pd.Series) -> bool:
    return bool(len(low) and (low >= -NEGLIGIBLE).all() and (high <= NEGLIGIBLE).all())


def _name(evidence: Evidence, row: pd.Series) -> str:
    words = evidence.matrix.words
    name = column_name(row[MEASURE], row[PARAMETER], row[LAYER])
    return f"{name} ({words[row[LAYER]]})" if row[LAYER] in words else name


def _tau(row: pd.Series) -> str:
    return with_interval(row["tau"], row["ci_low"], row["ci_high"])
