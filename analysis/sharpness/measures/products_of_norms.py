"""Products and sums of the layers' norms, plain or over the margin (Jiang et al. 2019, appendix C.3).

Every one of them is the logarithm of the published measure, whose ranks are the same. Batch-norms are folded into the
layers before them; the norms are those of `analysis.sharpness.measures.effective_weights`.
"""

import math
from collections.abc import Callable

from analysis.schema import ALL_LAYERS, Measurement
from analysis.sharpness.measures.effective_weights import frobenius_norms, log_product, spectral_norms
from analysis.sharpness.measures.margin import MARGIN, margin_of
from analysis.sharpness.subject import Subject, Values, tabulate

NORMS: dict[str, Callable[[Subject], dict[str, float]]] = {"spec": spectral_norms, "fro": frobenius_norms}


def log_sum(product: float, num_layers: int) -> float:
    """log d + (1/d) log ∏ ‖W_l‖², from the logarithm of the product.

    d (∏ ‖W_l‖²)^(1/d) is the sum of the squared norms of the network that computes the same with layers of one norm.
    Among networks of the same depth d its ranks are those of the product.

    Source: Jiang et al. 2019, appendix C.3; Neyshabur et al. 2015.
    """
    return math.log(num_layers) + product / num_layers


def product(subject: Subject, measure: str) -> list[Measurement]:
    """The rows of `prod_of_spec` and `prod_of_fro`, log ∏_l ‖W_l‖², and of the same with `_margin`: − 2 log γ.

    `prod_of_spec` has a row a layer too, log ‖W_l‖²; for the Frobenius norm that would have the ranks of `l2`.
    """
    norms_of = NORMS[measure.removeprefix("prod_of_").removesuffix(MARGIN)]

    def values(block: str) -> Values:
        norms = subject.shared(norms_of)
        chosen = norms if block == ALL_LAYERS else {block: norms[block]}
        return {None: (log_product(chosen) - _margin_term(subject, measure), 0.0)}

    blocks = subject.blocks(measure) if measure == "prod_of_spec" else [ALL_LAYERS]
    return tabulate(measure, blocks, [None], values)


def sum_of_norms(subject: Subject, measure: str) -> list[Measurement]:
    """The rows of `sum_of_spec` and `sum_of_fro`, and of the same with `_margin`: the product is then over γ²."""
    norms_of = NORMS[measure.removeprefix("sum_of_").removesuffix(MARGIN)]

    def values(_: str) -> Values:
        norms = subject.shared(norms_of)
        return {None: (log_sum(log_product(norms) - _margin_term(subject, measure), len(norms)), 0.0)}

    return tabulate(measure, [ALL_LAYERS], [None], values)


def fro_over_spec(subject: Subject, measure: str) -> list[Measurement]:
    """The row of `fro_over_spec`: Σ_l ‖W_l‖_F²/‖W_l‖₂², the sum of the layers' stable ranks."""

    def values(_: str) -> Values:
        spectral, frobenius = subject.shared(spectral_norms), subject.shared(frobenius_norms)
        log_product(spectral)  # refuses layers of zeros
        return {None: (sum((frobenius[layer] / norm) ** 2 for layer, norm in spectral.items()), 0.0)}

    return tabulate(measure, [ALL_LAYERS], [None], values)


def _margin_term(subject: Subject, measure: str) -> float:
    """2 log γ for a measure over the margin, else 0."""
    return 2 * math.log(subject.shared(margin_of)) if measure.endswith(MARGIN) else 0.0
