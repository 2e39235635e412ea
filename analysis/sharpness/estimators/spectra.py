"""Spectra of every layer's Hessian block, by any of the estimators."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace

from torch import nn

from analysis.errors import AnalysisError, UndefinedMeasureError
from analysis.measures import HEADLINE_ORDERS
from analysis.progress import NO_BAR, ProgressBar, progress_bar
from analysis.schema import ALL_LAYERS
from analysis.seeding import derive_seed
from analysis.sharpness.estimators.deflation import ritz_quadrature
from analysis.sharpness.estimators.slq import (
    MEMORY_LIMIT,
    Effort,
    dense_bytes,
    exact_quadrature,
    has_gram,
    paired_quadrature,
    paper_quadrature,
)
from analysis.sharpness.hessian import HessianBlock, layer_operators
from analysis.sharpness.layers import default_layers, select_parameters
from analysis.sharpness.linalg import BlockOperator
from analysis.sharpness.loss import LossLike, Targets
from analysis.sharpness.samples import Inputs
from analysis.spectrum.layers import LayerSpectra
from analysis.spectrum.measures import Spectrum
from analysis.spectrum.quadrature import SpectralQuadrature
from analysis.spectrum.rules import Ending

EXPECTED_PRODUCTS = 250  # what an estimate to 0.02 nats took on trained layers
LEAST_ROOM = 200  # vectors that deflation keeps at its smallest
ESTIMATORS = ("ritz", "paired", "paper", "exact")


def layer_spectra(
    model: nn.Module,
    inputs: Inputs,
    targets: Targets = None,
    layers: Iterable[str | None] | None = None,
    estimator: str = "ritz",
    tolerance: float = 0.02,
    num_probes: int | None = None,
    num_matvecs: int | None = None,
    seed: int = 0,
    *,
    orders: Sequence[float] = HEADLINE_ORDERS,
    max_products: int = 1000,
    memory_limit: int = MEMORY_LIMIT,
    memory_budget: int | None = None,
    curvature: str = "hessian",
    loss: LossLike = "cross_entropy",
    progress: bool | None = None,
) -> LayerSpectra:
    """Spectral quadrature of each layer's Hessian block, and of the Hessian of all layers under the key None.

    Args:
        model, inputs, targets, loss: as for `block_operator`.
        layers: names, None among them for all trainable parameters; left out: every weight layer that is not frozen,
            then all. A module's name stands for its only weight; the result has the weight's name.
        estimator: see `estimate_spectrum`.
        tolerance: nats; an estimate grows until the entropies' standard error and truncation are within it.
        num_probes, num_matvecs: fixed numbers of probes, and of Lanczos steps of each; left out, they grow as needed.
        seed: seed of the probes; the same seed gives every model the same probes, layer by layer.
        orders: whose entropies must meet the tolerance; the result gives every other order too.
        max_products: most matrix-vector products a layer's estimate may take.
        memory_limit: most bytes that its vectors may take.
        memory_budget: as for `block_operator`.
        curvature: `hessian`, or `gauss_newton` for its positive semidefinite part.
        progress: whether to draw a bar; left out, in a terminal and in a notebook.

    Returns:
        A dict that prints and renders as a table, with `to_frame` and `plot`.

    Cost: for `ritz` about 200 to 500 products a layer, or what the exact spectrum costs where that is less.

    Raises:
        AnalysisError: unknown layer or estimator; `UndefinedMeasureError` where a block is not finite.

    >>> import torch, renyi
    >>> _ = torch.manual_seed(0)
    >>> model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU(), torch.nn.Linear(4, 2))
    >>> inputs, targets = torch.randn(8, 3), torch.arange(8) % 2
    >>> spectra = renyi.layer_spectra(model, inputs, targets, ["2.weight", None], progress=False)
    >>> spectra["2.weight"].dim, spectra[None].dim
    (8, 26)
    >>> spectra["2.weight"].renyi_entropy(0.5).value < spectra[None].renyi_entropy(0.5).value
    True
    """
    wanted = [*default_layers(model), None] if layers is None else list(layers)
    effort = Effort(tuple(orders), tolerance, num_probes, num_matvecs, max_products, memory_limit)
    with progress_bar(progress) as bar:
        spectra = spectra_or_reasons(
            model, inputs, targets, wanted, estimator, effort, seed, curvature, loss, bar, memory_budget
        )
    for spectrum in spectra.values():
        if isinstance(spectrum, UndefinedMeasureError):
            raise spectrum
    found = {layer: spectrum for layer, spectrum in spectra.items() if isinstance(spectrum, SpectralQuadrature)}
    return LayerSpectra(found)


def spectra_or_reasons(
    model: nn.Module,
    inputs: Inputs,
    targets: Targets,
    layers: Sequence[str | None],
    estimator: str,
    effort: Effort,
    seed: int,
    curvature: str = "hessian",
    loss: LossLike = "cross_entropy",
    bar: ProgressBar = NO_BAR,
    memory_budget: int | None = None,
) -> dict[str | None, Spectrum]:
    """As `layer_spectra`, but an undefined spectrum is replaced by its reason and does not stop the others.

    Raises:
        AnalysisError: unknown layer or estimator.
    """
    found: dict[str | None, Spectrum] = {}
    bar.plan(len(layers))
    try:
        for block in layer_operators(
            model,
            inputs,
            targets,
            layers,
            curvature=curvature,
            loss=loss,
            memory_budget=memory_budget,
            num_products=math.inf if estimator == "exact" else EXPECTED_PRODUCTS,
            spectrum=estimator in ("ritz", "exact"),
        ):
            layer_seed = derive_seed(seed, "probes", block.layer or ALL_LAYERS)
            try:
                quadrature = estimate_spectrum(block, estimator, effort, layer_seed)
                found[block.layer] = replace(quadrature, engine=block.engine, engine_reason=block.reason)
            except UndefinedMeasureError as error:
                found[block.layer] = error
            bar.step(block.layer or ALL_LAYERS)
    except UndefinedMeasureError as error:
        return dict.fromkeys(layers, error)
    full = [layer if layer is None else next(iter(select_parameters(model, layer))) for layer in layers]
    return {layer: found[layer] for layer in full}


def estimate_spectrum(operator: BlockOperator, estimator: str, effort: Effort, seed: int) -> SpectralQuadrature:
    """The quadrature of one operator by the estimator asked for.

    Args:
        operator: the matrix.
        estimator: `ritz` (deflated quadrature, the default; the exact spectrum where that is cheaper, plain quadrature
            where its vectors exceed the memory limit), `paired` (plain quadrature), `paper` (Algorithm 1), or `exact`.
        effort: tolerance, orders and limits.
        seed: of the probes.

    Raises:
        AnalysisError: unknown estimator; `UndefinedMeasureError` where the matrix is not finite.
    """
    if estimator == "exact":
        return exact_quadrature(operator, effort.memory_limit)
    if estimator == "paired":
        return paired_quadrature(operator, effort, seed)
    if estimator == "paper":
        return paper_quadrature(operator, effort, seed)
    if estimator != "ritz":
        raise AnalysisError(f"estimator must be one of {', '.join(ESTIMATORS)}; got {estimator!r}")
    price = exact_price(operator, effort.memory_limit)
    if price <= EXPECTED_PRODUCTS:
        return exact_quadrature(operator, effort.memory_limit)
    if effort.room(operator) < LEAST_ROOM:
        return paired_quadrature(operator, effort, seed)
    if price > effort.max_products:
        return ritz_quadrature(operator, effort, seed)
    # An estimate that would cost as much as the whole spectrum is replaced by it.
    quadrature = ritz_quadrature(operator, replace(effort, max_products=int(price)), seed)
    if quadrature.ending is not Ending.PRODUCTS:
        return quadrature
    exact = exact_quadrature(operator, effort.memory_limit)
    return replace(exact, num_products=exact.num_products + quadrature.num_products)


def exact_price(operator: BlockOperator, memory_limit: int = MEMORY_LIMIT) -> float:
    """What the exact spectrum costs, in products: n by products alone, less where a factor gives a Gram matrix.

    Infinite where a dense matrix would exceed the memory limit.
    """
    if not has_gram(operator) and dense_bytes(operator) > memory_limit:
        return math.inf
    if isinstance(operator, HessianBlock) and operator.cost.exact == 0:
        return 0.0
    if isinstance(operator, HessianBlock) and operator.cost.product > 0:
        return operator.cost.exact / operator.cost.product
    return operator.dim
