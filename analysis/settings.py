"""What to measure and how: the part of a sweep that determines the measurements of a given checkpoint."""

import difflib
import hashlib
import json
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator

from analysis.baseline_settings import AverageSettings, HaarSettings, PacBayesSettings, WorstCaseSettings
from analysis.schema import HEADLINE_ORDERS

# SPEC §4.4: the 37 orders of the paper, Shannon's (1) left out as there.
PAPER_ORDERS: tuple[float, ...] = (
    *(0.0001, 0.01, 0.03, 0.06),
    *(round(0.1 * k, 1) for k in range(1, 10)),
    *(0.99, 0.999, 1.001, 1.01),
    *(round(0.1 * k, 1) for k in range(11, 31)),
)

LEAST_RESOLVABLE = 0.5  # below, an entropy counts eigenvalues that round-off hides: no number of products resolves it

# Keys of analysis.sharpness.measure.MEASURES, spelt out here since this file needs no torch.
SPECTRAL = ("renyi", "trace", "lambda_max")  # read off the spectra of the Hessian's blocks, one row a block
N_STEP = ("sam_n", "asam_n", "sam_linf_n", "asam_linf_n")
AVERAGE = ("avg", "avg_adaptive")
NEEDS_INITIAL_WEIGHTS = ("pacbayes_mag_init", "pacbayes_mag_orig")
MEASURE_NAMES = (
    *("renyi", "renyi_gauss_newton", "trace", "lambda_max", "trace_imbalance", "l2", "fisher_rao"),
    *("sam", "asam", "sam_linf", "asam_linf", *N_STEP, *AVERAGE),
    *("pacbayes_flat", "pacbayes_orig", "pacbayes_mag_flat", *NEEDS_INITIAL_WEIGHTS, "haar_loss"),
)


class SpectraOf(StrEnum):
    """Which of the Hessian's blocks are looked at: where the work is divided, layers and the whole go apart."""

    EVERY = "every"  # each layer's, from one factor pass, and the whole
    LAYERS = "layers"
    WHOLE = "whole"


def _known_measure(name: str) -> str:
    if name in MEASURE_NAMES or "." in name:
        return name
    near = difflib.get_close_matches(name, MEASURE_NAMES, n=1)
    remedy = f"did you mean {near[0]}?" if near else f"choose among {', '.join(MEASURE_NAMES)}"
    raise ValueError(f"unknown measure {name!r}; {remedy} (or the dotted path of your own)")


MeasureName = Annotated[str, AfterValidator(_known_measure)]
Order = Annotated[float, Field(gt=0)]


class SharpnessSettings(BaseModel):
    """Settings of a measurement; their hash is its identity, so other settings mean another measurement."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    samples: Annotated[int, Field(gt=0, description="training samples the measures are taken on")] = 2000
    sample_seed: Annotated[int, Field(ge=0, description="seed of the class-stratified draw of the samples")] = 0
    orders: Annotated[
        tuple[Order, ...], Field(min_length=1, description="orders of the Rényi entropy: a list, or `paper`")
    ] = PAPER_ORDERS
    estimator: Annotated[
        Literal["ritz", "paired", "paper", "exact"],
        Field(
            description="deflated Lanczos quadrature, or the exact spectrum where that is cheaper (ritz); plain "
            "quadrature (paired); Algorithm 1 as printed (paper); the whole spectrum (exact)"
        ),
    ] = "ritz"
    tolerance: Annotated[
        float,
        Field(gt=0, description="nats; standard error and truncation of the entropies at which a block is done"),
    ] = 0.02
    num_probes: Annotated[
        int | None, Field(ge=2, description="probes a block, fixed; left out: as many as the tolerance needs")
    ] = None
    num_matvecs: Annotated[
        int | None, Field(ge=2, description="Lanczos steps a probe, fixed; left out: as many as the tolerance needs")
    ] = None
    max_products: Annotated[int, Field(gt=0, description="most matrix-vector products a block may take")] = 1000
    memory_gib: Annotated[float, Field(gt=0, description="most memory that a block's Lanczos vectors may take")] = 4.0
    layers: Annotated[
        Literal["all"] | tuple[str, ...], Field(description="weight tensors to measure one by one: `all`, or names")
    ] = "all"
    measures: Annotated[
        tuple[MeasureName, ...],
        Field(min_length=1, description="measures to take: a list of keys and dotted paths, or `all` built-in ones"),
    ] = (
        *("renyi", "renyi_gauss_newton", "trace", "lambda_max", "l2", "fisher_rao"),
        *("sam", "asam", "pacbayes_flat", "pacbayes_orig"),
    )
    all_layers_only: Annotated[
        tuple[MeasureName, ...],
        Field(description="measures not to take layer by layer, for what they cost: hundreds of passes a layer"),
    ] = (*N_STEP, *AVERAGE)
    worst_case: WorstCaseSettings = WorstCaseSettings()
    average: AverageSettings = AverageSettings()
    pac_bayes: PacBayesSettings = PacBayesSettings()
    haar: HaarSettings = HaarSettings()
    seed: Annotated[int, Field(ge=0, description="seed of probes and noise, the same for every model")] = 0

    @field_validator("orders", mode="before")
    @classmethod
    def _name_of_orders(cls, value: Any) -> Any:
        return PAPER_ORDERS if value == "paper" else value

    @field_validator("measures", mode="before")
    @classmethod
    def _all_measures(cls, value: Any) -> Any:
        return MEASURE_NAMES if value == "all" else value

    @field_validator("measures")
    @classmethod
    def _each_once(cls, measures: tuple[str, ...]) -> tuple[str, ...]:
        for measure in measures:
            if measures.count(measure) > 1:
                raise ValueError(f"has the measure {measure!r} more than once")
        return measures

    @property
    def needs_initial_weights(self) -> bool:
        """Whether a measure is of the distance from the network before training."""
        return any(name in NEEDS_INITIAL_WEIGHTS for name in self.measures)

    @property
    def own_measures(self) -> tuple[str, ...]:
        """Dotted paths of the user's own measures."""
        return tuple(name for name in self.measures if name not in MEASURE_NAMES)

    @property
    def tolerance_orders(self) -> tuple[float, ...]:
        """The orders whose entropies must meet the tolerance: the headline's where they are asked for, else all from
        LEAST_RESOLVABLE on, else all."""
        headline = tuple(order for order in self.orders if order in HEADLINE_ORDERS)
        return headline or tuple(order for order in self.orders if order >= LEAST_RESOLVABLE) or self.orders

    @property
    def measurement_id(self) -> str:
        """Short hash of the settings, which keys the measurements of a trial."""
        canonical = json.dumps(self.model_dump(mode="json"), sort_keys=True)
        return hashlib.sha256(canonical.encode()).hexdigest()[:12]
