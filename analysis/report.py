"""The report of a sweep: the τ table and the figures, as files."""

import io
from dataclasses import dataclass

import pandas as pd

from analysis.figures.gap_against_sharpness import draw_gap_against_sharpness, gap_against_sharpness
from analysis.schema import TRIAL_ID
from analysis.tables import tau_table

TAU_FILE = "tau.csv"
FIGURE_STEM = "gap_against_sharpness"
DPI = 200


@dataclass(frozen=True)
class Report:
    """What a sweep has shown so far."""

    table: pd.DataFrame  # the whole τ table, strongest first
    num_trials: int
    files: dict[str, bytes]  # by name, ready to be written or logged


def build_report(results: pd.DataFrame, sweep: str) -> Report:
    """The τ table as CSV and the paper's figure 2 as PNG and SVG, from the tidy table of a sweep."""
    table = tau_table(results)
    num_trials = results[TRIAL_ID].nunique()
    files = {TAU_FILE: table.to_csv(index=False).encode()}
    panels = gap_against_sharpness(results)
    if panels:
        title = f"{sweep}: gap against Rényi sharpness, N = {num_trials} trials; τ_b with 95 % bootstrap interval"
        figure = draw_gap_against_sharpness(panels, title)
        for kind in ("png", "svg"):
            buffer = io.BytesIO()
            figure.savefig(buffer, format=kind, dpi=DPI, metadata={"Date": None} if kind == "svg" else None)
            files[f"{FIGURE_STEM}.{kind}"] = buffer.getvalue()
    return Report(table, num_trials, files)
