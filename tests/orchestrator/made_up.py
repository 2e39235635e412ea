"""Trials that were never trained, with results that are quick to make up, in a real store."""

from collections.abc import Sequence

from analysis.schema import ALL_LAYERS, Measurement
from analysis.settings import SharpnessSettings
from analysis.spectrum.measures import SPECTRAL_MEASURES
from analysis.spectrum.quadrature import SpectralQuadrature
from orchestrator.store.measurement import Measured, write_measured
from orchestrator.store.trial_store import TrialStore
from trainables.trial.folder import EpochMetrics, Failure, Generalization, ShiftedTest, Trained, write_failure
from trainables.trial.specs import TrialSpec

# In the small sweep's text: one measure in place of five.
ONE_MEASURE = ("measures: [renyi, renyi_gauss_newton, trace, lambda_max, l2]", "measures: [renyi]")
SPECTRA = {
    "fc.weight": SpectralQuadrature.from_eigenvalues([3.0, 1.0, 0.5, 0.0]),
    ALL_LAYERS: SpectralQuadrature.from_eigenvalues([4.0, 2.0, 1.0, 0.5, 0.0, 0.0]),
}
GAUSS_NEWTON = {ALL_LAYERS: SpectralQuadrature.from_eigenvalues([4.0, 2.0, 1.0, 0.5])}

SHIFTED = ShiftedTest(0.08, 0.6, 0.04, 0.8, 0.05, 2000.0)  # test images under a shift


def outcome(number: int = 0) -> Trained:
    """Two epochs, and a generalization gap that grows with the number."""
    history = [
        EpochMetrics(epoch, 0.1, 1 / (epoch + 1), 2.0, 0.5 + epoch / 10, 1.5, 1000.0 + epoch) for epoch in (0, 1)
    ]
    return Trained(history, Generalization(0.1, 0.01, 1.0, 0.0, 0.3 + number / 10, 0.02, 0.9, 0.03))


def measured(settings: SharpnessSettings) -> Measured:
    """A measurement whose rows are read off its spectra, with a norm beside them."""
    rows: list[Measurement] = []
    for name in settings.measures:
        spectra = GAUSS_NEWTON if name == "renyi_gauss_newton" else SPECTRA
        rows += SPECTRAL_MEASURES[name](spectra, settings.orders) if name in SPECTRAL_MEASURES else [norm(name)]
    record = {"seconds": 2.5, "train_loss_subset": 0.12, "train_loss_subset_stderr": 0.03}
    return Measured(rows, SPECTRA, GAUSS_NEWTON, [0, 2, 4], record)


def norm(name: str) -> Measurement:
    """A row of a measure that has no spectrum."""
    return Measurement(ALL_LAYERS, name, None, 7.0, 0.0)


def finish(store: TrialStore, specs: Sequence[TrialSpec], settings: SharpnessSettings) -> None:
    """Leave trials as measured."""
    for number, spec in enumerate(specs):
        store.trial(spec.trial_id).write_trained(outcome(number))
        write_measured(store.measurement(spec.trial_id), measured(settings), settings)


def fail(store: TrialStore, spec: TrialSpec, reason: str = "DivergedError: the loss is nan") -> None:
    """Leave a trial as failed in training."""
    write_failure(store.trial(spec.trial_id).folder, Failure("training", reason))


def reseeded(spec: TrialSpec, seed: int = 7) -> TrialSpec:
    """The same trial with another seed: one that the small sweep does not ask for."""
    return TrialSpec.model_validate({**spec.model_dump(), "seed": seed})
