"""The catalogue of measures, one record each; all other files read from it what they need to know. Imports no torch.

To add a measure: its function in a file of `analysis.sharpness.measures`, its record here, and its settings, if it has
any, in `analysis.settings`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from analysis.schema import Measurement

HEADLINE_ORDERS = (0.5, 1.5)  # of the Rényi entropy; declared before any τ is computed
GRADIENT_PASSES = 3  # cost of a loss with its gradient, in forward passes
PRODUCT_PASSES = 5  # and of a Hessian-vector product with each of the layers, or with all of them at once
EFFECTIVE_SCALES = (0.01, 0.1, 1.0)  # z of the effective dimension
FLATNESS_PROBES = 100  # Hessian-vector products of the relative flatness, each layer


class Scope(StrEnum):
    """The blocks of weights on which a measure is computed."""

    LAYERS = "layers"  # each layer, and all layers together
    WHOLE_FIRST = "whole first"  # all layers together; each layer only on request, because it costs hundreds of passes
    WHOLE = "whole"  # all layers together; not defined for one layer


@dataclass(frozen=True)
class Measure:
    """One measure: its names, the function that computes it, the parameters at which it is shown, and its cost."""

    key: str  # in sweep files, tables and MLflow
    title: str  # for readers
    function: str  # `file.function` in analysis.sharpness.measures; called with (subject, key), returns its rows
    summary: str  # one clause: what it measures
    symbol: str | None = None  # of its parameter, if it has one
    headline: tuple[float, ...] = ()  # the parameters that are shown and logged; if it is measured at none of them, all
    scope: Scope = Scope.LAYERS
    spectra: str | None = None  # "hessian" or "gauss_newton" if each row follows from the stored spectrum of a block
    section: str | None = None  # the section of the sharpness settings that it reads
    passes: float = 0  # forward passes over the samples, if no section determines them; 0 for one pass or less
    task: str | None = None  # measures of the same task share their passes; a task can be measured by itself
    needs_spectra: bool = False  # reads the spectra without having `spectra`
    needs_initial_weights: bool = False
    default: bool = False  # measured if the sweep file does not name measures
    formula: str = ""  # for readers; empty: the summary is all there is
    source: str = ""  # keys of `analysis.bibliography`, separated by blanks


def _spectral(key: str, title: str, summary: str, spectra: str, orders: bool = False) -> Measure:
    symbol, headline = ("α", HEADLINE_ORDERS) if orders else (None, ())
    return Measure(key, title, "spectral.from_spectra", summary, symbol, headline, spectra=spectra, default=True)


def _of_spectrum(
    key: str, title: str, summary: str, symbol: str | None = None, headline: tuple[float, ...] = ()
) -> Measure:
    return Measure(key, title, "spectral.from_spectra", summary, symbol, headline, spectra="hessian")


def _norm(key: str, title: str, function: str, summary: str, initial: bool = False) -> Measure:
    layers = key in ("prod_of_spec", "dist_l2", "dist_spec")
    scope = Scope.LAYERS if layers else Scope.WHOLE
    passes = float(key.endswith("margin"))  # the margins take one
    return Measure(key, title, function, summary, scope=scope, passes=passes, needs_initial_weights=initial)


def _one_step(key: str, title: str, summary: str, rho: float, default: bool = False) -> Measure:
    return Measure(key, title, "one_step.one_step", summary, "ρ", (rho,), section="worst_case", default=default)


def _n_step(key: str, title: str, summary: str, rho: float) -> Measure:
    return Measure(key, title, "n_step.n_step", summary, "ρ", (rho,), Scope.WHOLE_FIRST, section="worst_case", task=key)


def _average(key: str, title: str, summary: str) -> Measure:
    return Measure(key, title, "average.average", summary, "σ", (0.1,), Scope.WHOLE_FIRST, section="average", task=key)


def _pac_bayes(
    key: str, title: str, function: str, summary: str, task: str, needs_initial_weights: bool = False
) -> Measure:
    return Measure(
        key,
        title,
        f"pac_bayes.{function}",
        summary,
        scope=Scope.WHOLE,
        section="pac_bayes",
        task=task,
        needs_initial_weights=needs_initial_weights,
        default=task == "pac_bayes",
    )


# In the order in which they are measured and listed. By it, `measures: all` of a stored measurement is recognized, so a
# new measure goes to the end.
_ALL = (
    _spectral("renyi", "Rényi sharpness", "−H_α of the spectrum of the Hessian", "hessian", orders=True),
    _spectral(
        "renyi_gauss_newton",
        "Rényi sharpness (Gauss–Newton)",
        "−H_α of the spectrum of the Gauss–Newton part of the Hessian",
        "gauss_newton",
        orders=True,
    ),
    _spectral("trace", "Hessian trace", "trace of the Hessian", "hessian"),
    _spectral("lambda_max", "largest eigenvalue", "largest eigenvalue of the Hessian", "hessian"),
    Measure(
        "trace_imbalance",
        "imbalance of trace",
        "trace_balance.trace_imbalance",
        "divergence of the layers' shares of the trace from their shares of the parameters",
        scope=Scope.WHOLE,
        needs_spectra=True,
    ),
    Measure("l2", "parameter norm", "norms.l2", "ℓ2 norm of the weights", default=True),
    Measure(
        "fisher_rao",
        "Fisher–Rao norm",
        "fisher_rao.fisher_rao",
        "root mean square of ⟨w, gradient⟩ over samples",
        passes=GRADIENT_PASSES,
        default=True,
    ),
    _one_step("sam", "SAM sharpness", "rise of the loss after one step of ascent in an ℓ2 ball", 0.05, default=True),
    _one_step("asam", "ASAM sharpness", "the same in a ball scaled by |w|", 0.5, default=True),
    _one_step("sam_linf", "SAM sharpness ℓ∞", "rise of the loss after one step of ascent in an ℓ∞ ball", 0.001),
    _one_step("asam_linf", "ASAM sharpness ℓ∞", "the same in a ball scaled by |w|", 0.002),
    _n_step("sam_n", "SAM sharpness (maximized)", "largest rise of the loss in an ℓ2 ball, by APGD", 0.05),
    _n_step("asam_n", "ASAM sharpness (maximized)", "the same in a ball scaled by |w|", 0.5),
    _n_step("sam_linf_n", "SAM sharpness ℓ∞ (maximized)", "largest rise of the loss in an ℓ∞ ball, by APGD", 0.001),
    _n_step("asam_linf_n", "ASAM sharpness ℓ∞ (maximized)", "the same in a ball scaled by |w|", 0.002),
    _average("avg", "average sharpness", "mean rise of the loss under Gaussian noise on the weights"),
    _average("avg_adaptive", "adaptive average sharpness", "the same with noise scaled by |w|"),
    _pac_bayes(
        "pacbayes_flat",
        "PAC-Bayes flatness",
        "flatness",
        "1/σ² of the Gaussian noise on the weights that costs a tenth of the accuracy",
        "pac_bayes",
    ),
    _pac_bayes("pacbayes_orig", "PAC-Bayes bound", "bound_from_origin", "the bound made of that noise", "pac_bayes"),
    _pac_bayes(
        "pacbayes_mag_flat",
        "PAC-Bayes flatness (magnitude)",
        "flatness",
        "1/σ² of noise scaled by |w| that costs a tenth of the accuracy",
        "pac_bayes_magnitude",
    ),
    _pac_bayes(
        "pacbayes_mag_init",
        "PAC-Bayes bound (magnitude, initial)",
        "magnitude_aware_bound",
        "the bound made of that noise and of the distance from the initial weights",
        "pac_bayes_magnitude",
        needs_initial_weights=True,
    ),
    _pac_bayes(
        "pacbayes_mag_orig",
        "PAC-Bayes bound (magnitude)",
        "magnitude_aware_bound",
        "the bound made of that noise and of the norm of the weights",
        "pac_bayes_magnitude",
        needs_initial_weights=True,
    ),
    Measure(
        "haar_loss",
        "loss under random rotations",
        "haar.haar",
        "loss when each sample is moved by ρ times its norm in a random direction",
        "ρ",
        scope=Scope.WHOLE,
        section="haar",
        task="haar",
    ),
    _norm(
        "inverse_margin", "inverse squared margin", "margin.inverse_margin", "1/γ², γ the 10th percentile of margins"
    ),
    _norm("path_norm", "path norm", "path_norm.path_norms", "sum over paths of the products of squared weights"),
    _norm("path_norm_margin", "path norm over margin", "path_norm.path_norms", "the same over γ²"),
    _norm("prod_of_spec", "product of spectral norms", "products_of_norms.product", "log ∏ of the squared norms ‖W‖₂²"),
    _norm(
        "prod_of_spec_margin",
        "product of spectral norms over margin",
        "products_of_norms.product",
        "the same, − log γ²",
    ),
    _norm("sum_of_spec", "sum of spectral norms", "products_of_norms.sum_of_norms", "log d (∏ ‖W‖₂²)^(1/d), d layers"),
    _norm(
        "sum_of_spec_margin",
        "sum of spectral norms over margin",
        "products_of_norms.sum_of_norms",
        "the product over γ²",
    ),
    _norm("prod_of_fro", "product of Frobenius norms", "products_of_norms.product", "log ∏ ‖W‖_F²"),
    _norm(
        "prod_of_fro_margin",
        "product of Frobenius norms over margin",
        "products_of_norms.product",
        "the same, − log γ²",
    ),
    _norm("sum_of_fro", "sum of Frobenius norms", "products_of_norms.sum_of_norms", "log d (∏ ‖W‖_F²)^(1/d)"),
    _norm(
        "sum_of_fro_margin",
        "sum of Frobenius norms over margin",
        "products_of_norms.sum_of_norms",
        "the product over γ²",
    ),
    _norm(
        "fro_over_spec",
        "Frobenius over spectral norms",
        "products_of_norms.fro_over_spec",
        "sum of the stable ranks ‖W‖_F²/‖W‖₂²",
    ),
    _norm("dist_l2", "distance from the initial weights", "distance.dist_l2", "ℓ2 norm of what training changed", True),
    _norm(
        "dist_spec",
        "spectral distance from the initial weights",
        "distance.dist_spec",
        "spectral norm of what training changed",
        True,
    ),
    Measure(
        "relative_flatness",
        "relative flatness",
        "relative_flatness.rows",
        "products of pairs of a layer's neurons times the traces of the Hessian's blocks of these pairs",
        passes=PRODUCT_PASSES * FLATNESS_PROBES,
        task="relative_flatness",
    ),
    _of_spectrum("effective_dimension", "effective dimension", "Σ λ/(λ + z) of the Hessian", "z", (0.1,)),
    _of_spectrum("stable_rank", "stable rank of the Hessian", "Σ λ²/max λ² of the Hessian"),
)
# Formula and source of each. L: mean loss, ℓ_i of N samples; w: weights, W_l of a layer; g: gradient; H: Hessian.
_DEFINITIONS: dict[str, tuple[str, str]] = {
    "renyi": ("−H_α = −log(Σ p_i^α)/(1 − α), p_i = |λ_i|/Σ|λ_j|, λ the eigenvalues of the Hessian", "zhang2025renyi"),
    "renyi_gauss_newton": (
        "the same, λ the eigenvalues of the Gauss–Newton matrix (1/N) Σ JᵢᵀHᵢJᵢ",
        "zhang2025renyi schraudolph2002fast",
    ),
    "trace": ("Tr H = Σ λ_i", "hutchinson1989stochastic"),
    "lambda_max": ("max λ_i, the largest eigenvalue of the Hessian", "keskar2017large"),
    "trace_imbalance": (
        "Σ_l p_l log(p_l d/d_l), p_l = Tr H_ll/Σ Tr H, d_l the number of weights of layer l, d = Σ d_l",
        "zhang2025renyi",
    ),
    "l2": ("‖w‖₂ over the weight tensors of two or more dimensions", "dziugaite2020search"),
    "fisher_rao": ("√((1/N) Σ ⟨w, ∇ℓ_i(w)⟩²)", "liang2019fisher"),
    "sam": ("L(w + ρ g/‖g‖₂) − L(w), g the gradient of each batch", "foret2021sharpness"),
    "asam": ("L(w + ρ T²g/‖Tg‖₂) − L(w), T = diag(|w| + η)", "kwon2021asam"),
    "sam_linf": ("L(w + ρ sign g) − L(w)", "foret2021sharpness andriushchenko2023modern"),
    "asam_linf": ("L(w + ρ |w| ⊙ sign g) − L(w)", "kwon2021asam andriushchenko2023modern"),
    "sam_n": ("max L(w + δ) − L(w) over ‖δ‖₂ ≤ ρ", "andriushchenko2023modern croce2020reliable"),
    "asam_n": ("max L(w + δ) − L(w) over ‖δ/|w|‖₂ ≤ ρ", "andriushchenko2023modern croce2020reliable"),
    "sam_linf_n": ("max L(w + δ) − L(w) over ‖δ‖∞ ≤ ρ", "andriushchenko2023modern croce2020reliable"),
    "asam_linf_n": ("max L(w + δ) − L(w) over ‖δ/|w|‖∞ ≤ ρ", "andriushchenko2023modern croce2020reliable"),
    "avg": ("E L(w + σz) − L(w), z ~ N(0, I)", "andriushchenko2023modern"),
    "avg_adaptive": ("E L(w + σ|w| ⊙ z) − L(w), z ~ N(0, I)", "andriushchenko2023modern"),
    "pacbayes_flat": (
        "1/σ², σ the largest deviation with a mean drop of the accuracy by 0.1 under w + σz",
        "jiang2020fantastic dziugaite2020search",
    ),
    "pacbayes_orig": ("√((‖w‖²/(4σ²) + log(N/σ) + 10)/N)", "dziugaite2020search"),
    "pacbayes_mag_flat": (
        "1/σ′², σ′ as σ, but with noise of deviation √(σ′²w_i² + ε²) on each weight",
        "dziugaite2020search",
    ),
    "pacbayes_mag_init": (
        "√((¼ Σ_i log((ε² + (σ′² + 1)‖w − w⁰‖²/ω)/(ε² + σ′²(w_i − w_i⁰)²)) + log(N/σ′) + 10)/N)",
        "dziugaite2020search",
    ),
    "pacbayes_mag_orig": ("the same with ‖w‖² in place of ‖w − w⁰‖²", "dziugaite2020search"),
    "haar_loss": ("E (1/N) Σ ℓ(x_i + ρ‖x_i‖ u_i), u_i uniform on the unit sphere", "zhang2025renyi"),
    "inverse_margin": ("1/γ², γ the 10th percentile over samples of f_y − max f_k, k ≠ y", "jiang2020fantastic"),
    "path_norm": (
        "Σ over paths ∏ w², the sum of the outputs for an input of ones with squared weights",
        "neyshabur2015norm jiang2020fantastic",
    ),
    "path_norm_margin": ("the path norm over γ²", "neyshabur2015norm jiang2020fantastic"),
    "prod_of_spec": ("log ∏_l ‖W_l‖₂²", "jiang2020fantastic"),
    "prod_of_spec_margin": ("log ∏_l ‖W_l‖₂² − log γ²", "jiang2020fantastic"),
    "sum_of_spec": ("log(d (∏_l ‖W_l‖₂²)^(1/d)), d layers", "jiang2020fantastic"),
    "sum_of_spec_margin": ("log(d (∏_l ‖W_l‖₂²/γ²)^(1/d))", "jiang2020fantastic"),
    "prod_of_fro": ("log ∏_l ‖W_l‖_F²", "jiang2020fantastic"),
    "prod_of_fro_margin": ("log ∏_l ‖W_l‖_F² − log γ²", "jiang2020fantastic"),
    "sum_of_fro": ("log(d (∏_l ‖W_l‖_F²)^(1/d)), d layers", "jiang2020fantastic"),
    "sum_of_fro_margin": ("log(d (∏_l ‖W_l‖_F²/γ²)^(1/d))", "jiang2020fantastic"),
    "fro_over_spec": ("Σ_l ‖W_l‖_F²/‖W_l‖₂²", "jiang2020fantastic"),
    "dist_l2": ("‖w − w⁰‖₂, w⁰ the initial weights", "nagarajan2019generalization jiang2020fantastic"),
    "dist_spec": ("√(Σ_l ‖W_l − W_l⁰‖₂²)", "jiang2020fantastic"),
    "relative_flatness": ("Σ ⟨w_s, w_s′⟩ Tr H_ss′ over pairs s, s′ of a layer's neurons", "petzka2021relative"),
    "effective_dimension": ("Σ λ_i/(λ_i + z)", "maddox2020rethinking"),
    "stable_rank": ("Σ λ_i²/max λ_i²", "rudelson2007sampling"),
}
MEASURES: dict[str, Measure] = {
    measure.key: replace(measure, formula=_DEFINITIONS[measure.key][0], source=_DEFINITIONS[measure.key][1])
    if measure.key in _DEFINITIONS
    else measure
    for measure in _ALL
}

# The catalogue grows, but a stored measurement with `measures: all` keeps its identity: by it, `all` stands for these.
ALL_IN_IDENTITIES = tuple(MEASURES)[: tuple(MEASURES).index("haar_loss") + 1]


def is_all(measures: Sequence[str]) -> bool:
    """Whether measures are all built-in ones, of this version or of an earlier one, in the catalogue's order."""
    return len(measures) >= len(ALL_IN_IDENTITIES) and tuple(measures) == tuple(MEASURES)[: len(measures)]


