"""The tables of a report, each with a title and a note."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import pandas as pd

from analysis.report.evidence import Evidence
from analysis.report.optimizers import Comparison
from analysis.schema import LAYER, NO_LAYER, PARAMETER

# Left out where they are empty.
UNSAID = [LAYER, PARAMETER, "paper_layer", "other_parameter", "noise", "attenuation"]
UNSAID += ["p_value", "p_adjusted", "p_as_strong"]


@dataclass(frozen=True)
class Exhibit:
    """A table of the report, with its title and note."""

    name: str  # of its files
    title: str
    note: str
    table: pd.DataFrame


def exhibits_of(evidence: Sequence[Evidence], comparison: Comparison | None) -> list[Exhibit]:
    """The tables that the page shows, except those without rows; p-values say which null they have."""
    headline = ["measure", "parameter", "layer", "tau_b", "ci_low", "ci_high", "p_value", "p_adjusted"]
    headline += ["p_as_strong", "n", "num_configurations", "missing", "ties", "noise", "attenuation"]
    exhibits = [
        Exhibit(
            "headline",
            "Kendall's τ of every declared measure",
            f"Orders and radii were fixed before any τ was computed. {_tests(evidence)}",
            over_sweeps(evidence, lambda found: found.headline[headline]),
        ),
        Exhibit(
            "selection",
            "What the choice of the order is worth",
            "The paper shows each layer at the order of its highest τ. That is a maximum over many orders, positive "
            "even without any association. The nested τ ranks each pair of trials by the order that is best on all "
            "other configurations; by chance is the mean of the maximum under reassigned gaps, and p compares with it. "
            "Radii are treated in the same way.",
            over_sweeps(evidence, lambda found: found.selection),
        ),
        Exhibit(
            "differences",
            "Rényi sharpness against each other measure",
            "Each comparison is on the same layer and trials, with a paired bootstrap interval and permutation test; "
            "Holm's correction covers the whole table.",
            over_sweeps(evidence, lambda found: found.differences),
        ),
        Exhibit(
            "training",
            "Is it only how far the networks were trained?",
            "A measure and the gap may both follow the training loss. The table shows what remains of τ given the "
            "training loss (normal scores, a spline in the loss subtracted from both), and whether enough remains to "
            "estimate it. If the training loss itself is measured with errors, part of the confounding stays: errors "
            "of a fifth of its spread make false claims of 6, 13 and 25 % where its τ with the measure is 0.5, 0.8 and "
            "0.95. Kendall's own partial τ and thirds of the training loss are shown for comparison; neither is 0 for "
            "two quantities that agree only through the training loss.",
            over_sweeps(evidence, lambda found: found.training),
        ),
        Exhibit(
            "groups",
            "Within and between groups",
            "Whether a pooled τ is that of the groups, or a contrast between them: τ over pairs of one group and over "
            "pairs across groups. The last words say how the pooled value is to be read.",
            over_sweeps(evidence, lambda found: found.groups),
        ),
        Exhibit(
            "axes",
            "Axis by axis",
            "Ψ asks whether a measure follows the gap when a single hyperparameter changes, K whether it holds "
            "information beyond the hyperparameters. Coupled axes are one axis.",
            over_sweeps(evidence, lambda found: found.axes),
        ),
        Exhibit(
            "clusters",
            "Clusters in the spectra, and the order that they predict",
            "A rule of this software, which uses the spectrum alone, decides the kind; the paper sorts by eye. It "
            "argues that several clusters predict an order below 1, a single one an order above 1. Beside the matches "
            "stands how many chance gives: with reassigned gaps the best order of a layer falls on one side, too, and "
            "all networks of one kind match or none.",
            over_sweeps(evidence, lambda found: found.clusters),
        ),
    ]
    if comparison is not None:
        exhibits += [
            Exhibit("table1", "Optimizers compared", comparison.note, comparison.table),
            Exhibit(
                "optimizers",
                "Each optimizer in detail",
                "Differences are between runs of the same seed, which have the same initial weights and the same order "
                "of images. The best epoch is chosen by the test images, so it is optimistic; the paper's values "
                "are probably of this kind.",
                _filled(comparison.methods),
            ),
        ]
    shown = [replace(exhibit, table=_without_unsaid(exhibit.table)) for exhibit in exhibits]
    return [exhibit for exhibit in shown if len(exhibit.table)]


def _without_unsaid(table: pd.DataFrame) -> pd.DataFrame:
    """The table without the columns that say nothing in any row: layers, parameters or noise that there are not."""
    unsaid = [name for name in UNSAID if name in table and (table[name].isna() | (table[name] == NO_LAYER)).all()]
    return table.drop(columns=unsaid)


def _tests(evidence: Sequence[Evidence]) -> str:
    """What the p-values are; of very many models there are none."""
    if not any(len(found.association.permuted) for found in evidence):
        return "Of so many models no tests are computed; the intervals are the jackknife's over configurations."
    return (
        f"The adjusted p accounts for the number of declared columns. Null: {_nulls(evidence)}. As strong: the chance "
        "of such a lead of the strongest if this column were as strong (paired jackknife); above 0.025 the two are "
        "tied."
    )


def _nulls(evidence: Sequence[Evidence]) -> str:
    """The null of the p-values, of each sweep if they differ."""
    texts = {found.matrix.name: str(found.association.null) for found in evidence}
    if len(set(texts.values())) == 1:
        return next(iter(texts.values()))
    return "; ".join(f"{name}: {text}" for name, text in texts.items())


def _filled(table: pd.DataFrame) -> pd.DataFrame:
    """The table without its empty columns."""
    return table.loc[:, (table.notna() & (table != "")).any()]


def over_sweeps(evidence: Sequence[Evidence], table: Callable[[Evidence], pd.DataFrame]) -> pd.DataFrame:
    """One table over all sweeps and targets; with several, each row names its own."""
    return pd.concat([_named(table(found), found, evidence) for found in evidence], ignore_index=True)


def _named(table: pd.DataFrame, found: Evidence, evidence: Sequence[Evidence]) -> pd.DataFrame:
    targets = {other.matrix.target for other in evidence}
    named = table.copy()
    if len(targets) > 1:
        named.insert(0, "target", found.matrix.target.label)
    if len(evidence) > len(targets):
        named.insert(0, "sweep", found.matrix.name)
    return named
