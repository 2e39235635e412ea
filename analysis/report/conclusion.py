"""The main sentence of a verdict: what the rules of `statements` allow to be said of the strongest measure."""

from collections import Counter
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.report.evidence import Evidence
from analysis.report.group_table import OF_GROUP
from analysis.report.statements import (
    LEAST_FOR_CLAIMS,
    LEAST_FOR_INTERVALS,
    LEVEL,
    LEVEL_OF_RIVALS,
    Beyond,
    Claim,
    Pooling,
    beyond,
    claim,
    configurations_needed,
)
from analysis.report.tables import GIVEN_LOSS, RENYI
from analysis.report.wording import column_name, columns_listed, p_text, signed, with_interval
from analysis.schema import LAYER, MEASURE, PARAMETER
from analysis.statistics import Null

KEY = [MEASURE, PARAMETER, LAYER]
_DIVIDED = {Pooling.SIGN_DEPENDS.value, Pooling.CONTRAST_SIGN.value, Pooling.WITHIN.value}


@dataclass(frozen=True)
class Judged:
    """The headline columns as they are judged: over all trials, or within the groups of one axis."""

    axis: str  # whose groups are compared within; empty: over all trials
    rows: pd.DataFrame  # measure, parameter, layer, tau, ci_low, ci_high, p_adjusted, p_as_strong, …; strongest first
    significant_from: float  # the least |τ| that would be significant
    null: Null

    @property
    def significant(self) -> pd.DataFrame:
        """The columns that take part whose τ is significant, strongest first."""
        rows = self.taking_part
        return rows[rows["p_adjusted"] < LEVEL]

    @property
    def within(self) -> str:
        """` within each optimizer`; empty over all trials."""
        return f" within each {self.axis}" if self.axis else ""

    @property
    def taking_part(self) -> pd.DataFrame:
        """The columns with values in enough configurations to be the best."""
        return self.rows[(self.rows["num_configurations"] >= LEAST_FOR_CLAIMS) & self.rows["tau"].notna()]

    @property
    def strongest(self) -> pd.Series | None:
        """The strongest significant column, or the strongest at all; None if none takes part."""
        enough, significant = self.taking_part, self.significant
        chosen = enough if significant.empty else significant
        return None if chosen.empty else chosen.iloc[0]

    @property
    def claim(self) -> Claim:
        """What may be said of the strongest column; where no column has values enough, there is too little."""
        best = self.strongest
        if best is None:
            return Claim.TOO_LITTLE if self.configurations < LEAST_FOR_INTERVALS else Claim.INTERVALS
        rivals = self.taking_part.drop(index=best.name)["p_as_strong"].dropna()
        return claim(int(best["num_configurations"]), float(best["p_adjusted"]), rivals.tolist())

    @property
    def configurations(self) -> int:
        """The most configurations in which a column has values."""
        return int(self.rows["num_configurations"].max()) if len(self.rows) else 0

    @property
    def tied(self) -> pd.DataFrame:
        """The strongest column and all that are not surely weaker."""
        best, rows = self.strongest, self.taking_part
        return (
            rows.iloc[:0] if best is None else rows[(rows["p_as_strong"] > LEVEL_OF_RIVALS) | (rows.index == best.name)]
        )


def judge(evidence: Evidence) -> Judged:
    """Judge within the groups of an axis if a significant column's pooled τ contains a contrast between them.

    If nothing is significant within the groups, and the strongest column over all trials contains no contrast, that
    one is judged.
    """
    rows = evidence.headline.rename(columns={"tau_b": "tau"})
    limit = evidence.association.strong_enough(evidence.matrix.headline)
    pooled = Judged("", rows, limit, evidence.association.null)
    groups = evidence.groups
    if groups.empty:
        return pooled
    sure = (groups["p_pooled"] < LEVEL) | (groups["p_adjusted"] < LEVEL)
    divided = groups[sure & groups["reading"].isin(_DIVIDED)]
    if divided.empty:
        return pooled
    within = _within(evidence, str(divided["axis"].value_counts(sort=True).index[0]))
    strongest = pooled.strongest if len(pooled.significant) else None
    sound = strongest is not None and not _same(divided, strongest).any()
    return pooled if within.significant.empty and sound else within


def _within(evidence: Evidence, axis: str) -> Judged:
    """The columns judged within the groups of an axis."""
    one = next(comparison for comparison in evidence.comparisons if comparison.axis == axis)
    rows = evidence.groups[evidence.groups["axis"] == axis].rename(columns={"within_tau": "tau"})
    order = np.argsort(-np.nan_to_num(rows["tau"].abs().to_numpy(), nan=-1.0), kind="stable")
    return Judged(axis, rows.iloc[order].reset_index(drop=True), one.significant_from, one.null)


