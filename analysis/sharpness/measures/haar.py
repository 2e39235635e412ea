"""The loss under a random orthogonal transformation of the samples (Rényi Sharpness, Proposition 3.1)."""

from dataclasses import replace

import torch
from torch import Tensor

from analysis.errors import UndefinedMeasureError
from analysis.schema import ALL_LAYERS, Measurement
from analysis.seeding import derive_seed
from analysis.sharpness.landscape import Landscape
from analysis.sharpness.means import mean_and_stderr
from analysis.sharpness.subject import Subject, Values, tabulate


def haar_loss(landscape: Landscape, rho: float, num_draws: int = 300, seed: int = 0) -> tuple[float, float]:
    """E_A L(S(A, ρ)), the mean loss on samples x_i + ρ A x_i with A Haar-distributed in O(d), and its standard error.

    The mean over samples is linear, so only the distribution of each single A x_i matters. It is that of ‖x_i‖ u with u
    uniform on the sphere, so no d×d matrix is needed. For f = wᵀx and half the squared error the rise is ½ρ²‖w‖²‖x‖²/d.

    Cost: one forward pass for each draw.

    Raises:
        UndefinedMeasureError: the inputs are integers, several tensors, or too large for memory.

    Source: Rényi Sharpness, Proposition 3.1.
    """
    x = landscape.problem.inputs
    if not isinstance(x, Tensor) or not x.is_floating_point() or landscape.problem.stream is not None:
        raise UndefinedMeasureError(
            "only inputs that are one floating-point tensor in memory can be moved in a random direction"
        )
    norms = torch.linalg.vector_norm(x.flatten(1), dim=1).view(-1, *[1] * (x.ndim - 1))
    values = torch.empty(num_draws, dtype=torch.float64)
    with landscape.held_still():
        for draw in range(num_draws):
            u = _normal(x, seed, draw)
            length = torch.linalg.vector_norm(u.flatten(1), dim=1).view_as(norms)
            moved = replace(landscape, problem=replace(landscape.problem, inputs=x + rho * norms / length * u))
            values[draw] = moved.losses(landscape.weights).mean()
    return mean_and_stderr(values)


def _normal(like: Tensor, *purpose: object) -> Tensor:
    """Standard normal numbers in the shape of a tensor, drawn on the CPU, so that they are the same on every device."""
    generator = torch.Generator().manual_seed(derive_seed("haar", *purpose))
    return torch.randn(like.shape, generator=generator).to(device=like.device, dtype=like.dtype)


def haar(subject: Subject, measure: str) -> list[Measurement]:
    """The rows of `haar_loss`."""
    settings = subject.settings.haar

    def values(block: str) -> Values:
        landscape = subject.landscape(block)
        return {rho: haar_loss(landscape, rho, settings.num_draws, subject.settings.seed) for rho in settings.rhos}

    return tabulate(measure, [ALL_LAYERS], settings.rhos, values)
