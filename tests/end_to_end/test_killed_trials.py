"""A trial that SIGKILL ends at random moments, ten times over, ends as one that was left alone: bit for bit."""

import multiprocessing
import random
import signal
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

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


def test_killed_ten_times(tmp_path: Path) -> None:
    # Batch-norm, momentum and augmentation: everything that a checkpoint has to bring back.
    optimizer = {"name": "sgd", "learning_rate": 0.05, "momentum": 0.9, "weight_decay": 1e-4}
    training = {"epochs": 32, "batch_size": 500, "augment": True, "crop_padding": 1, "rotation": 10}
    wanted = TrialSpec.model_validate(
        {"data": {"dataset": "digits"}, "model": "digits_cnn_bn", "training": training, "optimizer": optimizer}
    )
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
        assert SharpnessActor(store.folder.uri, SETTINGS, threads=1).measure(wanted.trial_id)
        measurements.append(measurements_from_parquet(store.measurement(wanted.trial_id).read(MEASUREMENTS_FILE)))
    assert measurements[0] == measurements[1]
    first, second = (load_checkpoint(store.trial(wanted.trial_id).folder, LAST_CHECKPOINT) for store in (whole, cut))
    assert first.model.keys() == second.model.keys()
    assert all(torch.equal(tensor, second.model[name]) for name, tensor in first.model.items())
