"""What this package says of sweeps that others published: their own scores again, and our verdict on their tables.

    OMP_NUM_THREADS=1 python benchmarks/published_sweeps.py FOLDER                  # about a minute
    OMP_NUM_THREADS=1 python benchmarks/published_sweeps.py FOLDER --sweep digits   # and beside a sweep of your own

FOLDER holds three CSV files, which this project does not contain: `pgdl_public_150.csv`, `taxonomy_resnet18_910.csv`
and `dziugaite2020_sign_error_published_ranking.csv`. docs/published_sweeps.md says where they come from, which columns
they have, and what follows from them. Without a folder there is nothing to do. The exit code is 1 if a published score
is not reproduced to 1e-9.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

import renyi
from analysis import schema
from analysis.report.sweep_matrix import SweepMatrix
from analysis.report.tables import axes_table
from analysis.statistics import conditional_mutual_information, granulated_kendall, kendall_tau

TOLERANCE = 1e-9
# K of the four measures of github.com/cadurosar/pgdl on the two public tasks, as that repository publishes it.
PUBLISHED_K = {
    "task1_v4": {"VPM_1": 0.060700993773, "VPM_80": 0.056105256539, "VR": 0.093162888051, "WCV": 0.277451042877},
    "task2_v1": {"VPM_1": 0.064400298278, "VPM_80": 0.168424760148, "VR": 0.195814607566, "WCV": 0.374413798762},
}
FITTED = 99.0  # per cent of the training set that a network classifies rightly; from there on it is fitted
# The published names of measures, and the keys of the same measures here. The published ranking takes the spectral norm
# of the operator by FFT, and this package that of the reshaped kernel: those keys are marked.
KEYS = {
    "pacbayes_orig": "pacbayes_orig", "pacbayes_flatness": "pacbayes_flat",
    "pacbayes_mag_flatness": "pacbayes_mag_flat", "pacbayes_mag_init": "pacbayes_mag_init",
    "pacbayes_mag_orig": "pacbayes_mag_orig", "param_norm": "l2",
    "path_norm": "path_norm", "path_norm_over_margin": "path_norm_margin", "inverse_margin": "inverse_margin",
    "log_prod_of_fro": "prod_of_fro", "log_prod_of_fro_over_margin": "prod_of_fro_margin",
    "log_sum_of_fro": "sum_of_fro", "log_sum_of_fro_over_margin": "sum_of_fro_margin", "fro_dist": "dist_l2",
    "log_prod_of_spec_fft": "prod_of_spec*", "log_prod_of_spec_over_margin_fft": "prod_of_spec_margin*",
    "log_sum_of_spec_fft": "sum_of_spec*", "log_sum_of_spec_over_margin_fft": "sum_of_spec_margin*",
    "fro_over_spec_fft": "fro_over_spec*", "dist_spec_init_fft": "dist_spec*",
}  # fmt: skip


@dataclass(frozen=True)
class Published:
    """A table of networks that somebody else trained."""

    name: str
    gap_is: str  # what the gap is the difference of
    axes: pd.DataFrame  # (N, …) hyperparameters; a column `seed` tells repeats apart
    measures: pd.DataFrame  # (N, …)
    gap: pd.Series  # (N,)
    train_loss: pd.Series | None = None

    @property
    def grid(self) -> dict[str, np.ndarray]:
        """By axis the (N,) values; the seed is none."""
        return {str(name): values.to_numpy() for name, values in self.axes.items() if name != "seed"}


def main() -> int:
    """Print every table; 1 if a score differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--sweep", help="name or file of a finished sweep, to stand beside the published ranking")
    arguments = parser.parse_args()
    if arguments.folder is None:
        print("nothing to do: name the folder of the published tables (docs/published_sweeps.md)")
        return 0
    competition = read_pgdl(arguments.folder / "pgdl_public_150.csv")
    differ = reproduce(competition)
    for task in competition:
        judge(task)
    resnets = pd.read_csv(arguments.folder / "taxonomy_resnet18_910.csv")
    every, fitted = (
        resnet18(resnets[chosen]) for chosen in (resnets["seed"] >= 0, resnets["train_accuracy"] >= FITTED)
    )
    textbook(every, fitted)
    for part in (every, fitted):
        judge(part)
    ranking(arguments.folder / "dziugaite2020_sign_error_published_ranking.csv", arguments.sweep)
    return int(differ)


def read_pgdl(path: Path) -> list[Published]:
    """The two public tasks of the competition."""
    table = pd.read_csv(path)
    tasks = []
    for name, part in table.groupby("task"):
        rows = part.reset_index(drop=True)
        own = rows.columns.drop(["task", "model", "gap_error", "hparams"])
        axes = pd.DataFrame([json.loads(text) for text in rows["hparams"]])
        tasks.append(Published(f"PGDL {name}", "error", axes, rows[own], rows["gap_error"]))
    return tasks


def resnet18(rows: pd.DataFrame) -> Published:
    """ResNet-18 of many batch sizes and widths, five seeds each."""
    rows = rows.reset_index(drop=True)
    measures = rows[["hessian_trace", "hessian_top_eigenvalue"]]
    gap = rows["test_loss"] - rows["train_loss"]
    name = f"{len(rows)} ResNet-18 on CIFAR-10"
    return Published(name, "loss", rows[["batch_size", "width", "seed"]], measures, gap, rows["train_loss"])


def k_of(task: Published, measure: str, convention: Literal["jiang", "pgdl"]) -> float:
    """Conditional mutual information of a measure in one of the two conventions."""
    return conditional_mutual_information(task.measures[measure], task.gap, task.grid, convention=convention).k


