"""The balls of worst-case perturbations, and sharpness after one step of ascent (SAM, ASAM)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from analysis.errors import UndefinedMeasureError
from analysis.schema import Measurement
from analysis.sharpness.landscape import Landscape
from analysis.sharpness.subject import Subject, Values, tabulate

ONE_STEP = ("sam", "asam", "sam_linf", "asam_linf")
N_STEP_SUFFIX = "_n"
ZERO_GRADIENT = "the gradient is zero, so it gives no direction for the step"


@dataclass(frozen=True)
class Ball:
    """The perturbations T u with ‖u‖ ≤ ρ; T = diag(|w| + η) if adaptive, else the identity."""

    norm: Literal["l2", "linf"]
    adaptive: bool = False
    eta: float = 0.0

    def scale(self, weights: Tensor) -> Tensor:
        """(n,) diagonal of T."""
        return weights.abs() + self.eta if self.adaptive else torch.ones_like(weights)

    def steepest(self, gradient: Tensor) -> Tensor:
        """(n,) the u of norm 1 along which a function with this gradient rises fastest.

        Raises:
            UndefinedMeasureError: the gradient is zero, NaN or infinite.
        """
        size = torch.linalg.vector_norm(gradient, dtype=torch.float64).item()
        if size == 0:
            raise UndefinedMeasureError(ZERO_GRADIENT)
        if not size < float("inf"):
            raise UndefinedMeasureError("the gradient is NaN or infinite")
        return gradient.sign() if self.norm == "linf" else gradient / size

    def project(self, u: Tensor, rho: float) -> Tensor:
        """(n,) the point of the ball that is nearest to u."""
        if self.norm == "linf":
            return u.clamp(-rho, rho)
        size = torch.linalg.vector_norm(u)
        return torch.where(size > rho, u * (rho / size), u)


def ball_of(measure: str, eta: float = 0.0) -> Ball:
    norm = "linf" if measure.removesuffix(N_STEP_SUFFIX).endswith("linf") else "l2"
    return Ball(norm, measure.startswith("asam"), eta)  # type: ignore[arg-type]  # one of the two


def one_step_sharpness(
    landscape: Landscape, ball: Ball, rhos: Sequence[float], batch_size: int = 128
) -> dict[float, float]:
    """Mean over batches B of L_B(w + T u) − L_B(w), u = ρ T g/‖T g‖₂ (ℓ2) or ρ sign(T g) (ℓ∞), g = ∇L_B(w), by ρ.

    Batches are weighted by their size. On the quadratic ½(w₁² + 4w₂²) at (1, ½), ρ = 0.1: 0.2406068 (ℓ2), 0.325
    (ℓ∞), adaptive 0.1464214 and 0.21.

    Cost: one forward and backward pass, and one forward pass for each ρ.

    Raises:
        UndefinedMeasureError: a batch's gradient is zero, NaN or infinite.

    Source: Foret et al. 2021, eq. 2; Kwon et al. 2021, eq. 8; m-sharpness after Andriushchenko et al. 2023.
    """
    (result,) = one_step_sharpnesses({"": landscape}, {"": (ball, rhos)}, batch_size).values()
    if isinstance(result, UndefinedMeasureError):
        raise result
    return result


def one_step_sharpnesses(
    landscapes: Mapping[str, Landscape], steps: Mapping[str, tuple[Ball, Sequence[float]]], batch_size: int
) -> dict[tuple[str, str], dict[float, float] | UndefinedMeasureError]:
    """`one_step_sharpness` of several blocks of one network in several balls, by (block, ball), from one gradient.

    Cost: one forward and backward pass, and one forward pass for each block, ball and ρ. A block without a gradient has
    an error as its value; the others are not affected.
    """
    names = dict.fromkeys(name for landscape in landscapes.values() for name in landscape.names)
    union = replace(next(iter(landscapes.values())), names=tuple(names))
    rises = {(block, step): dict.fromkeys(steps[step][1], 0.0) for block in landscapes for step in steps}
    undefined: dict[tuple[str, str], UndefinedMeasureError] = {}
    with union.held_still():
        for number, batch in enumerate(union.batches(batch_size)):
            loss, gradient = batch.loss_and_gradient(batch.weights)
            gradients = batch.split(gradient)
            for (block, step), rise in rises.items():
                landscape = replace(landscapes[block], problem=batch.problem)
                g = torch.cat([gradients[name] for name in landscape.names])
                try:
                    direction = _direction(steps[step][0], landscape.weights, g)
                except UndefinedMeasureError as error:
                    undefined[block, step] = UndefinedMeasureError(f"batch {number}: {error}")
                    continue
                for rho in rise:
                    perturbed = landscape.losses(landscape.weights + rho * direction).mean().item()
                    rise[rho] += (perturbed - loss) * batch.num_samples / union.num_samples
    return rises | undefined


def _direction(ball: Ball, weights: Tensor, gradient: Tensor) -> Tensor:
    """(n,) T u for the steepest u of norm 1."""
    T = ball.scale(weights)
    return T * ball.steepest(T * gradient)


def one_step(subject: Subject, measure: str) -> list[Measurement]:
    """The rows of `sam`, `asam`, `sam_linf` and `asam_linf`; all that are measured share one gradient."""

    def values(block: str) -> Values:
        rises = subject.shared(_all_one_step)[block, measure]
        if isinstance(rises, UndefinedMeasureError):
            raise rises
        return {rho: (rise, 0.0) for rho, rise in rises.items()}

    return tabulate(measure, subject.blocks(measure), subject.settings.worst_case.rhos(measure), values)


def _all_one_step(subject: Subject) -> dict[tuple[str, str], dict[float, float] | UndefinedMeasureError]:
    """Every one-step measure of the settings, from one gradient for each set of blocks."""
    settings = subject.settings.worst_case
    wanted = [measure for measure in ONE_STEP if measure in subject.settings.measures]
    rises: dict[tuple[str, str], dict[float, float] | UndefinedMeasureError] = {}
    for blocks in dict.fromkeys(tuple(subject.blocks(measure)) for measure in wanted):
        steps = {
            measure: (ball_of(measure, settings.eta if measure == "asam" else 0.0), settings.rhos(measure))
            for measure in wanted
            if tuple(subject.blocks(measure)) == blocks
        }
        landscapes = {block: subject.landscape(block) for block in blocks}
        rises |= one_step_sharpnesses(landscapes, steps, settings.batch_size)
    return rises
