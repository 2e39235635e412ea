"""Stochastic Lanczos quadrature: from products with random probes to a spectral quadrature."""

import numpy as np
import torch
from torch import Tensor

from analysis.errors import UndefinedMeasureError
from analysis.seeding import derive_seed
from analysis.sharpness.hessian import BlockOperator
from analysis.sharpness.lanczos import lanczos
from analysis.spectrum import SpectralQuadrature

PROBES_A_ROUND = 5


def rademacher_probes(num_probes: int, operator: BlockOperator, seed: int) -> Tensor:
    """(num_probes, n) vectors of ±1, the same on every device: drawn on the CPU."""
    generator = torch.Generator().manual_seed(seed)
    signs = torch.randint(0, 2, (num_probes, operator.dim), generator=generator, dtype=torch.int8)
    return (2 * signs - 1).to(device=operator.device, dtype=operator.dtype, non_blocking=True)


def exact_quadrature(operator: BlockOperator) -> SpectralQuadrature:
    """The whole spectrum, from n products and a dense symmetric eigenproblem in float64."""
    identity = torch.eye(operator.dim, dtype=operator.dtype, device=operator.device)
    H = operator.matmat(identity).double().cpu()
    if not torch.isfinite(H).all():
        raise UndefinedMeasureError("the Hessian has NaN or infinite entries")
    return SpectralQuadrature.from_eigenvalues(torch.linalg.eigvalsh(0.5 * (H + H.T)).numpy())


def paired_quadrature(
    operator: BlockOperator,
    orders: tuple[float, ...],
    tolerance: float,
    num_probes: int,
    num_matvecs: int,
    seed: int,
) -> SpectralQuadrature:
    """Stochastic Lanczos quadrature whose trace comes from the same probes (ESTIMATION §3, `paired`).

    Probes are added in rounds of five until the standard error of the entropy at every order in `orders` is at most
    `tolerance` nats, or `num_probes` are spent. Probe k is the same for every model, network size permitting.

    Cost: num_matvecs products a probe. Gauss quadrature overestimates the entropy below order 1 by what
    `num_matvecs` leaves unresolved at the bottom of the spectrum; more probes do not mend that, more steps do.
    """
    nodes: list[np.ndarray] = []
    weights: list[np.ndarray] = []
    done = 0
    while True:
        size = min(PROBES_A_ROUND, num_probes - done)
        probes = rademacher_probes(size, operator, derive_seed(seed, "round", done))
        theta, tau = lanczos(operator, probes, num_matvecs).quadrature()
        if not torch.isfinite(theta).all():
            raise UndefinedMeasureError("the Hessian products are NaN or infinite")
        nodes.append(theta.cpu().numpy())
        weights.append(tau.cpu().numpy())
        done += size
        quadrature = SpectralQuadrature(operator.dim, np.concatenate(nodes), np.concatenate(weights))
        spread = max(quadrature.renyi_entropy(order).stderr for order in orders)
        if done >= num_probes or spread <= tolerance:
            return quadrature
