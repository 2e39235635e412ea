"""The actor that measures trained trials and evaluates them under shifts, in a cluster's pool or in this process."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import torch

from analysis.errors import UndefinedMeasureError
from analysis.life import alive
from analysis.schema import STDERR_SUFFIX, TRAIN_LOSS_SUBSET
from analysis.settings import SharpnessSettings
from analysis.sharpness.means import stderr_of_mean
from analysis.sharpness.measure import measure_subject
from analysis.sharpness.memory import found_budget
from analysis.sharpness.subject import Subject
from analysis.spectrum.measures import Spectrum
from analysis.spectrum.quadrature import SpectralQuadrature
from orchestrator.config.sweep_config import ALL_MEMORY, MemoryShare
from orchestrator.store.measurement import CODE, Measured, assemble, write_measured, write_part
from orchestrator.store.tasks import MeasuringTask, whole
from orchestrator.store.trial_store import MEASURED_FILE, TrialStore
from trainables.data import load_dataset, stratified_indices
from trainables.errors import StorageError
from trainables.models import build_model
from trainables.training.checkpoints import Checkpoint, load_checkpoint, weights_digest
from trainables.training.device import default_device
from trainables.training.evaluation import EVALUATION_BATCH, evaluate_inputs
from trainables.training.shifts import evaluate_shifts
from trainables.trial.code import code_of
from trainables.trial.folder import (
    INITIAL_CHECKPOINT,
    INPUTS,
    LAST_CHECKPOINT,
    WEIGHTS,
    Failure,
    TrialFolder,
    write_failure,
)
from trainables.trial.specs import DataSpec, TrialSpec
from trainables.trial.storage import Folder


class SharpnessActor:
    """Measures one checkpoint after another; data and libraries stay loaded in between.

    Every method writes its result to the store, or the reason why there is none. All of them are safe to repeat.
    """

    def __init__(
        self,
        store_folder: str,
        settings: SharpnessSettings,
        threads: int,
        data: DataSpec | None = None,
        shifts: tuple[str, ...] = (),
        memory: MemoryShare = ALL_MEMORY,
    ) -> None:
        torch.set_num_threads(threads)
        self._data = data
        self._store = TrialStore(store_folder, settings.measurement_id, shifts)
        self._settings = settings
        self._device = default_device()
        self._memory = memory

    def measure(self, spec: TrialSpec) -> bool:
        """Measure a trained trial as one task, if that is missing, and evaluate it under the shifts that are missing.

        Returns:
            Whether all of it is in the store now.
        """
        folder = self._store.measurement(spec.trial_id)
        task = whole(self._settings)
        measured = MEASURED_FILE in folder.names() or self._attempt(
            folder, "measuring", lambda: write_measured(folder, self._measured(spec, task), self._settings)
        )
        return measured and self._shifted(spec)

    def measure_part(self, spec: TrialSpec, task: MeasuringTask) -> bool:
        """Do one task of a trial's measurement; whether its part is in the store now."""
        folder = self._store.measurement(spec.trial_id)
        return self._attempt(folder, "measuring", lambda: write_part(folder, task, self._measured(spec, task)))

    def assemble(self, spec: TrialSpec, tasks: Sequence[MeasuringTask]) -> bool:
        """Put the parts of a measurement together, and evaluate the trial under the shifts that are missing.

        Returns:
            Whether all of it is in the store now.
        """
        folder = self._store.measurement(spec.trial_id)
        assembled = self._attempt(folder, "measuring", lambda: assemble(folder, tasks, self._settings))
        return assembled and self._shifted(spec)

    def _shifted(self, spec: TrialSpec) -> bool:
        missing = self._store.missing_shifts(spec.trial_id)
        trial = self._store.trial(spec.trial_id)
        return not missing or self._attempt(
            trial.shifts, "shifts", lambda: evaluate_shifts(spec, trial, missing, self._device, self._data)
        )

    def _attempt(self, folder: Folder, stage: str, action: Callable[[], None]) -> bool:
        try:
            action()
        except StorageError:  # no fault of the trial
            raise
        except (Exception, SystemExit, KeyboardInterrupt) as error:  # noqa: BLE001 - a failure is a result
            write_failure(folder, Failure.of(stage, error))
            return False
        return True

    def _measured(self, spec: TrialSpec, task: MeasuringTask) -> Measured:
        started = time.perf_counter()
        trial = self._store.trial(spec.trial_id)
        if self._data is not None:
            load_dataset(self._data)
        alive()  # downloading and decoding may take long
        settings = task.narrowed(self._settings)
        checkpoint = load_checkpoint(trial.folder, LAST_CHECKPOINT, self._device, spec.trial_id)
        subject, indices = subject_of(checkpoint, spec, trial, settings, self._device, self._data)
        inputs = measured_from(trial, subject, settings)
        subject = replace(subject, spectra_of=task.spectra_of, memory_budget=self._memory_budget())
        rows = measure_subject(subject, task.measures)
        losses, _ = evaluate_inputs(subject.model, subject.inputs.split(EVALUATION_BATCH), subject.targets)
        record: dict[str, Any] = {
            CODE: code_of(self._settings.own_measures).to_json(),
            "seconds": time.perf_counter() - started,
            TRAIN_LOSS_SUBSET: losses.mean().item(),
            TRAIN_LOSS_SUBSET + STDERR_SUFFIX: stderr_of_mean(losses),
            INPUTS: inputs,
        }
        computed = vars(subject)  # spectra that no measure needed are not among them
        spectra, gauss_newton = (_defined(computed.get(name, {})) for name in ("spectra", "gauss_newton_spectra"))
        return Measured(rows, spectra, gauss_newton, indices, record)

    def _memory_budget(self) -> int:
        """Bytes, found anew for each task: trials and other actors come and go."""
        gib = self._memory.gib
        return found_budget(self._device, self._memory.part) if gib is None else int(gib * 2**30)