def conclusion(evidence: Evidence, judged: Judged) -> str:
    """The main sentence: the strongest claim that the data support."""
    best, kind = judged.strongest, judged.claim
    if kind in (Claim.TOO_LITTLE, Claim.INTERVALS):
        return _too_little(judged, kind)
    if kind is Claim.NOTHING or best is None:
        text = (
            f"nothing significant: no measure's τ with the gap{judged.within} over {len(judged.taking_part)} columns "
            f"(adjusted p ≥ {LEVEL:g}); it would take |τ| ≥ {judged.significant_from:.2f}"
        )
        few = len(judged.rows) - len(judged.taking_part)
        text += f"; {few} more have no τ, or values in fewer than {LEAST_FOR_CLAIMS} configurations" if few else ""
        contrasts = int((judged.rows["p_pooled"] < LEVEL).sum()) if judged.axis else 0
        if contrasts:
            text += f"; over all trials the τ of {contrasts} are, with a contrast between groups of the {judged.axis}"
        opposed = _opposed(evidence)
        return f"{text}; {opposed}" if opposed else text
    parts = [_best(evidence, judged, best) if kind is Claim.BEST else _tied(evidence, judged, best)]
    renyi = judged.significant[judged.significant[MEASURE].isin(RENYI)]
    if renyi.empty and judged.rows[MEASURE].isin(RENYI).any():
        parts.append(f"Rényi sharpness is not significant{judged.within} on any layer")
    elif len(renyi) and (renyi["tau"] < 0).all():
        parts.append(f"where Rényi sharpness is significant{judged.within}, it opposes the gap, contrary to the paper")
    if not judged.null.levels and not judged.null.why_cells.startswith("no axis"):
        parts.append(
            f"p exchanges whole configurations, since {judged.null.why_cells}; if measure and gap both follow the "
            "axes, it is too small"
        )
    return "; ".join(parts)


def standing(evidence: Evidence, judged: Judged, rows: pd.DataFrame) -> list[tuple[Beyond, pd.Series]]:
    """What the training loss leaves of each of some columns, with the row of the training table that says so.

    An association is beyond the training loss if it also holds given the loss and a categorical axis, where that can be
    estimated: the training loss alone leaves some of the confounding that runs through an optimizer.
    """
    given = f"{GIVEN_LOSS}, {judged.axis}" if judged.axis else GIVEN_LOSS
    found: list[tuple[Beyond, pd.Series]] = []
    for _, row in rows.iterrows():
        entries = evidence.training[_same(evidence.training, row)]
        main = entries[entries["given"] == given]
        if main.empty:  # no training loss is known
            continue
        entry = main.iloc[0]
        kind = _beyond(row, entry)
        if kind is Beyond.BEYOND:
            others = [(_beyond(row, other), other) for _, other in entries[entries["estimable"]].iterrows()]
            kind, entry = next((pair for pair in others if pair[0] is not Beyond.BEYOND), (kind, entry))
        found.append((kind, entry))
    return found


def _beyond(row: pd.Series, entry: pd.Series) -> Beyond:
    names = ["given_tau", "given_low", "given_high", "p_adjusted"]
    given_tau, low, high, p_adjusted = (float(entry[name]) for name in names)
    return beyond(float(row["tau"]), given_tau, low, high, p_adjusted, bool(entry["estimable"]))


def _too_little(judged: Judged, kind: Claim) -> str:
    count = judged.configurations
    text = f"too little to conclude: {count} configuration{'s' * (count != 1)} with a gap; a claim takes at least "
    text += f"{LEAST_FOR_CLAIMS}" + (f", an interval {LEAST_FOR_INTERVALS}" if kind is Claim.TOO_LITTLE else "")
    strongest = judged.rows["tau"].abs().max() if kind is Claim.INTERVALS else np.nan
    needed = configurations_needed(strongest, len(judged.rows)) if np.isfinite(strongest) else None
    if needed is not None:
        text += f", and about {needed} for a τ of ±{strongest:.2f}, the strongest here, to be significant among "
        text += f"{len(judged.rows)} columns"
    return text


