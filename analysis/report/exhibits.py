"""The figures and tables of a report, as files with a caption."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pandas as pd

from analysis.report.evidence import Evidence
from analysis.report.figures.spectra import cluster_table
from analysis.report.optimizers import Comparison
from analysis.results.sweep import SweepResults


@dataclass(frozen=True)
class Exhibit:
    """A table of the report, with the words that go with it."""

    name: str  # of its files
    title: str
    note: str
    table: pd.DataFrame


def exhibits_of(
    evidence: Sequence[Evidence], sweeps: Sequence[SweepResults], comparison: Comparison | None
) -> list[Exhibit]:
    """The tables that the page shows, those without rows left out."""
    headline = ["measure", "parameter", "layer", "tau_b", "ci_low", "ci_high", "p_value", "p_adjusted"]
    headline += ["n", "missing", "ties", "noise", "attenuation"]
    clusters = [
        (found, cluster_table(found, sweep.spectra))
        for found, sweep in zip(evidence, sweeps, strict=True)
        if sweep.spectra
    ]
    exhibits = [
        Exhibit(
            "headline",
            "Kendall's τ of every declared measure",
            "Orders and radii were fixed before any τ was looked at. The adjusted p allows for the number of columns "
            "looked at.",
            over_sweeps(evidence, lambda found: found.headline[headline]),
        ),
        Exhibit(
            "selection",
            "What choosing the order is worth",
            "The paper shows each layer at the order of its highest τ. That is a maximum over many, positive even "
            "without any association. The nested τ ranks each pair of trials by the order that is best on all other "
            "trials; p compares the maximum with maxima under permuted gaps. Measures with a radius get the same.",
            over_sweeps(evidence, lambda found: found.selection),
        ),
        Exhibit(
            "differences",
            "Rényi sharpness against each other measure",
            "Same layer, same trials: paired bootstrap intervals and paired permutation tests, Holm's correction over "
            "the whole table.",
            over_sweeps(evidence, lambda found: found.differences),
        ),
        Exhibit(
            "training",
            "Is it only how far the networks were trained?",
            "A measure and the gap may both follow the training loss. What remains given the training loss, and among "
            "trials of like training loss.",
            over_sweeps(evidence, lambda found: found.training),
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
            "Clusters in the spectra, and the order they call for",
            "Kinds by a rule of this software, which sees spectra alone; the paper sorts by eye. It argues that "
            "several clusters call for an order below 1, a single one for an order above.",
            pd.concat([_named(table, found, len(evidence)) for found, table in clusters])
            if clusters
            else pd.DataFrame(),
        ),
    ]
    if comparison is not None:
        exhibits += [
            Exhibit("table1", "Optimizers compared", comparison.note, comparison.table),
            Exhibit(
                "optimizers",
                "Each optimizer in detail",
                "Differences are between runs of the same seed, which start at the same weights and see the images in "
                "the same order. The best epoch is chosen by the test images, and so is optimistic; the paper's "
                "figures are probably of this kind.",
                _filled(comparison.methods),
            ),
        ]
    return [exhibit for exhibit in exhibits if len(exhibit.table)]


def _filled(table: pd.DataFrame) -> pd.DataFrame:
    """The table without columns that have no entry at all."""
    return table.loc[:, (table.notna() & (table != "")).any()]


def over_sweeps(evidence: Sequence[Evidence], table: Callable[[Evidence], pd.DataFrame]) -> pd.DataFrame:
    """One table over all sweeps; with several, each row names its sweep."""
    return pd.concat([_named(table(found), found, len(evidence)) for found in evidence], ignore_index=True)


def _named(table: pd.DataFrame, found: Evidence, num_sweeps: int) -> pd.DataFrame:
    if num_sweeps == 1:
        return table
    named = table.copy()
    named.insert(0, "sweep", found.matrix.name)
    return named
