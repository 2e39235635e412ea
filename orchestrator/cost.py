"""What a sweep will cost before it runs: from recorded timings where there are any, else from the network's size."""

import json
import os
import statistics
from collections.abc import Mapping
from dataclasses import dataclass

from analysis.settings import SharpnessSettings
from orchestrator.trial_store import MEASURED_FILE, TrialState, TrialStore
from trainables.specs import TrialSpec

MAX_RECORDS = 20  # finished trials whose timings are looked at
CPU_FLOPS = 1e10  # a second, that one core makes of small networks
STEP_SECONDS = 0.8e-3  # of a training step, whatever its size
TRAIN_IMAGES = {"digits": 1000}


@dataclass(frozen=True)
class ModelSize:
    """What one network costs to keep and to evaluate."""

    parameters: int
    flops: int  # of a forward pass on one image: two for each multiplication with an addition


# Counted by torch.utils.flop_counter; the tests count again.
MODEL_SIZES = {
    "digits_cnn": ModelSize(3_350, 51_968),
    "digits_cnn_bn": ModelSize(3_386, 51_968),
}


@dataclass(frozen=True)
class Cost:
    """An estimate for the work that is still to do."""

    train_seconds: float  # of computing, summed over trials
    measure_seconds: float
    disk_bytes: int  # of checkpoints, whole sweep
    recorded: bool  # from timings of this sweep's own finished trials
    cores: int

    @property
    def wall_seconds(self) -> float:
        """On this machine, all its cores busy."""
        return (self.train_seconds + self.measure_seconds) / self.cores


def estimate_cost(
    specs: list[TrialSpec],
    states: Mapping[str, TrialState],
    settings: SharpnessSettings,
    store: TrialStore,
) -> Cost | None:
    """The cost of what is not done yet; None for networks of unknown size before their first trial is done."""
    to_train = [spec for spec in specs if states[spec.trial_id] in (TrialState.PENDING, TrialState.TRAINING)]
    to_measure = to_train + [spec for spec in specs if states[spec.trial_id] is TrialState.TRAINED]
    known = all(spec.model in MODEL_SIZES for spec in specs)
    training, measuring = _recorded(specs, states, store)
    recorded = training is not None and measuring is not None
    if not recorded and not known:
        return None
    train = [training if training is not None else _train_seconds(spec) for spec in to_train]
    measure = [measuring if measuring is not None else _measure_seconds(spec, settings) for spec in to_measure]
    # Initial and last weights, and up to two buffers a weight in the optimizer's state; 4 bytes each.
    disk = sum(4 * 4 * MODEL_SIZES[spec.model].parameters for spec in specs) if known else 0
    return Cost(sum(train), sum(measure), disk, recorded, os.cpu_count() or 1)


def _recorded(
    specs: list[TrialSpec], states: Mapping[str, TrialState], store: TrialStore
) -> tuple[float | None, float | None]:
    """Median seconds of training and of measuring among finished trials."""
    done = [spec.trial_id for spec in specs if states[spec.trial_id] is TrialState.MEASURED][:MAX_RECORDS]
    if not done:
        return None, None
    training = statistics.median(store.trial(trial_id).read_trained().seconds for trial_id in done)
    measured = (json.loads(store.measurement(trial_id).read(MEASURED_FILE)) for trial_id in done)
    return training, statistics.median(float(record["seconds"]) for record in measured)


def _train_seconds(spec: TrialSpec) -> float:
    images = TRAIN_IMAGES[spec.data.dataset]
    steps = spec.training.epochs * -(-images // spec.training.batch_size)
    # Forward, and backward at twice its cost.
    flops = 3 * MODEL_SIZES[spec.model].flops * images * spec.training.epochs
    return steps * STEP_SECONDS + flops / CPU_FLOPS


def _measure_seconds(spec: TrialSpec, settings: SharpnessSettings) -> float:
    # Upper bound: every block takes all the products it may; a product of the whole Hessian costs about 5 forward
    # passes, those of the layers together about as much again.
    return 2 * 5 * settings.max_products * MODEL_SIZES[spec.model].flops * settings.samples / CPU_FLOPS
