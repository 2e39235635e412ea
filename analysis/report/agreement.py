"""Whether a verdict depends on what measures are ranked against: one line that compares targets column by column."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from analysis.report.evidence import Evidence
from analysis.report.statements import LEVEL
from analysis.report.sweep_matrix import KEYS, SweepMatrix
from analysis.report.tables import associate, tau_table
from analysis.report.verdict import VerdictLine
from analysis.report.wording import columns_listed
from analysis.results.targets import Target

TOPIC = "other targets"


@dataclass(frozen=True)
class Ranking:
    """τ and adjusted p of the declared columns against one target."""

    target: Target
    table: pd.DataFrame  # measure, parameter, layer, tau_b, p_adjusted

    @classmethod
    def of(cls, evidence: Evidence) -> "Ranking":
        """The ranking that a report has already."""
        return cls(evidence.matrix.target, evidence.headline)

    @classmethod
    def computed(cls, matrix: SweepMatrix, seed: int = 0) -> "Ranking":
        """The ranking of the declared columns alone, without intervals: half the cost of an association, or less."""
        shown = matrix.headline
        keys = matrix.keys[shown].reset_index(drop=True)
        some = replace(matrix, keys=keys, values=matrix.values[:, shown], stderr=matrix.stderr[:, shown])
        table = tau_table(some, associate(some, seed, draws=1))
        return cls(matrix.target, table)


def agreement(first: Ranking, others: Sequence[Ranking]) -> VerdictLine | None:
    """For each other target the columns whose significance differs, or whose sign does where one τ is significant.

    None if there is no other target with a τ.
    """
    texts = [text for other in others if (text := _against(first, other))]
    return VerdictLine(TOPIC, "; ".join(texts)) if texts else None


def _against(first: Ranking, other: Ranking) -> str:
    columns = [*KEYS, "tau_b", "p_adjusted"]
    both = first.table[columns].merge(other.table[columns], on=KEYS, suffixes=("", "_other"))
    both = both[both["tau_b"].notna() & both["tau_b_other"].notna()]
    if both.empty:
        return ""
    here, there = both["p_adjusted"] < LEVEL, both["p_adjusted_other"] < LEVEL
    turned = (np.sign(both["tau_b"]) != np.sign(both["tau_b_other"])) & (here | there)
    kinds = (
        ("the sign differs for", turned),
        (f"significant with the {first.target.label} alone:", here & ~there & ~turned),
        (f"significant with the {other.target.label} alone:", there & ~here & ~turned),
    )
    differing = [f"{words} {columns_listed(both[chosen])}" for words, chosen in kinds if chosen.any()]
    count = int((turned | (here != there)).sum())
    text = f"with the {other.target.title} in its place, significance and the sign of what is significant are the same "
    return "; ".join([f"{text}in {len(both) - count} of {len(both)} columns", *differing])
