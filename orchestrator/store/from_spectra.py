"""Measuring again from stored spectra: Rényi entropies at new orders from quadratures, without torch or a GPU."""

import time
from collections.abc import Sequence

from analysis.errors import UndefinedMeasureError
from analysis.measures import MEASURES
from analysis.schema import Measurement
from analysis.settings import LIMITS, SharpnessSettings
from analysis.spectrum.measures import SPECTRAL_MEASURES, Spectra
from orchestrator.store.measurement import Measured, read_measured, read_settings, write_measured
from orchestrator.store.plan import Plan
from orchestrator.store.trial_store import TrialState

OF_HESSIAN = tuple(measure.key for measure in MEASURES.values() if measure.spectra == "hessian")
OF_GAUSS_NEWTON = tuple(measure.key for measure in MEASURES.values() if measure.spectra == "gauss_newton")


def measure_from_spectra(plan: Plan) -> list[str]:
    """Measure the trained trials that were measured before with settings that differ only in orders and measures.

    The orders decide when a quadrature is fine enough. Where new orders would need a finer one, the standard errors
    show how accurate the new values are. The record of each new measurement names the one it comes from (`from`).

    Returns:
        The ids of the trials that are measured now.
    """
    settings = plan.config.sharpness
    done = []
    for spec in plan.specs:
        state = plan.states[spec.trial_id]
        without_checkpoint = state is TrialState.FAILED and plan.store.is_cleaned(spec.trial_id)
        if state is not TrialState.TRAINED and not without_checkpoint:
            continue
        measurements = plan.store.trial(spec.trial_id).measurements
        for other in measurements.names():
            found = read_settings(measurements / other)
            if found is None or not derivable(settings, found):
                continue
            try:
                measured = derive(read_measured(measurements / other), settings)
            except FileNotFoundError:  # measured by a version that did not keep Gauss-Newton spectra
                continue
            measured.record["from"] = other
            write_measured(plan.store.measurement(spec.trial_id), measured, settings)
            done.append(spec.trial_id)
            break
    return done


def derivable(settings: SharpnessSettings, stored: SharpnessSettings) -> bool:
    """Whether a measurement with some settings follows from one with others, without the network."""
    free = {name: getattr(settings, name) for name in ("orders", "measures", *LIMITS)}
    same = stored.model_copy(update=free) == settings
    has_spectra = any(name in OF_HESSIAN for name in stored.measures)
    available = {*stored.measures, *(OF_HESSIAN if has_spectra else ())}
    return same and available >= set(settings.measures)


def derive(stored: Measured, settings: SharpnessSettings) -> Measured:
    """The measurement with other orders, or with some of the measures, from a stored one."""
    started = time.perf_counter()
    hessian = _with_reasons(stored.spectra, stored.rows, OF_HESSIAN)
    gauss_newton = _with_reasons(stored.gauss_newton_spectra, stored.rows, OF_GAUSS_NEWTON)
    rows: list[Measurement] = []
    for name in settings.measures:
        if name in OF_HESSIAN:
            rows += SPECTRAL_MEASURES[name](hessian, settings.orders)
        elif name in OF_GAUSS_NEWTON:
            rows += SPECTRAL_MEASURES[name](gauss_newton, settings.orders)
        else:
            rows += [row for row in stored.rows if row.measure == name]
    record = {key: value for key, value in stored.record.items() if key not in ("timestamp", "settings")}
    record["seconds"] = time.perf_counter() - started
    return Measured(rows, stored.spectra, stored.gauss_newton_spectra, stored.indices, record)


def _with_reasons(spectra: Spectra, rows: Sequence[Measurement], measures: Sequence[str]) -> Spectra:
    """The spectra in the order of the rows, with a reason instead of each spectrum that was undefined."""
    layers = {row.layer: row.reason or "" for row in rows if row.measure in measures}
    return {layer: spectra.get(layer, UndefinedMeasureError(reason)) for layer, reason in layers.items()}