def reproduce(tasks: Sequence[Published]) -> bool:
    """The competition's published scores, beside ours; whether one differs."""
    print("K in the competition's convention (its published score is 100 times this) and in ours")
    print(f"{'task':>14} {'measure':>8} {'published':>15} {'here':>15} {'difference':>11} {'our convention':>15}")
    worst = 0.0
    for task in tasks:
        for measure, published in PUBLISHED_K[task.name.removeprefix("PGDL ")].items():
            here = k_of(task, measure, "pgdl")
            worst = max(worst, abs(here - published))
            print(
                f"{task.name:>14} {measure:>8} {published:15.12f} {here:15.12f} {here - published:11.1e} "
                f"{k_of(task, measure, 'jiang'):15.12f}"
            )
    print(f"largest difference {worst:.1e}: {'reproduced' if worst <= TOLERANCE else 'NOT REPRODUCED'}\n", flush=True)
    return worst > TOLERANCE


def judge(table: Published) -> None:
    """The verdict on one table, and τ of each measure."""
    names = [str(name) for name in table.axes]
    frame = pd.concat([table.axes, table.measures], axis=1)
    frame["gap"] = table.gap
    if table.train_loss is not None:
        frame["training_loss"] = table.train_loss
    judgement = renyi.judge(
        frame,
        axes=names,
        gap="gap",
        training_loss=None if table.train_loss is None else "training_loss",
        measures=[str(name) for name in table.measures],
        name=table.name,
    )
    print(f"{table.name}: {len(frame)} networks; gap: {table.gap_is}; axes: {', '.join(names)}")
    print(f"{'measure':>24} {'τ':>6} {'95 %':>15} {'p (all)':>8} {'Ψ':>6} {'K':>6} {'K pgdl':>7}")
    for _, row in judgement.table.iterrows():
        name, interval = row[schema.MEASURE], f"{row['ci_low']:+.2f} to {row['ci_high']:+.2f}"
        granulated = granulated_kendall(table.measures[name], table.gap, table.grid).psi
        print(
            f"{name:>24} {row['tau_b']:+.3f} {interval:>15} {row['p_adjusted']:8.4f} "
            f"{granulated:+.3f} {k_of(table, name, 'jiang'):6.3f} {k_of(table, name, 'pgdl'):7.3f}"
        )
    print(f"{judgement}\n", flush=True)


def textbook(every: Published, fitted: Published) -> None:
    """τ of the Hessian's trace with the gap, over all networks and over those that fit their training set."""
    print(
        f"τ(trace of the Hessian, gap in loss); all seeds of a configuration are resampled together; {FITTED:g} % fit"
    )
    for table, which in ((every, "all"), (fitted, f"training accuracy ≥ {FITTED:g} %")):
        cells = table.axes.groupby(["batch_size", "width"]).ngroup()
        tau = kendall_tau(table.measures["hessian_trace"], table.gap, cells=cells)
        print(f"  {which:>26}: {tau.n} networks, τ = {tau.tau_b:+.3f} [{tau.ci_low:+.3f}, {tau.ci_high:+.3f}]")
    unfitted = ~every.measures["hessian_trace"].isin(fitted.measures["hessian_trace"])
    for chosen, which in ((unfitted, "below"), (~unfitted, "at least")):
        trace, gap = every.measures["hessian_trace"][chosen].median(), every.gap[chosen].median()
        print(f"  {which} {FITTED:g} %: {chosen.sum()} networks, median trace {trace:.0f}, median gap {gap:.2f}")
    print(flush=True)


def ranking(path: Path, sweep: str | None) -> None:
    """The published sign errors of 24 measures, with the keys of these measures here, and a sweep's own sign errors."""
    published = pd.read_csv(path).sort_values("mean_sign_error")
    own = sign_errors(sweep) if sweep else {}
    title = f" {'of ' + str(sweep):>14}" if sweep else ""
    print(f"published mean sign error over {published['environments'].iloc[0]} environments (½ is chance){title}")
    both = []
    for _, row in published.iterrows():
        name = str(row["metric"]).removeprefix("complexity.")
        key = KEYS.get(name, "")
        error = own.get(key.rstrip("*"), np.nan)
        if np.isfinite(error):
            both.append((row["mean_sign_error"], error))
        print(f"{name:>34} {row['mean_sign_error']:7.3f}   {key:<22}" + (f" {error:14.3f}" if sweep else ""))
    known = sum(str(name).removeprefix("complexity.") in KEYS for name in published["metric"])
    print(f"{known} of {len(published)} are measures of this package; * with another spectral norm of convolutions")
    if len(both) > 1:
        tau = kendall_tau(*np.array(both).T)
        print(f"order of the {tau.n} in both: τ = {tau.tau_b:+.2f} [{tau.ci_low:+.2f}, {tau.ci_high:+.2f}]")


def sign_errors(sweep: str) -> Mapping[str, float]:
    """Mean sign error of each measure of all layers in a finished sweep, by key."""
    from orchestrator.config.load import load
    from orchestrator.store.plan import make_plan
    from orchestrator.store.results import stored_sweep

    results = stored_sweep(make_plan(load(sweep)), spectra=False)
    table = axes_table(SweepMatrix.of(results.table, results.name))
    whole = table[table[schema.LAYER] == schema.ALL_LAYERS].drop_duplicates(schema.MEASURE)
    return dict(zip(whole[schema.MEASURE], whole["sign_error_mean"], strict=True))


if __name__ == "__main__":
    sys.exit(main())
