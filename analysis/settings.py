"""What to measure and how: the part of a sweep that determines the measurements of a given checkpoint."""

import hashlib
import json
from collections import Counter
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, field_validator, model_validator

from analysis.duration import seconds_of
from analysis.errors import closest, is_dotted
from analysis.measures import ALL_IN_IDENTITIES, GRADIENT_PASSES, HEADLINE_ORDERS, MEASURES, Scope, is_all
from analysis.section import Section

# The 37 orders of the paper, which leave out Shannon's (1).
PAPER_ORDERS: tuple[float, ...] = (
    *(0.0001, 0.01, 0.03, 0.06),
    *(round(0.1 * k, 1) for k in range(1, 10)),
    *(0.99, 0.999, 1.001, 1.01),
    *(round(0.1 * k, 1) for k in range(11, 31)),
)

LEAST_RESOLVABLE = 0.5  # below, an entropy counts eigenvalues that round-off hides: no number of products resolves it


Positive = Annotated[float, Field(gt=0)]
Several = Field(min_length=1)
Duration = Annotated[float, BeforeValidator(seconds_of), Field(gt=0, allow_inf_nan=False)]  # in seconds
SILENCE_LIMIT = 3600.0


class WorstCaseSettings(Section):
    """SAM and ASAM sharpness: the same ρ for one step and for many.

    Lists of Andriushchenko et al. 2023 for CIFAR and ResNet-18, and the ρ of the optimizers (0.05 and 0.5).
    """

    batch_size: Annotated[int, Field(gt=0, description="samples that share one perturbation (m-sharpness)")] = 128
    num_steps: Annotated[int, Field(gt=0, description="steps of the n-step measures")] = 20
    eta: Annotated[float, Field(ge=0, description="η of one-step `asam`")] = 0.01
    sam: Annotated[tuple[Positive, ...], Several] = (0.05, 0.25, 0.5, 1.0, 2.0)
    asam: Annotated[tuple[Positive, ...], Several] = (0.25, 0.5, 1.0, 2.0)
    sam_linf: Annotated[tuple[Positive, ...], Several] = (0.0005, 0.001, 0.002, 0.004)
    asam_linf: Annotated[tuple[Positive, ...], Several] = (0.001, 0.002, 0.004, 0.008)

    def rhos(self, measure: str) -> tuple[float, ...]:
        """The ρ of a measure; those of an n-step measure are those of its one-step form."""
        rhos: tuple[float, ...] = getattr(self, measure.removesuffix("_n"))
        return rhos

    def at(self, measure: str, rho: float) -> "WorstCaseSettings":
        """The settings with one ρ of a measure."""
        return self.model_copy(update={measure.removesuffix("_n"): (rho,)})

    def passes(self, measure: str) -> float:
        """Forward passes that a measure costs for each block."""
        rhos = len(self.rhos(measure))
        return GRADIENT_PASSES * self.num_steps * rhos if measure.endswith("_n") else GRADIENT_PASSES + rhos


class AverageSettings(Section):
    """Average sharpness: the list of Andriushchenko et al. 2023 for CIFAR and ResNet-18."""

    sigmas: Annotated[tuple[Positive, ...], Several] = (0.05, 0.1, 0.2, 0.4)
    num_draws: Annotated[int, Field(ge=2)] = 100

    def passes(self, measure: str) -> float:
        """Forward passes that a measure costs for each block."""
        return self.num_draws * len(self.sigmas)


class PacBayesSettings(Section):
    """How the σ of the PAC-Bayes measures is searched: as in Jiang et al. 2019."""

    target: Annotated[float, Field(gt=0, lt=1, description="drop of the accuracy")] = 0.1
    tolerance: Annotated[float, Field(gt=0, description="error of the drop at which the bisection ends")] = 0.01
    largest: Annotated[float, Field(gt=0, description="largest σ that is tried")] = 2.0
    num_halvings: Annotated[int, Field(gt=0)] = 15
    num_draws: Annotated[int, Field(ge=2, description="noise draws for each σ")] = 10
    fold_batch_norm: Annotated[bool, Field(description="fold each batch-norm into the layer before it first")] = True

    def passes(self, measure: str) -> float:
        """Forward passes that the search for σ costs at most; measures of the same noise share them."""
        return (self.num_halvings + 1) * self.num_draws


class HaarSettings(Section):
    """The loss under Haar-distributed perturbations of the samples: as in the authors' code."""

    rhos: Annotated[tuple[Positive, ...], Several] = (0.2,)
    num_draws: Annotated[int, Field(ge=2)] = 300

    def passes(self, measure: str) -> float:
        """Forward passes that the measure costs."""
        return self.num_draws * len(self.rhos)


def _known_loss(name: str) -> str:
    if name == "cross_entropy" or is_dotted(name):
        return name
    raise ValueError(
        f"unknown loss {name!r}: the networks of a sweep are classifiers, whose targets are classes; give "
        "cross_entropy, or the dotted path of a function of outputs and classes that returns the losses of the samples"
    )


class LossSettings(Section):
    """The loss whose curvature and rises are measured; by default the plain cross-entropy, whatever was trained."""

    name: Annotated[
        str,
        AfterValidator(_known_loss),
        Field(description="cross_entropy, or the dotted path of a function of your own"),
    ] = "cross_entropy"
    label_smoothing: Annotated[float, Field(ge=0, le=1, description="of the cross-entropy")] = 0.0
    class_weights: Annotated[
        tuple[Positive, ...] | None, Field(description="of the cross-entropy, one a class; left out: all 1")
    ] = None

    @model_validator(mode="after")
    def _options_of_the_cross_entropy(self) -> "LossSettings":
        if self.name != "cross_entropy" and (self.label_smoothing or self.class_weights):
            raise ValueError("label_smoothing and class_weights are options of cross_entropy alone")
        return self


