"""The verdict of a sweep in ten lines: which measures predict the gap, how surely, and what is not resolved."""

from collections import Counter
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.report.evidence import Evidence
from analysis.report.tables import RENYI
from analysis.report.wording import ANY_LAYER, column_name, layer_name, measure_name, p_text, signed, with_interval
from analysis.schema import LAYER, MEASURE, PARAMETER
from analysis.statistics.kendall import MIN_FOR_INTERVAL

LEVEL = 0.05
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
    """At most ten lines, each based on one of the tables; the last ones say what the data do not resolve."""
    matrix = evidence.matrix
    lines = [VerdictLine("data", _data(evidence))]
    if matrix.n < MIN_FOR_INTERVAL:
        reason = f"none: {matrix.n} measured trial{'s' * (matrix.n != 1)}; it takes at least {MIN_FOR_INTERVAL}"
        return [VerdictLine("verdict", reason), *lines]
    if np.ptp(matrix.gap) == 0:
        return [VerdictLine("verdict", f"none: all trials have the same gap, {matrix.gap[0]:.4g}"), *lines]
    found = [
        ("predict the gap", _significant(evidence, 1)),
        ("oppose the gap", _significant(evidence, -1)),
        ("not resolved", _unresolved(evidence)),
        ("Rényi or not", _differences(evidence)),
        ("choice of order", _selection(evidence)),
        ("how far trained", _training(evidence)),
        ("axis by axis", _axes(evidence)),
        ("errors", _noise(evidence)),
    ]
    return [
        VerdictLine("verdict", _conclusion(evidence)),
        *lines,
        *(VerdictLine(topic, text) for topic, text in found if text),
    ]


def _data(evidence: Evidence) -> str:
    """The content of the sweep, and the problems in its data."""
    matrix, headline = evidence.matrix, evidence.headline
    others = ", ".join(f"{count} {state}" for state, count in evidence.states.items() if state != "measured" and count)
    parts = [f"{matrix.n} trials measured" + (f", {others}" if others else "")]
    cells = len(set(matrix.axes.cells))
    if cells < matrix.n:
        parts[0] += f", of {cells} configurations (seeds resampled together)"
    if evidence.failures:
        reason, count = Counter(evidence.failures.values()).most_common(1)[0]
        parts.append(f"{count} failed with: {reason}")
    if matrix.n:
        parts.append(f"gap (test − training loss) {matrix.gap.min():.3g} to {matrix.gap.max():.3g}")
    if matrix.without_gap:
        parts.append(f"{matrix.without_gap} left out because their gap is not finite")
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


def _conclusion(evidence: Evidence) -> str:
    """The main sentence: the strongest claim that the data support."""
    headline = evidence.headline
    significant = headline[headline["p_adjusted"] < LEVEL]
    if significant.empty:
        return f"no measure's τ with the gap is significant over {len(headline)} columns (adjusted p ≥ {LEVEL:g})"
    best = significant.iloc[0]
    direction = "predicts" if best["tau_b"] > 0 else "opposes"
    text = f"{_name(best)} {direction} the gap most surely: τ = {_tau(best)}, adjusted {p_text(best['p_adjusted'])}"
    renyi, others = (significant[significant[MEASURE].isin(RENYI) == flag] for flag in (True, False))
    if renyi.empty:
        text += "; Rényi sharpness is not significant on any layer"
    elif (renyi["tau_b"] < 0).all():
        text += "; Rényi sharpness opposes it, contrary to the paper"
    remains = _given_training_loss(evidence, best)
    text += f"; {remains}" if remains else ""
    if best[MEASURE] in RENYI and not others.empty:
        rival = others.iloc[0]
        text += f". The strongest other measure is {_name(rival)}, τ = {signed(rival['tau_b'])}"
    return text


def _given_training_loss(evidence: Evidence, row: pd.Series) -> str:
    """What remains of one column's τ given the training loss."""
    training = evidence.training
    same = (training[MEASURE] == row[MEASURE]) & (training[LAYER] == row[LAYER])
    same &= (training[PARAMETER] == row[PARAMETER]) | (training[PARAMETER].isna() & pd.isna(row[PARAMETER]))
    entry = training[same].iloc[0]
    kind = _standing(entry)
    partial = with_interval(entry["normal_partial_tau"], entry["ci_low"], entry["ci_high"])
    return {
        "holds": f"given the training loss it remains: τ = {partial}",
        "vanishes": f"given the training loss it is not significant: τ = {partial}",
        "reverses": f"given the training loss its sign is reversed: τ = {partial}",
    }.get(kind, "")


