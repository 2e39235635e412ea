"""PAC-Bayes measures: how much noise on all weights a network tolerates before its accuracy drops."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from analysis.errors import AnalysisError, UndefinedMeasureError
from analysis.schema import ALL_LAYERS, Measurement
from analysis.settings import PacBayesSettings
from analysis.sharpness.batch_norm import fold_batch_norm, normalized_pairs
from analysis.sharpness.landscape import Landscape, loss_landscape
from analysis.sharpness.layers import widened_copy
from analysis.sharpness.means import mean_and_stderr
from analysis.sharpness.subject import Subject, Values, tabulate

MAGNITUDE_EPS = 1e-3  # ε of the magnitude-aware noise, by which weights at 0 move too
CONFIDENCE = 10.0  # the constant of the bounds
DEFAULTS = PacBayesSettings()


@dataclass(frozen=True)
class NoiseLevel:
    """The σ whose noise reduces the accuracy by the target."""

    sigma: float
    stderr: float  # over the draws

    @property
    def flatness(self) -> tuple[float, float]:
        """1/σ² with its standard error; larger means sharper."""
        return self.carried_through(lambda sigma: sigma**-2)

    def carried_through(self, function: Callable[[float], float]) -> tuple[float, float]:
        """A function of σ, with its standard error to first order."""
        step = 1e-4 * self.sigma
        slope = (function(self.sigma + step) - function(self.sigma - step)) / (2 * step)
        return function(self.sigma), abs(slope) * self.stderr


def find_noise_level(
    landscape: Landscape, magnitude_aware: bool = False, search: PacBayesSettings = DEFAULTS, seed: int = 0
) -> NoiseLevel:
    """σ of the noise u ~ N(0, σ² I) on the weights that changes the accuracy by the target: |mean − clean| = target.

    Magnitude-aware noise has standard deviation sqrt(σ² w_i² + ε²), ε = 1e-3. All σ and all networks use the
    same draws. For sign(w·x) with w = x = 1 and a target of 0.1: σ = 0.780304.

    Cost: one forward pass for each draw and σ that is tried, and two more; by default at most 16 σ and 162 passes.

    Raises:
        UndefinedMeasureError: the clean accuracy is below chance plus target, so it can't drop by the target; or the
            target is not reached at the largest σ.

    Source: Jiang et al. 2019, appendix C.5; Dziugaite et al. 2020 (who search σ²).
    """
    w = landscape.weights
    with landscape.held_still():
        clean = landscape.accuracy(w)
        chance = landscape.problem.chance
        if not clean >= chance + search.target:
            raise UndefinedMeasureError(
                f"the accuracy is {clean:.3f}, less than chance ({chance:.3f}) plus the drop ({search.target:g})"
            )

        def drop(sigma: float) -> tuple[float, float]:
            std = (sigma**2 * w.square() + MAGNITUDE_EPS**2).sqrt() if magnitude_aware else sigma
            draws = (landscape.noise(seed, "pac-bayes", draw) for draw in range(search.num_draws))
            noisy = torch.tensor([landscape.accuracy(w + std * z) for z in draws], dtype=torch.float64)
            mean, stderr = mean_and_stderr(noisy)
            return abs(mean - clean), stderr

        return bisect(drop, search)


def bisect(drop: Callable[[float], tuple[float, float]], search: PacBayesSettings = DEFAULTS) -> NoiseLevel:
    """The σ at which a drop of the accuracy, with known standard error, equals the target.

    The bisection ends within the tolerance; interpolation between the last two σ on either side of the target then
    gives the value. Without it every σ would have few binary digits, and different networks would be tied.

    Raises:
        UndefinedMeasureError: the target is not reached at the largest σ.
    """
    low, low_drop = 0.0, 0.0
    high = search.largest
    high_drop, stderr = drop(high)
    if not high_drop >= search.target:
        raise UndefinedMeasureError(
            f"noise of σ = {high:g} lowers the accuracy by only {high_drop:.3f}, not by {search.target:g}: "
            "σ is not bracketed"
        )
    for _ in range(search.num_halvings):
        middle = (low + high) / 2
        middle_drop, stderr = drop(middle)
        if middle_drop < search.target:
            low, low_drop = middle, middle_drop
        else:
            high, high_drop = middle, middle_drop
        if abs(middle_drop - search.target) < search.tolerance:
            break
    slope = (high_drop - low_drop) / (high - low)
    return NoiseLevel(low + (search.target - low_drop) / slope, stderr / slope)


def origin_value(weights: Tensor, sigma: float, *, num_samples: int) -> float:
    """sqrt((‖w‖²/(4σ²) + log(N/σ) + 10)/N): `pacbayes_orig`. Cost: no pass.

    For N = 2000, ‖w‖ = 1, σ = 0.780304: 0.0955499. Source: Dziugaite et al. 2020, eq. 45.
    """
    square = torch.linalg.vector_norm(weights, dtype=torch.float64).item() ** 2
    return _bound(square / (4 * sigma**2), sigma, num_samples)


def magnitude_aware_value(
    weights: Tensor, initial: Tensor, sigma: float, *, num_samples: int, from_initial: bool
) -> float:
    """sqrt((¼ Σ_i log[(ε² + (σ² + 1)‖r‖²/ω)/(ε² + σ²(w_i − w⁰_i)²)] + log(N/σ) + 10)/N). Cost: no pass.

    r is w − w⁰ (`pacbayes_mag_init`) or w (`pacbayes_mag_orig`), ω the number of weights, σ that of the
    magnitude-aware noise.

    Source: Dziugaite et al. 2020, eq. 47 and 48.
    """
    moved = (weights - initial).double()
    r = moved if from_initial else weights.double()
    above = MAGNITUDE_EPS**2 + (sigma**2 + 1) * r.square().sum() / len(r)
    below = MAGNITUDE_EPS**2 + sigma**2 * moved.square()
    return _bound(0.25 * (above / below).log().sum().item(), sigma, num_samples)


def reference_weights(
    landscape: Landscape, initial: Mapping[str, Tensor] | None, fold: bool = True
) -> tuple[Landscape, Tensor | None]:
    """The landscape to which noise is added, with batch-norms folded in if wanted, and the initial weights (n,).

    Raises:
        AnalysisError: the initial weights are those of another network, or folding changes what the network computes.
    """
    problem = landscape.problem
    pairs = normalized_pairs(problem) if fold else []
    reference = landscape
    if pairs:
        reference = loss_landscape(fold_batch_norm(problem.model, pairs), problem.samples, loss=problem.loss)
        if not torch.allclose(landscape.own_losses, reference.own_losses, rtol=1e-2, atol=1e-3):
            raise AnalysisError(
                "folding the batch-norms changes what the network computes; set pac_bayes.fold_batch_norm to false"
            )
    if initial is None:
        return reference, None
    start = widened_copy(problem.model)
    try:
        start.load_state_dict(dict(initial))
    except RuntimeError as error:
        raise AnalysisError(f"the initial weights do not fit the network: {error}") from error
    start = fold_batch_norm(start, pairs)
    return reference, torch.cat([start.get_parameter(name).detach().flatten() for name in reference.names])


def _bound(divergence: float, sigma: float, num_samples: int) -> float:
    return math.sqrt((divergence + math.log(num_samples / sigma) + CONFIDENCE) / num_samples)


def flatness(subject: Subject, measure: str) -> list[Measurement]:
    """The rows of `pacbayes_flat` and `pacbayes_mag_flat`."""
    noise = _magnitude_aware_noise if measure == "pacbayes_mag_flat" else _plain_noise

    def values(_: str) -> Values:
        return {None: subject.shared(noise).flatness}

    return tabulate(measure, [ALL_LAYERS], [None], values)


def bound_from_origin(subject: Subject, measure: str) -> list[Measurement]:
    """The row of `pacbayes_orig`, with the noise of `pacbayes_flat`."""

    def values(_: str) -> Values:
        noise, (landscape, _start) = subject.shared(_plain_noise), subject.shared(_reference)
        bound = partial(origin_value, landscape.weights, num_samples=landscape.num_samples)
        return {None: noise.carried_through(bound)}

    return tabulate(measure, [ALL_LAYERS], [None], values)


def magnitude_aware_bound(subject: Subject, measure: str) -> list[Measurement]:
    """The rows of `pacbayes_mag_init` and `pacbayes_mag_orig`, with the noise of `pacbayes_mag_flat`."""

    def values(_: str) -> Values:
        noise, (landscape, start) = subject.shared(_magnitude_aware_noise), subject.shared(_reference)
        if start is None:
            raise UndefinedMeasureError("the initial weights are not known; pass their state dict as `initial`")
        bound = partial(
            magnitude_aware_value,
            landscape.weights,
            start,
            num_samples=landscape.num_samples,
            from_initial=measure == "pacbayes_mag_init",
        )
        return {None: noise.carried_through(bound)}

    return tabulate(measure, [ALL_LAYERS], [None], values)


def _reference(subject: Subject) -> tuple[Landscape, Tensor | None]:
    """The landscape of all weights, to which noise is added, and the initial weights, if they are known."""
    landscape = subject.landscape(ALL_LAYERS)
    return reference_weights(landscape, subject.initial, subject.settings.pac_bayes.fold_batch_norm)


def _plain_noise(subject: Subject) -> NoiseLevel:
    landscape, _ = subject.shared(_reference)
    return find_noise_level(landscape, False, subject.settings.pac_bayes, subject.settings.seed)


def _magnitude_aware_noise(subject: Subject) -> NoiseLevel:
    landscape, _ = subject.shared(_reference)
    return find_noise_level(landscape, True, subject.settings.pac_bayes, subject.settings.seed)
