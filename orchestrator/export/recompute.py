"""Compute the tables of this export again, from its measurements alone.

    pip install numpy pandas pyarrow scipy
    python recompute.py

pandas, pyarrow and scipy are all that it needs (numpy comes with them); nothing of the program that made the export.
Writes `recomputed/tau.csv`, Kendall's tau of every measure with the generalization gap, and `recomputed/trials.csv`,
the outcome of every trial, and compares them with the report's. Exit code: 0 they are equal, 1 they are not.

Intervals, p-values and corrections are drawn at random with fixed seeds; the report's own program repeats them.
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import kendalltau

HERE = Path(__file__).resolve().parent
MEASURED = ["layer", "measure", "parameter", "value", "stderr", "reason"]
KEYS = ["measure", "parameter", "layer"]
TOLERANCE = 1e-12


def trials_of(rows: pd.DataFrame) -> pd.DataFrame:
    """A row for each trial that has a gap: its parameters and how it generalizes."""
    trials = rows.drop(columns=MEASURED).drop_duplicates("trial_id", ignore_index=True)
    return trials[np.isfinite(trials["gap_loss"].astype(float))].reset_index(drop=True)


def tau_of(rows: pd.DataFrame, trials: pd.DataFrame) -> pd.DataFrame:
    """Kendall's tau-b of each measure with the gap, over the trials that have a value."""
    gap = trials.set_index("trial_id")["gap_loss"].astype(float)
    found = []
    for key, group in rows.groupby(KEYS, dropna=False, sort=False):
        values = group.set_index("trial_id")["value"].astype(float).reindex(gap.index)
        there = np.isfinite(values)
        tau = kendalltau(values[there], gap[there]).statistic if there.sum() > 1 else np.nan
        found.append((*key, tau, int(there.sum()), int((~there).sum())))
    return pd.DataFrame(found, columns=[*KEYS, "tau_b", "n", "missing"])


def differences(name: str, ours: pd.DataFrame, theirs: pd.DataFrame, keys: list[str]) -> list[str]:
    """What is not equal in two tables, a line each, by the columns that both have."""
    if len(ours) != len(theirs):
        return [f"{name}: {len(ours)} rows here, {len(theirs)} in the report"]
    both = ours.merge(theirs, on=keys, suffixes=("", " of the report"), how="inner")
    if len(both) != len(ours):
        return [f"{name}: {len(ours) - len(both)} rows are not those of the report"]
    problems = []
    for column in ours.columns.intersection(theirs.columns).difference(keys):
        mine, other = both[column], both[f"{column} of the report"]
        if pd.api.types.is_numeric_dtype(mine) and pd.api.types.is_numeric_dtype(other):
            unequal = ~np.isclose(
                mine.astype(float), other.astype(float), rtol=TOLERANCE, atol=TOLERANCE, equal_nan=True
            )
        else:
            unequal = (mine.astype(str) != other.astype(str)) & ~(mine.isna() & other.isna())
        if unequal.any():
            problems.append(f"{name}: {column} differs in {int(unequal.sum())} of {len(both)} rows")
    return problems


def main() -> int:
    """Compute, write, compare, and say what came of it."""
    rows = pd.read_parquet(HERE / "measurements.parquet")
    trials = trials_of(rows)
    tables = {"tau": tau_of(rows, trials), "trials": trials}
    folder = HERE / "recomputed"
    folder.mkdir(exist_ok=True)
    problems = []
    for name, table in tables.items():
        table.to_csv(folder / f"{name}.csv", index=False)
        report = pd.read_csv(HERE / "report" / f"{name}.csv")
        keys = KEYS if name == "tau" else ["trial_id"]
        problems += differences(name, pd.read_csv(folder / f"{name}.csv"), report, keys)
    for problem in problems:
        print(problem)
    if not problems:
        print(f"tau of {len(tables['tau'])} measures over {len(trials)} trials, and their outcomes: as in the report")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