def measured_from(trial: TrialFolder, subject: Subject, settings: SharpnessSettings) -> dict[str, str]:
    """What a subject was made from: the SHA-256 of its weights, and of each checkpoint as a file."""
    files = [LAST_CHECKPOINT, *([INITIAL_CHECKPOINT] if settings.needs_initial_weights else [])]
    return {WEIGHTS: weights_digest(subject.model.state_dict()), **{name: trial.folder.sha256(name) for name in files}}


@cache
def _actor(*arguments: Any) -> SharpnessActor:
    return SharpnessActor(*arguments)


def call_actor(arguments: tuple[Any, ...], method: str, *of_method: Any) -> Iterator[bool]:
    """What an actor made with these arguments returns; it is made once a process."""
    yield getattr(_actor(*arguments), method)(*of_method)


def _defined(spectra: Mapping[str, Spectrum]) -> dict[str, SpectralQuadrature]:
    return {layer: spectrum for layer, spectrum in spectra.items() if not isinstance(spectrum, UndefinedMeasureError)}


def subject_of(
    checkpoint: Checkpoint,
    spec: TrialSpec,
    trial: TrialFolder,
    settings: SharpnessSettings,
    device: torch.device,
    data_spec: DataSpec | None = None,
) -> tuple[Subject, list[int]]:
    """The subject of a measurement: a checkpoint's network with the sweep's samples; and the samples' indices.

    Args:
        checkpoint: the weights. What its own specification names is neither imported nor read.
        spec: says how the network is built: as the sweep's file has it, or as whoever asks has found it harmless.
        trial: the folder that holds the checkpoint.
        settings: which samples to measure on.
        device: where to measure.
        data_spec: where the images are now; None if they are still where they were during training.
    """
    data = load_dataset(data_spec or spec.data)
    model = build_model(spec.model, data.num_classes, data.in_channels).to(device)
    model.load_state_dict(checkpoint.model)
    indices = stratified_indices(data.train.targets, settings.samples, settings.sample_seed)
    inputs, targets = data.train_samples(indices)
    initial = None
    if settings.needs_initial_weights:
        initial = load_checkpoint(trial.folder, INITIAL_CHECKPOINT, device, trial.trial_id).model
    return Subject(model, inputs.to(device), targets.to(device), settings, initial), indices.tolist()