class SpectraOf(StrEnum):
    """The blocks of the Hessian whose spectra are computed. A divided measurement keeps layers and whole apart."""

    EVERY = "every"  # each layer's, from one factor pass, and the whole Hessian
    LAYERS = "layers"
    WHOLE = "whole"


def _known_measure(name: str) -> str:
    if name in MEASURES or is_dotted(name):
        return name
    raise ValueError(f"unknown measure {name[:80]!r}; {closest(name, MEASURES)} (or the dotted path of your own)")


MeasureName = Annotated[str, AfterValidator(_known_measure)]
Order = Annotated[float, Field(gt=0)]


LIMITS = {"time_limit", "silence_limit"}


class SharpnessSettings(Section):
    """Settings of a measurement; their hash is its identity, so other settings mean another measurement."""

    samples: Annotated[int, Field(gt=0, description="training samples on which the measures are computed")] = 2000
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
        Field(gt=0, description="nats; a block is done when standard error and truncation of its entropies are lower"),
    ] = 0.02
    num_probes: Annotated[
        int | None, Field(ge=2, description="probes for each block; left out: as many as the tolerance needs")
    ] = None
    num_matvecs: Annotated[
        int | None, Field(ge=2, description="Lanczos steps for each probe; left out: as many as the tolerance needs")
    ] = None
    max_products: Annotated[int, Field(gt=0, description="most matrix-vector products for a block")] = 1000
    memory_gib: Annotated[
        float,
        Field(gt=0, description="most memory for the Lanczos vectors of a block; the rest: `resources`"),
    ] = 4.0
    layers: Annotated[
        Literal["all"] | tuple[str, ...], Field(description="weight tensors to measure one by one: `all`, or names")
    ] = "all"
    measures: Annotated[
        tuple[MeasureName, ...],
        Field(min_length=1, description="measures to take: a list of keys and dotted paths, or `all` built-in ones"),
    ] = tuple(measure.key for measure in MEASURES.values() if measure.default)
    all_layers_only: Annotated[
        tuple[MeasureName, ...],
        Field(description="measures not computed layer by layer, because each layer would cost hundreds of passes"),
    ] = tuple(measure.key for measure in MEASURES.values() if measure.scope is Scope.WHOLE_FIRST)
    worst_case: WorstCaseSettings = WorstCaseSettings()
    average: AverageSettings = AverageSettings()
    pac_bayes: PacBayesSettings = PacBayesSettings()
    haar: HaarSettings = HaarSettings()
    seed: Annotated[int, Field(ge=0, description="seed of probes and noise, the same for every model")] = 0
    loss: Annotated[LossSettings, Field(description="the loss that is measured: its name, or its name and options")] = (
        LossSettings()
    )

    code: Annotated[
        str | None,
        Field(description="digest of the sources of your own measures; `identity: code` in the sweep file sets it"),
    ] = None
    time_limit: Annotated[Duration | None, Field(description="after which a measuring task is ended and fails")] = None
    silence_limit: Annotated[
        Duration | None, Field(description="without a pass or a line of output, after which a task is ended and fails")
    ] = SILENCE_LIMIT

    @field_validator("loss", mode="before")
    @classmethod
    def _name_of_loss(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value

    @field_validator("orders", mode="before")
    @classmethod
    def _name_of_orders(cls, value: Any) -> Any:
        return PAPER_ORDERS if value == "paper" else value

    @field_validator("measures", mode="before")
    @classmethod
    def _all_measures(cls, value: Any) -> Any:
        return tuple(MEASURES) if value == "all" else value

    @field_validator("measures")
    @classmethod
    def _each_once(cls, measures: tuple[str, ...]) -> tuple[str, ...]:
        for measure, count in Counter(measures).items():
            if count > 1:
                raise ValueError(f"has the measure {measure!r} more than once")
        return measures

    @property
    def needs_initial_weights(self) -> bool:
        """Whether some measure uses the distance from the weights before training."""
        return any(name in MEASURES and MEASURES[name].needs_initial_weights for name in self.measures)

    @property
    def own_measures(self) -> tuple[str, ...]:
        """Dotted paths of the user's own measures."""
        return tuple(name for name in self.measures if name not in MEASURES)

    def passes(self, measure: str) -> float:
        """Forward passes over the samples that a measure costs for each block, without Hessian products.

        Measures of the same task share their passes. Those of a user's own measure are unknown and count as 0.
        """
        record = MEASURES.get(measure)
        if record is None:
            return 0
        return record.passes if record.section is None else float(getattr(self, record.section).passes(measure))

    @property
    def tolerance_orders(self) -> tuple[float, ...]:
        """The orders whose entropies must meet the tolerance: the headline orders if any is measured; otherwise those
        from LEAST_RESOLVABLE upwards; otherwise all."""
        headline = tuple(order for order in self.orders if order in HEADLINE_ORDERS)
        return headline or tuple(order for order in self.orders if order >= LEAST_RESOLVABLE) or self.orders

    @property
    def measurement_id(self) -> str:
        """Short hash of the settings, which keys the measurements of a trial.

        With `measures: all` it is the same in every version, though later ones know more measures: a sweep that was
        measured stays measured. Its report lacks the new measures; a list that names them is another measurement. The
        default loss is not in it, nor are limits, which change no result.
        """
        unset = ({"loss"} if self.loss == LossSettings() else set()) | ({"code"} if self.code is None else set())
        content = self.model_dump(mode="json", exclude=LIMITS | unset)
        if is_all(self.measures):
            content["measures"] = list(ALL_IN_IDENTITIES)
        canonical = json.dumps(content, sort_keys=True)
        return hashlib.sha256(canonical.encode()).hexdigest()[:12]