def _best(evidence: Evidence, judged: Judged, best: pd.Series) -> str:
    others = len(judged.taking_part) - 1
    if best.get("reading") == Pooling.SIGN_DEPENDS.value:
        return (
            f"the sign of the τ of {_name(best)} depends on the {judged.axis}: {_by_group(best)} "
            f"({p_text(best['p_opposed'])} that no signs are opposed)"
        )
    text = f"{_name(best)} {_verb(best)} the gap best{judged.within}: τ = {_tau(best)}, adjusted "
    text += f"{p_text(best['p_adjusted'])}; each of {others} other columns is weaker (paired p ≤ {LEVEL_OF_RIVALS:g})"
    reading = _reading(evidence, judged, best)
    found = standing(evidence, judged, best.to_frame().T)
    if not found:
        return "; ".join(part for part in (text, reading) if part)
    kind, entry = found[0]
    given = f"given the {entry['given'].replace(', ', ' and ')}"
    partial = with_interval(entry["given_tau"], entry["given_low"], entry["given_high"])
    remains = {
        Beyond.BEYOND: f"it is associated beyond the training loss: τ = {partial} {given}",
        Beyond.NOT_SHOWN: f"it is not shown to be associated beyond the training loss: τ = {partial} {given}",
        Beyond.NONE: f"there is none beyond the training loss: τ = {partial} {given}",
        Beyond.INSEPARABLE: f"it can't be separated from the training loss: τ {given} is not estimable",
    }[kind]
    return "; ".join(part for part in (text, reading, remains) if part)


def _tied(evidence: Evidence, judged: Judged, best: pd.Series) -> str:
    tied = judged.tied
    text = f"no single measure is best{judged.within}: {len(tied)} columns are tied"
    parts = [
        f"{word} the gap: {columns_listed(rows)}"
        for word, rows in (("predicting", tied[tied["tau"] > 0]), ("opposing", tied[tied["tau"] < 0]))
        if len(rows)
    ]
    strongest = f"the strongest τ is {_tau(best)}, adjusted {p_text(best['p_adjusted'])}"
    significant = tied[tied["p_adjusted"] < LEVEL]
    counts = Counter(kind for kind, _ in standing(evidence, judged, significant))
    words = [f"{counts[kind]} {kind.value}" for kind in Beyond if counts[kind]]
    remains = [f"of the {len(significant)} significant ones, {', '.join(words)}"] if words else []
    return "; ".join([f"{text}, {', '.join(parts)}", strongest, *remains])


def _reading(evidence: Evidence, judged: Judged, best: pd.Series) -> str:
    """How the pooled τ of the best column is to be read; empty where the groups agree."""
    if judged.axis:
        pooled = f"over all trials it is {signed(best['tau_b'])}"
        groups = f"a contrast between groups of the {judged.axis}"
        return {
            Pooling.CONTRAST_SIGN.value: f"{pooled}, whose sign is that of {groups}",
            Pooling.WITHIN.value: f"{pooled}, which contains {groups}",
            Pooling.EACH.value: f"it differs between them: {_by_group(best)}",
        }.get(str(best["reading"]), "")
    differing = evidence.groups[evidence.groups["reading"] == Pooling.EACH.value] if len(evidence.groups) else None
    if differing is None or differing.empty:
        return ""
    found = differing[_same(differing, best)]
    return "; ".join(f"it differs by {row['axis']}: {_by_group(row)}" for _, row in found.iterrows())


def _opposed(evidence: Evidence) -> str:
    """Columns whose sign depends on the group, whatever their τ over all."""
    table = evidence.groups
    found = table[table["p_opposed_holm"] < LEVEL] if len(table) else table
    texts = [f"the sign of {_name(row)} depends on the {row['axis']}: {_by_group(row)}" for _, row in found.iterrows()]
    return "; ".join(texts)


def _by_group(row: pd.Series) -> str:
    """`sgd +0.58, adam −0.37`."""
    groups = [(name, row[name]) for name in row.index if str(name).startswith(OF_GROUP) and pd.notna(row[name])]
    return ", ".join(f"{str(name).removeprefix(OF_GROUP)} {signed(value)}" for name, value in groups)


def _same(table: pd.DataFrame, row: pd.Series) -> pd.Series:
    """Which rows of a table are about one column."""
    same = (table[MEASURE] == row[MEASURE]) & (table[LAYER] == row[LAYER])
    parameter = table[PARAMETER].isna() if pd.isna(row[PARAMETER]) else table[PARAMETER] == row[PARAMETER]
    found: pd.Series = same & parameter
    return found


def _verb(row: pd.Series) -> str:
    return "predicts" if row["tau"] > 0 else "opposes"


def _name(row: pd.Series) -> str:
    return column_name(row[MEASURE], row[PARAMETER], row[LAYER])


def _tau(row: pd.Series) -> str:
    return with_interval(row["tau"], row["ci_low"], row["ci_high"])
