"""A trial that SIGKILL ends at random moments, ten times over, ends as one that was left alone: bit for bit."""

import multiprocessing
import random
import signal
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from analysis.results.parquet import measurements_from_parquet
from analysis.schema import MEASUREMENTS_FILE
from analysis.settings import SharpnessSettings
from orchestrator.executors.actor import SharpnessActor
from orchestrator.store.trial_store import TrialStore
from tests.end_to_end.training_process import train_in_process
from trainables.training.checkpoints import load_checkpoint
from trainables.trial.folder import LAST_CHECKPOINT, EpochMetrics, Trained
from trainables.trial.specs import TrialSpec

KILLS = 10
SETTINGS = SharpnessSettings(samples=50, orders=(0.5, 1.5), num_probes=2, num_matvecs=5)


def without_clock(trained: Trained) -> tuple[list[EpochMetrics], Any]:
    return [replace(epoch, seconds=0, timestamp=0) for epoch in trained.history], trained.generalization


def trial(training: dict[str, Any], optimizer: dict[str, Any]) -> TrialSpec:
    """Batch-norm, momentum and augmentation: what a checkpoint of any trial has to bring back; and what is given."""
    return TrialSpec.model_validate(
        {
            "data": {"dataset": "digits"},
            "model": "digits_cnn_bn",
            "training": {"epochs": 32, "batch_size": 500, "augment": True, "crop_padding": 1, "rotation": 10}
            | training,
            "optimizer": {"name": "sgd", "learning_rate": 0.05, "weight_decay": 1e-4} | optimizer,
        }
    )


STEPS: dict[str, Any] = {"schedule": "multi_step", "milestones": [8, 16, 24], "decay_factor": 0.5, "ema_decay": 0.9}
IMAGES: dict[str, Any] = {"batch_size": 300, "drop_last": True, "cutout": 3, "mixup": 0.4, "label_smoothing": 0.1}
RECIPE = STEPS | IMAGES | {"evaluate_every": 3}


@pytest.mark.parametrize(
    "wanted",
    [
        pytest.param(trial({}, {}), id="plain"),
        pytest.param(trial(RECIPE, {"name": "sam", "nesterov": True}), id="recipe-over-sam", marks=pytest.mark.system),
        pytest.param(
            trial(RECIPE, {"name": "adamw", "learning_rate": 0.002}), id="recipe-over-adamw", marks=pytest.mark.system
        ),
    ],
)
def test_killed_ten_times(tmp_path: Path, wanted: TrialSpec) -> None:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.end_to_end.training_process", "pytest"])
    whole, cut = (TrialStore(str(tmp_path / name), SETTINGS.measurement_id) for name in ("whole", "cut"))
    moments = random.Random(0)

    def start(store: TrialStore) -> tuple[Any, Any]:
        here, there = context.Pipe(duplex=False)
        process = context.Process(
            target=train_in_process, args=(wanted, store.trial(wanted.trial_id).folder.uri, there)
        )
        process.start()
        there.close()
        return process, here

    process, epochs = start(whole)
    process.join()
    an_epoch = whole.trial(wanted.trial_id).read_trained().seconds / wanted.training.epochs

    reached = []
    for _ in range(KILLS):
        process, epochs = start(cut)
        reached += [epochs.recv() for _ in range(moments.randint(1, 2))]
        time.sleep(moments.uniform(0, 1) * an_epoch)
        process.kill()
        process.join()
        assert process.exitcode == -signal.SIGKILL
    process, epochs = start(cut)
    process.join()
    assert process.exitcode == 0
    assert max(reached) < wanted.training.epochs - 1, "it was killed while it was training"

    trial = cut.trial(wanted.trial_id)
    assert without_clock(trial.read_trained()) == without_clock(whole.trial(wanted.trial_id).read_trained())
    measurements = []
    for store in (whole, cut):
        assert SharpnessActor(store.folder.uri, SETTINGS, threads=1).measure(wanted)
        measurements.append(measurements_from_parquet(store.measurement(wanted.trial_id).read(MEASUREMENTS_FILE)))
    assert measurements[0] == measurements[1]
    first, second = (load_checkpoint(store.trial(wanted.trial_id).folder, LAST_CHECKPOINT) for store in (whole, cut))
    assert first.model.keys() == second.model.keys()
    assert all(torch.equal(tensor, second.model[name]) for name, tensor in first.model.items())
