"""Each row of the decision table, at both sides of each of its limits."""

import math

import pytest

from analysis.report.statements import (
    Beyond,
    Claim,
    Pooling,
    beyond,
    claim,
    configurations_needed,
    null_stderr,
    pooling,
)


@pytest.mark.parametrize(
    ("configurations", "p_adjusted", "rivals", "expected"),
    [
        (9, 0.001, [], Claim.TOO_LITTLE),
        (10, 0.001, [0.001], Claim.INTERVALS),
        (14, 0.9, [], Claim.INTERVALS),
        (15, 0.05, [0.001], Claim.NOTHING),
        (15, math.nan, [], Claim.NOTHING),
        (15, 0.049, [], Claim.BEST),
        (15, 0.049, [0.001, 0.025], Claim.BEST),
        (15, 0.049, [0.001, 0.026], Claim.TIED),
    ],
)
def test_the_strongest_measure(configurations: int, p_adjusted: float, rivals: list[float], expected: Claim) -> None:
    assert claim(configurations, p_adjusted, rivals) is expected


@pytest.mark.parametrize(
    ("tau", "given", "low", "high", "p_adjusted", "estimable", "expected"),
    [
        (0.5, 0.4, 0.1, 0.6, 0.049, True, Beyond.BEYOND),
        (-0.5, -0.4, -0.6, -0.1, 0.049, True, Beyond.BEYOND),
        (0.5, -0.4, -0.6, -0.1, 0.049, True, Beyond.NOT_SHOWN),
        (0.5, 0.4, 0.1, 0.6, 0.05, True, Beyond.NOT_SHOWN),
        (0.5, 0.05, -0.2, 0.2, 0.5, True, Beyond.NONE),
        (0.5, 0.05, -0.1, 0.21, 0.5, True, Beyond.NOT_SHOWN),
        (0.5, 0.4, math.nan, math.nan, 0.5, True, Beyond.NOT_SHOWN),
        (0.5, 0.4, 0.1, 0.6, 0.001, False, Beyond.INSEPARABLE),
        (0.5, math.nan, math.nan, math.nan, math.nan, True, Beyond.INSEPARABLE),
    ],
)
def test_what_the_training_loss_leaves(
    tau: float, given: float, low: float, high: float, p_adjusted: float, estimable: bool, expected: Beyond
) -> None:
    assert beyond(tau, given, low, high, p_adjusted, estimable) is expected


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        ((0.1, 0.1, 0.9, -0.1, 0.1, 0.049, 0.001), Pooling.SIGN_DEPENDS),
        ((-0.1, 0.5, 0.049, -0.9, -0.1, 0.5, 0.9), Pooling.CONTRAST_SIGN),
        ((-0.1, 0.5, 0.05, -0.9, -0.1, 0.5, 0.9), Pooling.WITHIN),
        ((0.1, 0.5, 0.001, -0.9, -0.1, 0.5, 0.9), Pooling.WITHIN),
        ((0.9, 0.5, 0.001, 0.1, 0.7, 0.5, 0.001), Pooling.WITHIN),
        ((0.5, 0.5, 0.001, -0.1, 0.1, 0.5, 0.049), Pooling.EACH),
        ((0.5, 0.5, 0.001, -0.1, 0.1, 0.5, 0.05), Pooling.POOLED),
        ((0.5, 0.5, 0.001, *[math.nan] * 4), Pooling.POOLED),
    ],
)
def test_how_groups_are_reported(numbers: tuple[float, ...], expected: Pooling) -> None:
    assert pooling(*numbers) is expected


def test_the_null_standard_error_has_the_values_of_the_specification() -> None:
    assert [round(null_stderr(g), 3) for g in (6, 10, 15, 30)] == [0.355, 0.248, 0.192, 0.129]


def test_how_many_configurations_a_conclusion_takes() -> None:
    assert configurations_needed(0.9, 1) == 15
    assert configurations_needed(0.0, 1) is None
    needed = configurations_needed(0.2, 40)
    assert needed is not None
    assert null_stderr(needed) <= 0.2 / 3.227 < null_stderr(needed - 1)  # 3.227: of .05 over 40 columns, two-sided
    assert configurations_needed(-0.2, 40) == needed
