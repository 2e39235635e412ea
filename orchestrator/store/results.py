"""A sweep's results read from its store, without a tracking server."""

import json
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pyarrow.parquet as pq

from analysis import schema
from analysis.results.parquet import spectra_from_parquet
from analysis.results.remarks import READING_THREADS, code_remarks, others_remark
from analysis.results.sweep import SweepResults, TrialRecord, tidy_table
from orchestrator.store.code import trained_by_of
from orchestrator.store.generalization import of_shift, of_subset, of_training
from orchestrator.store.plan import Plan
from orchestrator.store.trial_store import MEASURED_FILE, TrialState
from trainables.trial.specs import TrialSpec


def stored_sweep(plan: Plan, spectra: bool = True) -> SweepResults:
    """The same as `analysis.results.mlflow.load_sweep` of the plan's trials, read from the files of the trial store."""
    measured = [spec for spec in plan.specs if plan.states[spec.trial_id] is TrialState.MEASURED]
    with ThreadPoolExecutor(READING_THREADS) as readers:
        records = list(readers.map(lambda spec: _record(plan, spec), measured))
        found = readers.map(lambda spec: _read(plan, spec, schema.SPECTRA_FILE), measured) if spectra else iter(())
        by_trial = {spec.trial_id: spectra_from_parquet(data) for spec, data in zip(measured, found, strict=False)}
    failures = {spec.trial_id: plan.store.failure(spec.trial_id).reason for spec in plan.failed}
    states = {state.value: count for state, count in plan.counts.items()}
    remarks = others_remark(len(plan.store.trial_ids() - plan.states.keys()))
    remarks += code_remarks(record.trained_by for record in records)
    return SweepResults(
        plan.config.name, tidy_table(records), states, failures, by_trial, plan.config.folder, tuple(remarks)
    )


def _record(plan: Plan, spec: TrialSpec) -> TrialRecord:
    trial = plan.store.trial(spec.trial_id)
    trained = trial.read_trained()
    quantities = of_training(trained) | of_subset(trained.generalization, json.loads(_read(plan, spec, MEASURED_FILE)))
    for name, shifted in trial.read_shifts().items():
        quantities |= of_shift(trained.generalization, name, shifted)
    measurements = pq.read_table(pa.BufferReader(_read(plan, spec, schema.MEASUREMENTS_FILE)))
    return TrialRecord(spec.trial_id, spec.parameters(), quantities, measurements, trained_by_of(trial, spec.model))


def _read(plan: Plan, spec: TrialSpec, name: str) -> bytes:
    return plan.store.measurement(spec.trial_id).read(name)
