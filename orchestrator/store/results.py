"""A sweep's results read from its store, without a tracking server."""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from analysis import schema
from analysis.results.parquet import read_table, spectra_from_parquet
from analysis.results.remarks import READING_THREADS, code_remarks, others_remark
from analysis.results.sweep import SweepResults, TrialRecord, tidy_table
from orchestrator.store.code import trained_by_of
from orchestrator.store.generalization import of_shift, of_subset, of_training
from orchestrator.store.plan import Plan
from orchestrator.store.trial_store import TrialState
from trainables.trial.folder import INPUTS, MEASURED_FILE, WEIGHTS, Trained, read_json
from trainables.trial.manifest import damaged, parsed
from trainables.trial.specs import TrialSpec
from trainables.trial.storage import Folder

T = TypeVar("T")


def stored_sweep(plan: Plan, spectra: bool = True) -> SweepResults:
    """The same as `analysis.results.mlflow.load_sweep` of the plan's trials, read from the files of the trial store."""
    measured = [spec for spec in plan.specs if plan.states[spec.trial_id] is TrialState.MEASURED]
    with ThreadPoolExecutor(READING_THREADS) as readers:
        records = list(readers.map(lambda spec: _record(plan, spec), measured))
        folders = [plan.store.measurement(spec.trial_id) for spec in measured] if spectra else []
        found = readers.map(lambda folder: _read(folder, schema.SPECTRA_FILE, spectra_from_parquet), folders)
        by_trial = dict(zip((spec.trial_id for spec in measured), found, strict=False))
    failures = {spec.trial_id: plan.store.failure(spec.trial_id).reason for spec in plan.failed}
    states = {state.value: count for state, count in plan.counts.items()}
    remarks = others_remark(len(plan.store.trial_ids() - plan.states.keys()))
    remarks += code_remarks(record.trained_by for record in records)
    return SweepResults(
        plan.config.name, tidy_table(records), states, failures, by_trial, plan.config.folder, tuple(remarks)
    )


def _record(plan: Plan, spec: TrialSpec) -> TrialRecord:
    trial, folder = plan.store.trial(spec.trial_id), plan.store.measurement(spec.trial_id)
    trained, record = trial.read_trained(), read_json(folder, MEASURED_FILE)
    check_weights(trained, record, folder)
    quantities = of_training(trained) | of_subset(trained.generalization, record)
    for name, shifted in trial.read_shifts().items():
        quantities |= of_shift(trained.generalization, name, shifted)
    measurements = _read(folder, schema.MEASUREMENTS_FILE, read_table)
    return TrialRecord(spec.trial_id, spec.parameters(), quantities, measurements, trained_by_of(trial, spec.model))


def check_weights(trained: Trained, record: Mapping[str, Any], folder: Folder) -> None:
    """Refuse a measurement that was made from other weights than the trial has.

    Raises:
        DamagedError: the message has both digests.
    """
    found = record.get(INPUTS, {}).get(WEIGHTS)
    if found and trained.weights and found != trained.weights:
        raise damaged(folder, MEASURED_FILE, f"was made from weights {found}; the trial has {trained.weights}")


def _read(folder: Folder, name: str, parse: Callable[[bytes], T]) -> T:
    return parsed(folder, name, folder.read(name), parse)
