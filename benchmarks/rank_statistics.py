"""τ and 2 000 bootstrap draws of every column of a ResNet-18 sweep, against a loop over scipy's kendalltau.

    OMP_NUM_THREADS=1 python benchmarks/rank_statistics.py

The loop is timed on a sample of (draw, column) pairs and scaled up. A draw holds models more than once, whose copies
scipy would count as ties; so values are compared on subsets, where both mean the same.
"""

import statistics
import time

import numpy as np
from scipy.stats import kendalltau

from analysis.statistics.pairs import PairSums
from analysis.statistics.resampling import bootstrap_multiplicities

MODELS, COLUMNS, DRAWS = 90, 22 * 37 + 16, 2000
REPEATS, SAMPLE = 5, 400


def main() -> None:
    """Interleave both, and print medians with their ratio."""
    rng = np.random.default_rng(0)
    columns, gap = rng.normal(size=(MODELS, COLUMNS)), rng.normal(size=MODELS)
    draws = bootstrap_multiplicities(MODELS, draws=DRAWS)
    ours, theirs = [], []
    for _ in range(REPEATS):
        start = time.perf_counter()
        PairSums(columns, gap).weighted_tau(draws)
        ours.append(time.perf_counter() - start)
        start = time.perf_counter()
        for index in range(SAMPLE):
            chosen = rng.integers(0, MODELS, MODELS)
            kendalltau(columns[chosen, index % COLUMNS], gap[chosen])
        theirs.append((time.perf_counter() - start) * DRAWS * COLUMNS / SAMPLE)
    halves = (draws[:100] > 0).astype(float)  # each model at most once: what scipy can compute
    found = PairSums(columns, gap).weighted_tau(halves)
    expected = [kendalltau(columns[row > 0, index], gap[row > 0]).statistic for index, row in enumerate(halves)]
    error = np.abs(found[np.arange(100), np.arange(100)] - expected).max()
    mine, scipys = statistics.median(ours), statistics.median(theirs)
    print(f"{COLUMNS} columns, N = {MODELS}, {DRAWS} draws, median of {REPEATS}")
    print(f"this package {mine:.2f} s, scipy's loop {scipys:.0f} s (scaled), {scipys / mine:.0f} times")
    print(f"largest difference on 100 subsets: {error:.1e}")


if __name__ == "__main__":
    main()
