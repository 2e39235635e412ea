"""Worst-case sharpness by projected gradient ascent with an adaptive step (APGD)."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from analysis.errors import UndefinedMeasureError
from analysis.schema import Measurement
from analysis.sharpness.landscape import Landscape
from analysis.sharpness.measures.one_step import Ball, ball_of
from analysis.sharpness.subject import Subject, Values, tabulate

MOMENTUM = 0.75  # share of the new point in the next one
IMPROVING = 0.75  # share of steps between two checkpoints that must improve, or the step is halved
FIRST_CHECKPOINT, SHRINKING, LEAST_INTERVAL = 0.22, 0.03, 0.06  # fractions of the number of steps


def worst_case_sharpness(
    landscape: Landscape, ball: Ball, rho: float, num_steps: int = 20, batch_size: int = 128
) -> float:
    """Mean over batches B of max L_B(w + T u) − L_B(w) over the ball ‖u‖ ≤ ρ, found by APGD.

    Batches are weighted by their size. The value is at least that of `one_step_sharpness` in the same ball.

    Cost: num_steps + 1 forward and num_steps backward passes.

    Raises:
        UndefinedMeasureError: a batch's gradient at w is zero, or a loss during the ascent is NaN or infinite.

    Source: Andriushchenko et al. 2023, with Croce and Hein 2020; `ascend` states the differences.
    """
    total = 0.0
    with landscape.held_still():
        for batch in landscape.batches(batch_size):
            w = batch.weights
            T = ball.scale(w)

            def function(u: Tensor, batch: Landscape = batch, w: Tensor = w, T: Tensor = T) -> tuple[float, Tensor]:
                loss, gradient = batch.loss_and_gradient(w + T * u)
                return loss, T * gradient

            total += ascend(function, torch.zeros_like(w), ball, rho, num_steps) * batch.num_samples
    return total / landscape.num_samples


def ascend(
    function: Callable[[Tensor], tuple[float, Tensor]], start: Tensor, ball: Ball, rho: float, num_steps: int
) -> float:
    """The largest rise of a function over ‖u‖ ≤ ρ that APGD finds from u = 0.

    Each step goes 2ρ along the steepest direction and is projected; the result is ¾ of this step plus ¼ of the previous
    one. At checkpoints (after 0.22 of the steps, then at intervals that shrink by 0.03 down to 0.06) the step size is
    halved and the ascent restarts from the best point, if fewer than ¾ of the steps since the last checkpoint improved
    the value, or if step size and best value have not changed since then.

    In an adaptive ball Andriushchenko et al. step and project in w; here both are done in u = T⁻¹δ, where the ball is
    round. The set and its maximum are the same; but no equation has to be solved, weights at 0 need no special care,
    and the first step is that of ASAM.

    Args:
        function: u ↦ value and gradient (n,).
        start: (n,) zeros.

    Raises:
        UndefinedMeasureError: the gradient at 0 is zero, or a value is NaN or infinite.
    """
    u, value, gradient = start, *function(start)
    clean, step = value, 2 * rho
    best, best_u, best_gradient = value, u, gradient
    previous = u
    checkpoints = _checkpoints(num_steps)
    last_checkpoint, improved, halved_before, best_before = 0, 0, True, best
    for k in range(num_steps):
        try:
            target = ball.project(u + step * ball.steepest(gradient), rho)
        except UndefinedMeasureError:
            if k == 0:
                raise
            break  # a stationary point: no direction leads upwards
        if k > 0:
            target = ball.project(u + MOMENTUM * (target - u) + (1 - MOMENTUM) * (u - previous), rho)
        u, previous = target, u
        before = value
        value, gradient = function(u)
        if not abs(value) < float("inf"):
            raise UndefinedMeasureError(f"the loss is {value} within ρ = {rho:g} of the weights")
        improved += value > before
        if value > best:
            best, best_u, best_gradient = value, u, gradient
        if k + 1 in checkpoints:
            few = improved < IMPROVING * (k + 1 - last_checkpoint)
            stuck = not halved_before and best == best_before
            halved_before = few or stuck
            if halved_before:
                step /= 2
                u, value, gradient = best_u, best, best_gradient
            last_checkpoint, improved, best_before = k + 1, 0, best
    return best - clean


def _checkpoints(num_steps: int) -> set[int]:
    """The steps after which the step size may be halved."""
    fraction, interval, found = FIRST_CHECKPOINT, FIRST_CHECKPOINT, set()
    while fraction < 1:
        found.add(int(-(-fraction * num_steps // 1)))
        interval = max(interval - SHRINKING, LEAST_INTERVAL)
        fraction += interval
    return found


def n_step(subject: Subject, measure: str) -> list[Measurement]:
    """The rows of `sam_n`, `asam_n`, `sam_linf_n` and `asam_linf_n`, at the ρ of the one-step measures.

    Each ρ is an ascent of its own: one at which the loss overflows leaves the others their values.
    """
    worst_case = subject.settings.worst_case
    ball = ball_of(measure)

    def rise(block: str, rho: float) -> Values:
        landscape = subject.landscape(block)
        return {rho: (worst_case_sharpness(landscape, ball, rho, worst_case.num_steps, worst_case.batch_size), 0.0)}

    return [
        row
        for block in subject.blocks(measure)
        for rho in worst_case.rhos(measure)
        for row in tabulate(measure, [block], [rho], partial(rise, rho=rho))
    ]
