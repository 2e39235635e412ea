"""The verdict of a sweep in ten lines: which measures predict the gap, how surely, and what is not resolved."""

from collections import Counter
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.report.cluster_table import TOGETHER
from analysis.report.conclusion import Judged, conclusion, judge, standing
from analysis.report.evidence import Evidence
from analysis.report.statements import LEAST_FOR_INTERVALS, LEVEL, Beyond, Claim, Pooling
from analysis.report.tables import RENYI
from analysis.report.wording import ANY_LAYER, column_name, layer_name, measure_name, p_text, signed, with_interval
from analysis.schema import LAYER, MEASURE, NO_LAYER, PARAMETER, TRAIN_LOSS

FITTED = 0.99  # training accuracy; below, a network has not been trained to fit
NOTABLE_NOISE = 0.3  # standard error over spread; above, τ shrinks by 5 % or more
SMALL_LOSS = 0.01  # of τ; smaller effects of noise are not reported
NAMED = 3  # columns named in a line; the tables have all


@dataclass(frozen=True)
class VerdictLine:
    """One line of the verdict."""

    topic: str
    text: str


def verdict(evidence: Evidence) -> list[VerdictLine]:
    """At most ten lines, each based on one of the tables; the last ones say what the data do not resolve.

    The first holds the claim, by the rules of `analysis.report.statements`. With fewer than 15 configurations nothing
    is claimed, and with fewer than 10 there are no intervals either.
    """
    matrix = evidence.matrix
    data = VerdictLine("data", _data(evidence))
    if matrix.design.num_cells >= LEAST_FOR_INTERVALS and np.ptp(matrix.gap) == 0:
        return [VerdictLine("verdict", f"none: all trials have the same gap, {matrix.gap[0]:.4g}"), data]
    judged = judge(evidence)
    lines = [VerdictLine("verdict", conclusion(evidence, judged)), data]
    if judged.claim is Claim.TOO_LITTLE:
        return lines
    if judged.claim is Claim.INTERVALS:
        found = [("intervals", _intervals(judged)), ("errors", _noise(evidence))]
    else:
        found = [
            ("predict the gap", _significant(judged, 1)),
            ("oppose the gap", _significant(judged, -1)),
            ("not resolved", _unresolved(judged)),
            ("Rényi or not", _differences(evidence)),
            ("choice of order", _selection(evidence)),
            ("how far trained", _training(evidence, judged)),
            ("axis by axis", _axes(evidence)),
            ("errors", _noise(evidence)),
        ]
    return [*lines, *(VerdictLine(topic, text) for topic, text in found if text)]


def _data(evidence: Evidence) -> str:
    """The content of the sweep, and the problems in its data."""
    matrix, headline = evidence.matrix, evidence.headline
    others = ", ".join(f"{count} {state}" for state, count in evidence.states.items() if state != "measured" and count)
    counted = "trials measured" if matrix.axis_names is None else "models"
    parts = [f"{matrix.n} {counted}" + (f", {others}" if others else "")]
    cells = len(set(matrix.axes.cells))
    if cells < matrix.n:
        parts[0] += f", of {cells} configurations (seeds resampled together)"
    if evidence.failures:
        reason, count = Counter(evidence.failures.values()).most_common(1)[0]
        parts.append(f"{count} failed with: {reason}")
    parts += evidence.remarks
    if matrix.n:
        parts.append(f"{matrix.target.title} {matrix.gap.min():.3g} to {matrix.gap.max():.3g}")
    if matrix.without_gap:
        parts.append(f"{matrix.without_gap} left out: no finite {matrix.target.label}")
    repeats = matrix.n - len(np.unique(matrix.gap))
    if repeats:
        parts.append(f"{repeats} gap values repeat others (ties)")
    some, defined = headline["n"] > 0, headline["tau_b"].notna()
    for chosen, problem in (
        (~some, "no value in any trial"),
        ((headline["n"] > 1) & ~defined & (len(np.unique(matrix.gap)) > 1), "the same value in every trial"),
        (some & (headline["missing"] > 0), "values missing in some trials"),
    ):
        if chosen.any():
            parts.append(f"{problem}: {_listed(headline[chosen])}")
    return "; ".join(parts)


