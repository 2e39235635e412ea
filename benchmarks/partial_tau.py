"""Errors of the statistics under the verdict: type I, power and coverage of the partial τ, nulls, nested τ, swap test.

    OMP_NUM_THREADS=1 python benchmarks/partial_tau.py [--repeats 300] [--seed 3]

`partial`: measure x and gap y are f(z) + noise, τ(x, z) as given, τ(y, z) = −.5, noises of τ = θ; N = 30, a grid of
2 × 3 × 5 that plays no part. Rejections are of estimable sweeps. `null`: x and y each follow the axes of that grid by a
share of their variance, and not each other. `nested`: 15 configurations of 3 seeds, 12 columns, no association. `swap`:
two equally good measures, one recorded in 5 levels.
"""

import argparse
import itertools
import math
from collections.abc import Callable

import numpy as np

from analysis.statistics import Design, adjusted_p_values, nested_order_tau, partial_tau, permuted_taus, swap_test
from analysis.statistics.pairs import PairSums

N, COLUMNS = 30, 10
TAU_YZ = 0.5
CODES = np.array(list(itertools.product(range(2), range(3), range(5))))
DESIGN = Design.of({"a": CODES[:, 0], "b": CODES[:, 1], "c": CODES[:, 2]})
SHAPES = {"straight": lambda z: z, "curved": lambda z: z + 0.5 * z**2, "heavy": lambda z: np.sinh(1.5 * z)}


def main() -> None:
    """One table a question."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=300)
    parser.add_argument("--seed", type=int, default=3)
    arguments = parser.parse_args()
    repeats, drawn = arguments.repeats, range(arguments.seed * 10_000, arguments.seed * 10_000 + arguments.repeats)
    print(f"{repeats} sweeps of seed {arguments.seed} each")
    print("partial τ   τ_xz     θ  estimable  rejected  interval holds the truth")
    for (name, shape), theta, tau in itertools.product(SHAPES.items(), (0.0, 0.4), (0.0, 0.5, 0.7, 0.85)):
        if theta == 0 or name == "straight":
            shares = np.mean([_partial(shape, theta, tau, repeat) for repeat in drawn], axis=0)
            estimable, rejected, holds = (float(share) for share in shares)
            rejected, holds = (share / max(estimable, 1e-9) for share in (rejected, holds))
            print(f"{name:10s} {tau:5.2f} {theta:5.1f} {estimable:10.2f} {rejected:9.3f} {holds:9.3f}", flush=True)
    print("null: share of the axes   rejected by levels   by configurations")
    for share in (0.0, 0.8, 0.95):
        levels, cells = np.mean([_null(share, repeat) for repeat in drawn[: max(repeats // 5, 1)]], axis=0)
        print(f"{share:20.2f} {levels:18.3f} {cells:18.3f}", flush=True)
    nested = np.array([_nested(repeat) for repeat in drawn[: max(repeats // 3, 1)]])
    for name, column in zip(("the models", "their configurations"), nested.T, strict=True):
        print(f"nested τ, chosen without {name}: {column.mean():+.3f} ± {column.std() / math.sqrt(len(column)):.3f}")
    print(f"swap test against five levels: {np.mean([_swap(repeat) for repeat in drawn[: max(repeats // 5, 1)]]):.3f}")


def _partial(
    shape: Callable[[np.ndarray], np.ndarray], theta: float, tau: float, repeat: int
) -> tuple[float, float, float]:
    """Shares of columns that are estimable, and rejected, and hold the truth."""
    rng = np.random.default_rng([repeat])
    rho = math.sin(math.pi / 2 * tau)
    z = rng.normal(size=N)
    common = rng.normal(size=N)
    bend = (shape(z) - np.mean(shape(z))) / np.std(shape(z))
    fixed = math.sin(math.pi / 2 * TAU_YZ)
    y = -fixed * bend + math.sqrt(1 - fixed**2) * common
    own = rng.normal(size=(N, COLUMNS))
    x = rho * bend[:, None] + math.sqrt(1 - rho**2) * (theta_of(theta) * common[:, None] + rest_of(theta) * own)
    found = partial_tau(x, y, z, design=DESIGN)
    holds = (found.ci_low <= theta) & (theta <= found.ci_high)
    rejected = found.p_value < 0.05
    estimable = found.estimable
    return float(estimable.mean()), float((rejected & estimable).mean()), float((holds & estimable).mean())


def theta_of(theta: float) -> float:
    """The correlation of normal variables with this τ."""
    return math.sin(math.pi / 2 * theta)


def rest_of(theta: float) -> float:
    """√(1 − ρ²) of it."""
    return math.sqrt(1 - theta_of(theta) ** 2)


def _null(share: float, repeat: int) -> tuple[float, float]:
    rng = np.random.default_rng([repeat, 1])
    effects = [sum(rng.normal(size=5)[codes] for codes in CODES.T) for _ in range(COLUMNS + 1)]
    x = math.sqrt(share / 3) * np.array(effects).T + math.sqrt(1 - share) * rng.normal(size=(N, COLUMNS + 1))
    columns, gap = x[:, 1:], x[:, 0]
    tau = PairSums(columns, gap).weighted_tau(np.ones((1, N)))[0]
    nulls = DESIGN.null(seed=repeat), Design.of_cells(N).null(seed=repeat)
    p_values = [adjusted_p_values(tau, permuted_taus(columns, gap, null))[0] for null in nulls]
    return float((p_values[0] < 0.05).mean()), float((p_values[1] < 0.05).mean())


def _nested(repeat: int) -> tuple[float, float]:
    rng = np.random.default_rng([repeat, 2])
    cells = np.repeat(np.arange(15), 3)
    columns = rng.normal(size=(15, 12))[cells] + 0.3 * rng.normal(size=(45, 12))
    gap = rng.normal(size=15)[cells] + 0.3 * rng.normal(size=45)
    return nested_order_tau(columns, gap).tau, nested_order_tau(columns, gap, cells=cells).tau


def _swap(repeat: int) -> float:
    rng = np.random.default_rng([repeat, 3])
    gap = rng.normal(size=N)
    x, y = (0.85 * gap[:, None] + math.sqrt(1 - 0.85**2) * rng.normal(size=(N, 20)) for _ in range(2))
    return float((swap_test(x, np.digitize(y, [-0.84, -0.25, 0.25, 0.84]), gap, draws=1000) < 0.05).mean())


if __name__ == "__main__":
    main()
