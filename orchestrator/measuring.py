"""Measuring trained trials: the actor that measures one, and the pool of such actors on a Ray cluster.

The actor is a plain class, so the in-process executor uses the very same code without Ray.
"""

import json
import time
from collections import deque
from collections.abc import Iterator
from typing import Any

import torch

from analysis.errors import UndefinedMeasureError
from analysis.parquet import measurements_to_parquet, spectra_to_parquet
from analysis.schema import MEASUREMENTS_FILE, SPECTRA_FILE, STDERR_SUFFIX, TRAIN_LOSS_SUBSET
from analysis.settings import SharpnessSettings
from analysis.sharpness.measure import measure_subject
from analysis.sharpness.subject import Subject
from orchestrator.config import PoolResources
from orchestrator.events import Event, TrialFailed, TrialMeasured
from orchestrator.trial_store import MEASURED_FILE, TrialStore
from trainables.checkpoints import load_checkpoint
from trainables.data import load_dataset, stratified_indices
from trainables.device import default_device
from trainables.errors import StorageError
from trainables.evaluation import EVALUATION_BATCH, evaluate_inputs, stderr_of_mean
from trainables.models import build_model
from trainables.specs import DataSpec
from trainables.trial_folder import (
    INITIAL_CHECKPOINT,
    LAST_CHECKPOINT,
    Failure,
    TrialFolder,
    write_failure,
    write_json,
)

SAMPLES_FILE = "samples.json"
MAX_RESTARTS = 3  # of an actor that was killed, and of the task that it was at


class SharpnessActor:
    """Measures one checkpoint after another, keeping data and libraries loaded in between."""

    def __init__(
        self, store_folder: str, settings: SharpnessSettings, threads: int, data: DataSpec | None = None
    ) -> None:
        torch.set_num_threads(threads)
        self._data = data
        self._store = TrialStore(store_folder, settings.measurement_id)
        self._settings = settings
        self._device = default_device()

    def ready(self) -> bool:
        """Answer once the actor is up and torch is loaded."""
        return True

    def measure(self, trial_id: str) -> bool:
        """Measure a trained trial and write the result; on an error write the reason. Safe to repeat.

        Returns:
            Whether there are measurements now.
        """
        folder = self._store.measurement(trial_id)
        try:
            indices, record, files = self._measure(self._store.trial(trial_id))
        except StorageError:  # no fault of the trial
            raise
        except Exception as error:  # noqa: BLE001 - a failed measurement is a result with a reason
            write_failure(folder, Failure.of("measuring", error))
            return False
        for name, data in files.items():
            folder.write(name, data)
        folder.write(SAMPLES_FILE, json.dumps(indices).encode())
        settings = self._settings.model_dump(mode="json")
        write_json(folder, MEASURED_FILE, {**record, "timestamp": time.time(), "settings": settings})
        return True

    def _measure(self, trial: TrialFolder) -> tuple[list[int], dict[str, float], dict[str, bytes]]:
        started = time.perf_counter()
        subject, indices = load_subject(trial, LAST_CHECKPOINT, self._settings, self._device, self._data)
        measurements = measure_subject(subject)
        spectra = {
            layer: spectrum
            for layer, spectrum in subject.spectra.items()
            if not isinstance(spectrum, UndefinedMeasureError)
        }
        files = {
            MEASUREMENTS_FILE: measurements_to_parquet(measurements),
            SPECTRA_FILE: spectra_to_parquet(spectra),
        }
        losses, _ = evaluate_inputs(subject.model, subject.inputs.split(EVALUATION_BATCH), subject.targets)
        record = {
            "seconds": time.perf_counter() - started,
            TRAIN_LOSS_SUBSET: losses.mean().item(),
            TRAIN_LOSS_SUBSET + STDERR_SUFFIX: stderr_of_mean(losses),
        }
        return indices, record, files


def load_subject(
    trial: TrialFolder,
    checkpoint_name: str,
    settings: SharpnessSettings,
    device: torch.device,
    data_spec: DataSpec | None = None,
) -> tuple[Subject, list[int]]:
    """A checkpoint's network and the sweep's samples, ready to be measured; and the samples' indices.

    Args:
        trial: the folder that holds the checkpoint.
        checkpoint_name: its file.
        settings: which samples.
        device: where to measure.
        data_spec: where the images are by now; None for where they were when the network was trained.
    """
    checkpoint = load_checkpoint(trial.folder, checkpoint_name, device)
    data = load_dataset(data_spec or checkpoint.spec.data)
    model = build_model(checkpoint.spec.model, data.num_classes, data.in_channels).to(device)
    model.load_state_dict(checkpoint.model)
    indices = stratified_indices(data.train.targets, settings.samples, settings.sample_seed)
    inputs, targets = data.train_samples(indices)
    initial = None
    if settings.needs_initial_weights:
        initial = load_checkpoint(trial.folder, INITIAL_CHECKPOINT, device).model
    return Subject(model, inputs.to(device), targets.to(device), settings, initial), indices.tolist()


class MeasuringPool:
    """Ray actors that measure, each one trial at a time, fed from a queue in this process.

    The actors are made before any trial starts, with resources that trials then can't take; so neither side can
    wait for the other for ever.
    """

    def __init__(
        self, store: TrialStore, settings: SharpnessSettings, resources: PoolResources, data: DataSpec
    ) -> None:
        import ray

        self._ray = ray
        self._store = store
        actor_class = ray.remote(SharpnessActor).options(
            num_cpus=resources.cpus,
            num_gpus=resources.gpus,
            max_restarts=-1,
            max_task_retries=MAX_RESTARTS,
            scheduling_strategy="SPREAD",
        )
        self._idle: list[Any] = [
            actor_class.remote(store.folder.uri, settings, resources.threads, data) for _ in range(resources.actors)
        ]
        self._waiting: deque[str] = deque()
        self._running: dict[Any, tuple[Any, str]] = {}  # result reference → (actor, trial_id)

    def wait_until_ready(self) -> None:
        """Return once every actor is up."""
        self._ray.get([actor.ready.remote() for actor in self._idle])

    def submit(self, trial_id: str) -> None:
        """Put a trained trial in the queue; returns at once."""
        self._waiting.append(trial_id)
        self._feed()

    @property
    def busy(self) -> bool:
        """Whether anything is queued or being measured."""
        return bool(self._waiting or self._running)

    def collect(self, timeout: float) -> Iterator[Event]:
        """What has finished by now, waiting at most `timeout` seconds for the first."""
        if not self._running:
            return
        done, _ = self._ray.wait(list(self._running), num_returns=1, timeout=timeout)
        for reference in done:
            actor, trial_id = self._running.pop(reference)
            self._idle.append(actor)
            try:
                measured = self._ray.get(reference)
            except StorageError as error:
                raise error.cause from error  # type: ignore[attr-defined]  # the text of Ray's copy is a traceback
            except self._ray.exceptions.RayError as error:
                reason = Failure("measuring", f"the measuring process died {MAX_RESTARTS + 1} times: {error}")
                write_failure(self._store.measurement(trial_id), reason)
                measured = False
            yield TrialMeasured(trial_id) if measured else TrialFailed(trial_id)
        self._feed()

    def _feed(self) -> None:
        while self._waiting and self._idle:
            actor, trial_id = self._idle.pop(), self._waiting.popleft()
            self._running[actor.measure.remote(trial_id)] = (actor, trial_id)