def _standing(entry: pd.Series) -> str:
    """`holds`, `vanishes` or `reverses`: the sign of a column's partial τ against that of its τ."""
    low, high = entry["ci_low"], entry["ci_high"]
    if not np.isfinite([low, high, entry["tau_b"]]).all():
        return "unknown"
    if low <= 0 <= high:
        return "vanishes"
    return "holds" if np.sign(low) == np.sign(entry["tau_b"]) else "reverses"


def _significant(evidence: Evidence, sign: int) -> str:
    headline = evidence.headline
    significant = headline[(headline["p_adjusted"] < LEVEL) & (np.sign(headline["tau_b"]) == sign)]
    if significant.empty:
        return f"no column (adjusted p < {LEVEL:g} over {len(headline)} columns)"
    named = [f"{_name(row)} {_tau(row)}" for _, row in significant.head(NAMED).iterrows()]
    more = len(significant) - len(named)
    text = f"{len(significant)} of {len(headline)} columns: {'; '.join(named)}"
    return f"{text}; and {more} more" if more > 0 else text


def _unresolved(evidence: Evidence) -> str:
    headline = evidence.headline
    open_ = headline[(headline["p_adjusted"] >= LEVEL) & headline["tau_b"].notna()]
    if open_.empty:
        return "nothing: every column's τ is significant"
    width = (open_["ci_high"] - open_["ci_low"]).median() / 2
    return f"{len(open_)} of {len(headline)} columns ({_listed(open_)}); their intervals reach ±{width:.2f}"


def _differences(evidence: Evidence) -> str:
    table = evidence.differences.dropna(subset=["p_holm"])
    if table.empty:
        return ""
    significant = table[table["p_holm"] < LEVEL]
    above, below = (significant["difference"] > 0).sum(), (significant["difference"] < 0).sum()
    text = f"of {len(table)} paired comparisons on the same layer Rényi sharpness has the higher τ in {above} and the "
    text += f"lower in {below} (Holm's p < {LEVEL:g}); {len(table) - len(significant)} not resolved"
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
        f"the best of {row['choices']} orders and layers is {where}, τ = {signed(row['paper_tau'])} (optimistic); "
        f"chosen on other trials it is {with_interval(row['nested_tau'], row['ci_low'], row['ci_high'])}; "
        f"{p_text(row['p_value'])} against the same choice with permuted gaps"
    )


def _training(evidence: Evidence) -> str:
    matrix, tau = evidence.matrix, evidence.gap_with_training
    if not np.isfinite(tau.tau_b):
        return "the training loss is the same in all trials"
    text = f"τ(training loss, gap) = {with_interval(tau.tau_b, tau.ci_low, tau.ci_high)}"
    unfitted = int((matrix.trials["train_accuracy"] < FITTED).sum()) if "train_accuracy" in matrix.trials else 0
    if unfitted:
        text += f"; {unfitted} of {matrix.n} networks fit less than {FITTED:.0%} of the training set"
        text += ", unlike the paper's" if unfitted > matrix.n / 2 else ""
    table = evidence.training
    significant = _is_significant(evidence, table)
    standing = table[significant].apply(_standing, axis=1) if significant.any() else pd.Series(dtype=object)
    if len(standing):
        counts = standing.value_counts()
        text += f"; given it, of {len(standing)} significant columns, {counts.get('holds', 0)} remain significant, "
        text += f"{counts.get('vanishes', 0)} do not, {counts.get('reverses', 0)} change sign"
    return text


def _is_significant(evidence: Evidence, table: pd.DataFrame) -> pd.Series:
    """Which rows of a table of headline columns have an adjusted p below the level."""
    p_values = evidence.tau.set_index([MEASURE, PARAMETER, LAYER])["p_adjusted"]
    keys = pd.MultiIndex.from_frame(table[[MEASURE, PARAMETER, LAYER]])
    return pd.Series(p_values.reindex(keys).to_numpy() < LEVEL, index=table.index)


def _axes(evidence: Evidence) -> str:
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
        parts.append(f"{measure_name(str(measure))} of {where}")
    return "; ".join(parts)


def _name(row: pd.Series) -> str:
    return column_name(row[MEASURE], row[PARAMETER], row[LAYER])


def _tau(row: pd.Series) -> str:
    return with_interval(row["tau_b"], row["ci_low"], row["ci_high"])