def _intervals(judged: Judged) -> str:
    strongest = judged.rows[judged.rows["ci_low"].notna()].head(NAMED)
    return (
        f"of the strongest τ{judged.within}, by chance too strong: {'; '.join(_named(strongest))}"
        if len(strongest)
        else ""
    )


def _significant(judged: Judged, sign: int) -> str:
    rows = judged.rows
    significant = judged.significant[np.sign(judged.significant["tau"]) == sign]
    if significant.empty:
        return f"no column{judged.within} (adjusted p < {LEVEL:g} over {len(rows)} columns)"
    more = len(significant) - NAMED
    text = f"{len(significant)} of {len(rows)} columns{judged.within}: {'; '.join(_named(significant.head(NAMED)))}"
    text += f"; and {more} more" if more > 0 else ""
    return text + ("; columns are correlated, so their number is no evidence" if len(significant) > 1 else "")


def _unresolved(judged: Judged) -> str:
    rows = judged.rows
    open_ = rows[(rows["p_adjusted"] >= LEVEL) & rows["tau"].notna()]
    if open_.empty:
        return "nothing: every column's τ is significant"
    text = f"{len(open_)} of {len(rows)} columns{judged.within} ({_listed(open_)})"
    width = (open_["ci_high"] - open_["ci_low"]).median() / 2
    text += f"; their intervals reach ±{width:.2f}" if np.isfinite(width) else ""
    return f"{text}; significant from |τ| = {judged.significant_from:.2f}, by {judged.null}"


def _differences(evidence: Evidence) -> str:
    table = evidence.differences.dropna(subset=["p_holm"])
    if table.empty:
        return ""
    significant = table[table["p_holm"] < LEVEL]
    above, below = (significant["difference"] > 0).sum(), (significant["difference"] < 0).sum()
    scope = ", over all trials," if len(evidence.groups) else ""
    text = f"of {len(table)} paired comparisons on the same layer{scope} Rényi sharpness has the higher τ in {above}"
    supporting, opposing = (
        ((significant["difference"] > 0) & (np.sign(significant["other_tau"]) == sign)).sum() for sign in (1, -1)
    )
    if above:
        text += f" ({supporting} against rivals that support the gap, {opposing} against rivals that oppose it)"
    text += f" and the lower in {below} (Holm's p < {LEVEL:g}); {len(table) - len(significant)} not resolved"
    beaten = significant[significant["difference"] < 0]
    if len(beaten):
        text += f"; with a higher τ than it: {', '.join(dict.fromkeys(measure_name(name) for name in beaten['other']))}"
    return text


def _selection(evidence: Evidence) -> str:
    table = evidence.selection
    chosen = table[table[MEASURE].isin(RENYI)]
    if chosen.empty:
        return ""
    row = chosen[chosen[LAYER] == ANY_LAYER].iloc[0] if (chosen[LAYER] == ANY_LAYER).any() else chosen.iloc[0]
    if not np.isfinite(row["paper_tau"]):
        return ""
    where = column_name(row[MEASURE], row["paper_parameter"], row["paper_layer"])
    return (
        f"the paper's protocol, the best of {row['choices']} orders and layers, gives {where}, "
        f"τ = {signed(row['paper_tau'])}, where chance gives {signed(row['chance_tau'])} ({p_text(row['p_value'])}); "
        f"chosen on other configurations it is {with_interval(row['nested_tau'], row['ci_low'], row['ci_high'])}"
        f"{_clusters(evidence)}"
    )


def _clusters(evidence: Evidence) -> str:
    """How often the spectra predict the side of 1 on which the best order lies, beside chance."""
    rows = evidence.clusters[evidence.clusters[LAYER] == TOGETHER]
    if rows.empty:
        return ""
    row = rows.iloc[0]
    if row["matches"] + row["mismatches"] == 0:
        return ""
    return (
        f"; the kind of the spectrum predicts the side of α = 1 in {row['matches']:.0f} cases and not in "
        f"{row['mismatches']:.0f}, where chance gives {row['chance_matches']:.0f} matches ({p_text(row['p_value'])})"
    )


