"""Average-case sharpness: how far random noise on the weights raises the loss."""

from collections.abc import Iterable

import torch

from analysis.schema import Measurement
from analysis.sharpness.landscape import Landscape
from analysis.sharpness.means import mean_and_stderr
from analysis.sharpness.subject import Subject, Values, tabulate


def average_sharpness(
    landscape: Landscape, sigmas: Iterable[float], adaptive: bool = False, num_draws: int = 100, seed: int = 0
) -> dict[float, tuple[float, float]]:
    """Mean over draws z ~ N(0, I) of L(w + σ z) − L(w), or of L(w + σ |w|⊙z) − L(w) if adaptive, by σ.

    To second order this is ½σ² Tr H, or ½σ² Σ H_ii w_i². All σ and all networks use the same draws.

    Returns:
        (mean, standard error over draws) by σ.

    Cost: one forward pass, and one more for each draw and σ.

    Source: Andriushchenko et al. 2023, eq. 1 and 2.
    """
    rises: dict[float, list[float]] = {sigma: [] for sigma in sigmas}
    w = landscape.weights
    with landscape.held_still():
        clean = landscape.own_losses.mean().item()
        for draw in range(num_draws):
            noise = landscape.noise(seed, "average", draw)
            if adaptive:
                noise = w.abs() * noise
            for sigma, values in rises.items():
                values.append(landscape.losses(w + sigma * noise).mean().item() - clean)
    return {sigma: mean_and_stderr(torch.tensor(values, dtype=torch.float64)) for sigma, values in rises.items()}


def average(subject: Subject, measure: str) -> list[Measurement]:
    """The rows of `avg` and `avg_adaptive`."""
    settings = subject.settings.average
    adaptive = measure == "avg_adaptive"

    def values(block: str) -> Values:
        landscape = subject.landscape(block)
        return average_sharpness(landscape, settings.sigmas, adaptive, settings.num_draws, subject.settings.seed)

    return tabulate(measure, subject.blocks(measure), settings.sigmas, values)
