"""How often the 95 % intervals of τ hold the truth, with no association and with a planted one, and whether p-values
are uniform where there is nothing to find.

    OMP_NUM_THREADS=1 python benchmarks/interval_coverage.py [--repeats 800] [--models 30 90]

Columns are as alike as neighbouring orders are. The truth is 0 with no association; else the mean over the repeats.
"""

import argparse
import math

import numpy as np
from scipy.stats import kstest

from analysis.statistics import Design, kendall_taus, max_permutation_test, nested_order_tau, permuted_taus

MODELS, ORDERS, ASSOCIATIONS = (30, 90), 32, (0.0, 0.15, 0.3, 0.5)
PERMUTATIONS, SEED = 400, 2


def main() -> None:
    """One line a size and a strength of association."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=800)
    parser.add_argument("--models", type=int, nargs="+", default=MODELS)
    arguments = parser.parse_args()
    repeats = arguments.repeats
    print(f"{repeats} repeats, {ORDERS} orders; in % of them the interval holds the truth (95 is right)")
    print("models  association  fixed τ  covered  nested τ  covered  best τ  uniform p-values (Kolmogorov-Smirnov)")
    for models in arguments.models:
        for association in ASSOCIATIONS:
            print(_line(models, association, repeats), flush=True)


def _line(models: int, association: float, repeats: int) -> str:
    fixed, nested, best, p_values = [], [], [], []
    for repeat in range(repeats):
        rng = np.random.default_rng([SEED, models, repeat])
        columns = _orders(rng, models)
        signal = columns[:, ORDERS // 2] / columns[:, ORDERS // 2].std()
        gap = association * signal + math.sqrt(1 - association**2) * rng.normal(size=models)
        one = kendall_taus(columns[:, ORDERS // 2], gap, seed=repeat)
        fixed.append((float(one.tau_b[0]), float(one.ci_low[0]), float(one.ci_high[0])))
        paid = nested_order_tau(columns, gap, seed=repeat)
        nested.append((paid.tau, paid.ci_low, paid.ci_high))
        if not association:
            observed = kendall_taus(columns, gap, draws=2).tau_b
            null = Design.of_cells(models).null(seed=repeat, draws=PERMUTATIONS)
            highest = max_permutation_test(observed, permuted_taus(columns, gap, null))
            best.append(highest.tau)
            p_values.append(highest.p_value - rng.random() / (1 + PERMUTATIONS))  # made continuous
    shown = [
        f"{mean:+.3f}    {covered:5.1f} %"
        for mean, covered in (_covered(fixed, association), _covered(nested, association))
    ]
    under_null = f"{np.mean(best):+.3f}   p = {kstest(p_values, 'uniform').pvalue:.2f}" if best else ""
    return f"{models:6d}  {association:11.2f}  " + "   ".join(shown) + "   " + under_null


def _orders(rng: np.random.Generator, models: int) -> np.ndarray:
    """(models, ORDERS) three random components, weighted by functions of the order that decay."""
    order = np.linspace(0, 3, ORDERS)
    weights = np.stack([np.exp(-order), order * np.exp(-order), 0.3 * order])
    columns: np.ndarray = rng.normal(size=(models, 3)) @ weights
    return columns


def _covered(results: list[tuple[float, float, float]], association: float) -> tuple[float, float]:
    """Mean τ, and in how many per cent of the repeats the interval holds the truth."""
    mean = float(np.mean([tau for tau, _, _ in results]))
    truth = mean if association else 0.0
    return mean, 100 * float(np.mean([low <= truth <= high for _, low, high in results]))


if __name__ == "__main__":
    main()
