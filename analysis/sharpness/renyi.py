"""Spectra of every layer's Hessian block, and the Rényi sharpness read off them."""

from collections.abc import Iterable, Mapping

from torch import Tensor, nn

from analysis.errors import UndefinedMeasureError
from analysis.schema import ALL_LAYERS, HEADLINE_ORDERS, Measurement
from analysis.seeding import derive_seed
from analysis.sharpness.hessian import BlockOperator, block_operator
from analysis.sharpness.layers import weight_layers
from analysis.sharpness.slq import exact_quadrature, paired_quadrature
from analysis.spectrum import SpectralQuadrature

DEFAULT_NUM_PROBES = 30
DEFAULT_NUM_MATVECS = 50


def layer_spectra(
    model: nn.Module,
    inputs: Tensor,
    targets: Tensor,
    layers: Iterable[str | None] | None = None,
    estimator: str = "auto",
    tolerance: float = 0.02,
    num_probes: int | None = None,
    num_matvecs: int | None = None,
    seed: int = 0,
) -> dict[str | None, SpectralQuadrature]:
    """Spectral quadrature of each layer's Hessian block, and of the Hessian of all layers under the key None.

    Args:
        model, inputs, targets: as for `block_operator`.
        layers: names, None among them for all trainable parameters; left out: every weight layer, then all.
        estimator: `paired` (stochastic Lanczos quadrature), `exact` (dense eigenvalues: n products), or `auto`,
            the cheaper of the two in products.
        tolerance: standard error, in nats, at which no further probe is added.
        num_probes, num_matvecs: the most probes a block gets, and the Lanczos steps of each.
        seed: seed of the probes; the same seed gives every model the same probes.

    Raises:
        AnalysisError: unknown layer; `UndefinedMeasureError` where a block is not finite.
    """
    wanted = [*weight_layers(model), None] if layers is None else list(layers)
    return {
        layer: estimate_spectrum(
            block_operator(model, inputs, targets, layer),
            estimator=estimator,
            tolerance=tolerance,
            num_probes=num_probes or DEFAULT_NUM_PROBES,
            num_matvecs=num_matvecs or DEFAULT_NUM_MATVECS,
            seed=derive_seed(seed, "probes", layer or ALL_LAYERS),
        )
        for layer in wanted
    }


def estimate_spectrum(
    operator: BlockOperator, estimator: str, tolerance: float, num_probes: int, num_matvecs: int, seed: int
) -> SpectralQuadrature:
    """The quadrature of one operator by the estimator asked for."""
    if estimator not in ("auto", "paired", "exact"):
        raise ValueError(f"estimator must be 'auto', 'paired' or 'exact'; got {estimator!r}")
    # Fewer rows than the products that two rounds of probes would take: the exact spectrum is the cheaper one.
    cheap = operator.dim <= min(num_probes, 10) * num_matvecs
    if estimator == "exact" or (estimator == "auto" and cheap):
        return exact_quadrature(operator)
    return paired_quadrature(operator, HEADLINE_ORDERS, tolerance, num_probes, num_matvecs, seed)


def renyi_sharpness(
    spectra: Mapping[str, SpectralQuadrature | UndefinedMeasureError], orders: Iterable[float]
) -> list[Measurement]:
    """Rényi sharpness −H_α of every layer at every order (Rényi Sharpness, eq. 4), with its standard error."""
    rows = []
    for layer, spectrum in spectra.items():
        for order in orders:
            try:
                if isinstance(spectrum, UndefinedMeasureError):
                    raise spectrum
                entropy = spectrum.renyi_entropy(order)
                rows.append(Measurement(layer, "renyi", order, -entropy.value, entropy.stderr))
            except UndefinedMeasureError as error:
                rows.append(Measurement(layer, "renyi", order, None, None, str(error)))
    return rows