def title_of(measure: str) -> str:
    """The title of a measure, for readers; for a user's own measure, its name."""
    return MEASURES[measure].title if measure in MEASURES else measure.replace("_", " ")


def symbol_of(measure: str) -> str | None:
    """The symbol of a measure's parameter; None if it has no parameter or is a user's own measure."""
    return MEASURES[measure].symbol if measure in MEASURES else None


def headline_of(measure: str) -> tuple[float, ...]:
    """The parameters at which a measure is shown and logged; none for a measure without a parameter."""
    return MEASURES[measure].headline if measure in MEASURES else ()


def headline_parameters(measure: str, taken_at: Iterable[float | None]) -> set[float | None]:
    """Those parameters of a measure that are shown and logged as MLflow metrics.

    These are its headline parameters; if it was measured at none of them, all. The Parquet artifact holds every value.
    """
    taken = set(taken_at)
    return taken & set(headline_of(measure)) or taken


def headline(measurements: Iterable[Measurement]) -> list[Measurement]:
    """The measurements at headline parameters."""
    rows = list(measurements)
    taken: dict[str, set[float | None]] = {}
    for row in rows:
        taken.setdefault(row.measure, set()).add(row.parameter)
    shown = {measure: headline_parameters(measure, parameters) for measure, parameters in taken.items()}
    return [row for row in rows if row.parameter in shown[row.measure]]
