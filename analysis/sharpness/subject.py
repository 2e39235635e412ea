"""The network that is measured, and the rows of a measure."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

from torch import Tensor, nn

from analysis.errors import UndefinedMeasureError
from analysis.progress import NO_BAR, ProgressBar
from analysis.schema import ALL_LAYERS, Measurement
from analysis.settings import SharpnessSettings, SpectraOf
from analysis.sharpness.estimators.slq import VECTORS_SHARE, Effort
from analysis.sharpness.estimators.spectra import spectra_or_reasons
from analysis.sharpness.landscape import Landscape
from analysis.sharpness.layers import default_layers, unwrapped
from analysis.sharpness.loss import Loss, LossLike, Targets, loss_in, loss_of
from analysis.sharpness.problem import Problem, pose
from analysis.sharpness.samples import Inputs
from analysis.spectrum.measures import Spectrum
from analysis.spectrum.quadrature import SpectralQuadrature

T = TypeVar("T")
Values = Mapping[Any, tuple[float, float | None]]  # (value, standard error) by parameter; the key None: no parameter


@dataclass(frozen=True)
class Subject:
    """A network to measure. Results that several measures share are computed once, on first use."""

    model: nn.Module
    inputs: Inputs  # (N, …), or see `gather`
    targets: Targets  # (N,), or see `gather`
    settings: SharpnessSettings
    initial: Mapping[str, Tensor] | None = None  # state dict before training, for measures of the distance from it
    spectra_of: SpectraOf = SpectraOf.EVERY
    loss: LossLike | None = None  # None: that of the settings
    bar: ProgressBar = NO_BAR
    memory_budget: int | None = None  # bytes, see `block_operator`; None: what is free
    _shared: dict[Callable[["Subject"], Any], Any] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "model", unwrapped(self.model, say=True))

    @property
    def layers(self) -> list[str]:
        """The layers to measure one by one."""
        return default_layers(self.model) if self.settings.layers == "all" else list(self.settings.layers)

    @property
    def measured_loss(self) -> Loss:
        """The loss that was given, or that of the settings."""
        return loss_in(self.settings.loss) if self.loss is None else loss_of(self.loss)

    def blocks(self, measure: str) -> list[str]:
        """The blocks on which a measure is computed: each layer and all together, or only all together."""
        return [ALL_LAYERS] if measure in self.settings.all_layers_only else [*self.layers, ALL_LAYERS]

    def landscape(self, block: str) -> Landscape:
        """The loss as a function of a layer's weights, or for ALL_LAYERS of all trainable parameters."""
        return Landscape.of(self.shared(_problem), None if block == ALL_LAYERS else block)

    def shared(self, compute: Callable[["Subject"], T]) -> T:
        """The result of a function of this subject, computed once.

        Raises:
            UndefinedMeasureError: on every call, if the function raised one.
        """
        if compute not in self._shared:
            try:
                self._shared[compute] = compute(self)
            except UndefinedMeasureError as error:
                self._shared[compute] = error
        result: T | UndefinedMeasureError = self._shared[compute]
        if isinstance(result, UndefinedMeasureError):
            raise result
        return result

    @property
    def vector_memory(self) -> int:
        """Bytes for the vectors that an estimate keeps: `memory_gib`, or their share of the budget if that is less."""
        most = int(self.settings.memory_gib * 2**30)
        return most if self.memory_budget is None else min(most, int(VECTORS_SHARE * self.memory_budget))

    @cached_property
    def spectra(self) -> dict[str, Spectrum]:
        """The spectrum of the Hessian of each layer and of all layers, or the reason why it is undefined."""
        layers: list[str | None] = [] if self.spectra_of is SpectraOf.WHOLE else list(self.layers)
        whole: list[str | None] = [] if self.spectra_of is SpectraOf.LAYERS else [None]
        return self._spectra([*layers, *whole], "hessian")

    @cached_property
    def gauss_newton_spectra(self) -> dict[str, Spectrum]:
        """Spectra of the Gauss–Newton part, where it differs from the Hessian: for all layers, and for indefinite ones.

        For a layer with a positive semidefinite Hessian, as in every ReLU network, both are the same.
        """
        differing = [layer for layer in self.layers if _is_indefinite(self.spectra[layer])]
        return self._spectra([*differing, None], "gauss_newton")

    def _spectra(self, layers: list[str | None], curvature: str) -> dict[str, Spectrum]:
        settings = self.settings
        effort = Effort(
            settings.tolerance_orders,
            settings.tolerance,
            settings.num_probes,
            settings.num_matvecs,
            settings.max_products,
            self.vector_memory,
        )
        spectra = spectra_or_reasons(
            self.model,
            self.inputs,
            self.targets,
            layers,
            settings.estimator,
            effort,
            settings.seed,
            curvature,
            self.measured_loss,
            self.bar,
            self.memory_budget,
        )
        return {layer or ALL_LAYERS: spectrum for layer, spectrum in spectra.items()}


def tabulate(
    measure: str, blocks: Iterable[str], parameters: Iterable[float | None], values_of: Callable[[str], Values]
) -> list[Measurement]:
    """A row for each block and parameter, with its value or the reason why it is missing, as for NaN and infinity."""
    rows = []
    for block in blocks:
        try:
            values, reason = values_of(block), None
        except UndefinedMeasureError as error:
            values, reason = {}, str(error)
        for parameter in parameters:
            value, stderr = values.get(parameter, (math.nan, None))
            if math.isfinite(value):
                rows.append(Measurement(block, measure, parameter, value, stderr))
            else:
                rows.append(Measurement(block, measure, parameter, None, None, reason or f"the value is {value}"))
    return rows


def _problem(subject: Subject) -> Problem:
    return pose(subject.model, subject.inputs, subject.targets, subject.measured_loss, subject.memory_budget)


def _is_indefinite(spectrum: Spectrum) -> bool:
    return isinstance(spectrum, SpectralQuadrature) and spectrum.indefinite
