"""A Methods paragraph for a paper, written from a sweep's settings, with the works that it cites."""

from dataclasses import dataclass

from analysis.bibliography import WORKS, bibtex, cited
from analysis.measures import MEASURES
from analysis.report.evidence import Evidence
from analysis.report.wording import measure_name
from analysis.results.study import Study
from analysis.schema import MEASURE
from analysis.settings import PAPER_ORDERS, SharpnessSettings

_ESTIMATORS = {
    "ritz": "deflated stochastic Lanczos quadrature, or from the exact spectrum where that is cheaper",
    "paired": "stochastic Lanczos quadrature",
    "paper": "Algorithm 1 of the paper as printed",
    "exact": "the exact spectrum",
}
_STATISTICS = "kendall1938new westfall1993resampling"


@dataclass(frozen=True)
class Methods:
    """Sentences for a paper and the BibTeX of what they cite."""

    sentences: tuple[str, ...]
    bibtex: str


def methods(study: Study, evidence: Evidence) -> Methods:
    """What was trained, measured and computed; every number is a setting or a count of this sweep."""
    settings, matrix = study.settings, evidence.matrix
    keys = [str(key) for key in dict.fromkeys(matrix.keys[MEASURE])] or list(settings.measures)
    told = [
        f"We trained {matrix.n} networks ({study.networks}) on {study.data}; {study.training}. The grid was "
        f"{'; '.join(study.grid)}.",
        _measured(settings),
        *_cited_measures(keys),
        f"Measures are ranked by Kendall's τ_b ({cited('kendall1938new')}) with the {matrix.target.title} over "
        f"{len(set(matrix.axes.cells))} configurations.",
        *_statistics(evidence),
        f"All was computed with Rényi sharpness sweeps, version {study.version}.",
    ]
    works = f"zhang2025renyi ubaru2017fast {_STATISTICS} holm1979simple liu2018covariate freedman1983nonstochastic"
    known = [MEASURES[key].source for key in keys if key in MEASURES]
    wanted = [key for text in (works, *known) for key in text.split() if key in WORKS]
    return Methods(tuple(told), bibtex(wanted))


def _measured(settings: SharpnessSettings) -> str:
    orders = settings.orders
    which = "the paper's" if orders == PAPER_ORDERS else f"from {min(orders):g} to {max(orders):g}"
    text = (
        f"The Rényi sharpness −H_α ({cited('zhang2025renyi')}) of the loss Hessian of each weight layer and of all "
        f"layers together was computed on {settings.samples} training samples (a class-stratified draw, seed "
        f"{settings.sample_seed}) at {len(orders)} orders ({which}), by {_ESTIMATORS[settings.estimator]}"
    )
    if settings.estimator != "exact":
        text += f" ({cited('ubaru2017fast')})"
    if settings.num_probes is None or settings.num_matvecs is None:
        text += f", to a tolerance of {settings.tolerance:g} nats and with at most {settings.max_products} "
        text += "matrix-vector products a block"
    else:
        text += f", with {settings.num_probes} probes of {settings.num_matvecs} Lanczos steps"
    return f"{text}; the loss was {settings.loss.name.replace('_', '-')}."


def _cited_measures(keys: list[str]) -> list[str]:
    others = [key for key in keys if key not in ("renyi", "renyi_gauss_newton")]
    by_source: dict[str, list[str]] = {}
    for key in others:
        if key in MEASURES:
            by_source.setdefault(cited(MEASURES[key].source), []).append(measure_name(key))
    named = [f"{', '.join(names)} ({source})" if source else ", ".join(names) for source, names in by_source.items()]
    own = [measure_name(key) for key in others if key not in MEASURES]
    named += [f"{name} (our own)" for name in own]
    return [f"It is compared with {'; '.join(named)}."] if named else []


def _statistics(evidence: Evidence) -> list[str]:
    if evidence.interval != "bootstrap":
        return ["Intervals are the jackknife's over configurations; no tests were computed."]
    return [
        "Intervals are of a percentile bootstrap over configurations; p-values are from permutations "
        f"({evidence.association.null}) and adjusted for the number of declared columns "
        f"({cited('westfall1993resampling')}); paired comparisons by Holm's method ({cited('holm1979simple')}).",
        "What remains given the training loss is the partial correlation of normal scores "
        f"({cited('liu2018covariate')}), tested by permuted residuals ({cited('freedman1983nonstochastic')}).",
    ]