def _training(evidence: Evidence, judged: Judged) -> str:
    matrix, tau = evidence.matrix, evidence.gap_with_training
    if matrix.trials[TRAIN_LOSS].isna().all():
        return ""
    if not np.isfinite(tau.tau_b):
        return "the training loss is the same in all trials"
    text = f"τ(training loss, gap) = {with_interval(tau.tau_b, tau.ci_low, tau.ci_high)}"
    unfitted = int((matrix.trials["train_accuracy"] < FITTED).sum()) if "train_accuracy" in matrix.trials else 0
    if unfitted:
        text += f"; {unfitted} of {matrix.n} networks fit less than {FITTED:.0%} of the training set"
        text += ", unlike the paper's" if unfitted > matrix.n / 2 else ""
    significant = judged.significant
    if len(significant):
        counts = Counter(kind for kind, _ in standing(evidence, judged, significant))
        words = [f"{counts[kind]} {kind.value}" for kind in Beyond if counts[kind]]
        text += f"; of {len(significant)} significant columns{judged.within}, {', '.join(words)}"
    return text


def _axes(evidence: Evidence) -> str:
    return "; ".join(part for part in (_readings(evidence), _granulated(evidence)) if part)


def _readings(evidence: Evidence) -> str:
    """For each categorical axis how the pooled τ of its columns are to be read."""
    parts = []
    for axis, rows in evidence.groups.groupby("axis", sort=False):
        counts = rows["reading"].value_counts()
        words = [f"{reading.value} in {counts[reading.value]}" for reading in Pooling if reading.value in counts]
        parts.append(f"by {axis}, of {len(rows)} columns, each tested alone: {', '.join(words)}")
    return "; ".join(parts)


def _granulated(evidence: Evidence) -> str:
    table = evidence.axes.dropna(subset=["granulated"]) if "granulated" in evidence.axes else pd.DataFrame()
    if table.empty:
        return "no hyperparameter varies while the others are held"
    best = table.iloc[int(table["granulated"].abs().argmax())]
    along = [str(name) for name in table.columns if str(name).startswith("along ")]
    parts = [f"{name.removeprefix('along ')} {signed(best[name])}" for name in along]
    most = table.iloc[int(table["information"].argmax())] if table["information"].notna().any() else None
    text = f"largest Ψ (mean τ along one hyperparameter at a time) is {signed(best['granulated'])}, of {_name(best)}: "
    text += ", ".join(parts)
    if most is None:
        return text
    return f"{text}; largest K (information beyond the hyperparameters) is {most['information']:.2f}, of {_name(most)}"


def _noise(evidence: Evidence) -> str:
    headline = evidence.headline
    known = headline["noise"].notna()
    noisy = headline[headline["noise"] > NOTABLE_NOISE]
    if not known.any():
        return "no measure has a standard error"
    if noisy.empty:
        worst = headline.iloc[int(headline["noise"].argmax())]
        if 1 - worst["attenuation"] < SMALL_LOSS:
            return f"standard errors shrink every τ by less than {SMALL_LOSS:.0%}"
        return f"standard errors shrink τ by at most {1 - worst['attenuation']:.0%} ({_name(worst)})"
    return (
        f"standard errors above {NOTABLE_NOISE:g} of the spread shrink τ of {_listed(noisy)} by up to "
        f"{1 - noisy['attenuation'].min():.0%}"
    )


def _listed(rows: pd.DataFrame) -> str:
    """Columns by measure, as in `Hessian trace of conv1, fc; parameter norm of all layers`; long lists as counts."""
    parts = []
    for measure, group in rows.groupby(MEASURE, sort=False):
        layers = list(dict.fromkeys(layer_name(layer) for layer in group[LAYER]))
        where = ", ".join(layers) if len(layers) <= NAMED else f"{len(layers)} layers"
        parts.append(measure_name(str(measure)) + (f" of {where}" if layers != [layer_name(NO_LAYER)] else ""))
    return "; ".join(parts)


def _named(rows: pd.DataFrame) -> list[str]:
    columns = zip(rows[MEASURE], rows[PARAMETER], rows[LAYER], strict=True)
    numbers = zip(rows["tau"], rows["ci_low"], rows["ci_high"], strict=True)
    return [f"{column_name(*key)} {with_interval(*tau)}" for key, tau in zip(columns, numbers, strict=True)]


def _name(row: pd.Series) -> str:
    return column_name(row[MEASURE], row[PARAMETER], row[LAYER])
