"""How often the verdict's claims are false, and how often true ones are made, on sweeps whose truth is known.

    OMP_NUM_THREADS=1 python benchmarks/verdict_claims.py [--repeats 100] [--configurations 30 90] [--seed 7]

A sweep is a grid of 2 optimizers × 3 × 5 (or 2 × 3 × 3 × 5) configurations with one seed, and 12 columns of which four
each share a factor. All quantities follow the axes as well (half of their variance; .8 under `null`). A claim is any
statement of the verdict's first line: that a column is associated, best or tied with others, beyond the training loss,
or of a sign that depends on the optimizer.

`null`: nothing is tied to the gap: every claim is false. `confounded`: columns and gap follow the training loss alone:
claims beyond it are false, and so is any best. `clusters`: columns and gap are shifted between the optimizers, and not
tied within them: every claim is false. `planted`: one column follows the gap closely (τ about .7), and not the training
loss; another less: it is false that any other column is best or beyond the training loss. `weaker`: τ about .4.
"""

import argparse
import itertools

import numpy as np
import pandas as pd

from analysis.report.conclusion import judge, standing
from analysis.report.evidence import Evidence
from analysis.report.group_table import categorical_axes, compare_groups, group_table
from analysis.report.statements import LEVEL, Beyond, Claim
from analysis.report.sweep_matrix import SweepMatrix
from analysis.report.tables import associate, tau_table, training_table
from analysis.results.targets import LOSS
from analysis.statistics import kendall_tau

SHAPES = {10: (2, 5), 15: (3, 5), 30: (2, 3, 5), 90: (2, 3, 3, 5)}
AXES = ("optimizer", "learning_rate", "batch_size", "weight_decay")
COLUMNS, FACTORS = 12, 3
TRUTHS = ("null", "confounded", "clusters", "planted", "weaker")


def main() -> None:
    """One line a truth and a size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=100)
    parser.add_argument("--configurations", type=int, nargs="+", default=(30, 90), choices=SHAPES)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--truths", nargs="+", default=TRUTHS, choices=TRUTHS)
    arguments = parser.parse_args()
    print(f"{arguments.repeats} sweeps of seed {arguments.seed} each; in % of them the verdict's first line")
    print("truth        G   claims falsely  associates  names a best  the right one  says it is beyond the loss")
    for truth, size in itertools.product(arguments.truths, arguments.configurations):
        drawn = [[arguments.seed, repeat] for repeat in range(arguments.repeats)]
        found = np.array([_claims(truth, size, one) for one in drawn], dtype=float)
        shares = "".join(f"{100 * share:14.1f}" for share in found.mean(axis=0))
        print(f"{truth:10s} {size:3d} {shares}", flush=True)


def _claims(truth: str, size: int, drawn: list[int]) -> tuple[bool, bool, bool, bool, bool]:
    """Whether a claim is false, an association claimed, a best named, the right one, and it beyond the loss."""
    evidence = _evidence(_sweep(truth, SHAPES[size], np.random.default_rng([*drawn, size])))
    judged = judge(evidence)
    claimed = judged.claim in (Claim.BEST, Claim.TIED)
    best = judged.strongest if judged.claim is Claim.BEST else None
    reported = judged.tied[judged.tied["p_adjusted"] < LEVEL] if claimed else judged.rows.iloc[:0]
    beyond = {
        str(row["layer"])
        for (kind, row), _ in zip(standing(evidence, judged, reported), range(len(reported)), strict=True)
        if kind is Beyond.BEYOND
    }
    opposed = bool((evidence.groups["p_opposed_holm"] < LEVEL).any()) and judged.claim is Claim.NOTHING
    planted = truth in ("planted", "weaker")
    if planted:
        false = (best is not None and best["layer"] != "layer0") or bool(beyond - {"layer0", "layer1"}) or opposed
    elif truth == "confounded":
        false = best is not None or bool(beyond) or opposed
    else:
        false = claimed or opposed
    right = planted and best is not None and best["layer"] == "layer0"
    return false, claimed, best is not None, right, planted and "layer0" in beyond


def _sweep(truth: str, shape: tuple[int, ...], rng: np.random.Generator) -> SweepMatrix:
    codes = np.array(list(itertools.product(*(range(levels) for levels in shape))))
    share = 0.8 if truth == "null" else 0.5

    def quantity() -> np.ndarray:
        """(N,) of unit variance, a share of which follows the axes."""
        effects = sum(_unit(rng.normal(size=levels))[codes[:, axis]] for axis, levels in enumerate(shape))
        values: np.ndarray = np.sqrt(share / len(shape)) * effects + np.sqrt(1 - share) * rng.normal(size=len(codes))
        return values

    loss, gap = quantity(), quantity()
    factors = [quantity() for _ in range(FACTORS)]
    values = np.stack([0.7 * factors[c % FACTORS] + 0.7 * quantity() for c in range(COLUMNS)], axis=1)
    if truth == "confounded":
        values, gap = 0.6 * values + 0.8 * loss[:, None], 0.6 * gap - 0.8 * loss
    elif truth == "clusters":
        adam = codes[:, 0] == 1
        values, gap = values + 3 * adam[:, None] * rng.choice([-1, 1], size=COLUMNS), gap + 3 * adam
    elif truth in ("planted", "weaker"):
        strength = 0.9 if truth == "planted" else 0.6
        values[:, 0] = strength * gap + np.sqrt(1 - strength**2) * quantity()
        values[:, 1] = 0.3 * gap + np.sqrt(1 - 0.3**2) * quantity()
    names = AXES[: len(shape)]
    trials = pd.DataFrame({name: codes[:, axis].astype(float) for axis, name in enumerate(names)})
    trials["optimizer"] = np.where(codes[:, 0] == 0, "sgd", np.where(codes[:, 0] == 1, "adam", "sam"))
    trials = trials.assign(trial_id=[f"t{i}" for i in range(len(codes))], seed=0, train_loss=np.exp(loss), gap_loss=gap)
    keys = pd.DataFrame({"measure": "trace", "parameter": np.nan, "layer": [f"layer{c}" for c in range(COLUMNS)]})
    return SweepMatrix("simulated", keys, values, np.full(values.shape, np.nan), trials, LOSS, 0)


def _unit(effects: np.ndarray) -> np.ndarray:
    """Effects of an axis' levels, of unit variance."""
    scaled: np.ndarray = (effects - effects.mean()) / max(float(effects.std()), 1e-9)
    return scaled


def _evidence(matrix: SweepMatrix) -> Evidence:
    """The tables on which the first line rests; bootstrap intervals play no part in it."""
    association, nothing = associate(matrix, draws=2), pd.DataFrame()
    comparisons = compare_groups(matrix)
    return Evidence(
        matrix, association, tau_table(matrix, association), nothing, nothing, nothing,
        training_table(matrix, association, categorical_axes(matrix)),
        group_table(matrix, association, comparisons), nothing, comparisons,
        kendall_tau(matrix.trials["train_loss"], matrix.gap),
    )  # fmt: skip


if __name__ == "__main__":
    main()
