"""The cost of a sweep before it runs: from recorded timings, if there are any, else from the network's size."""

import math
import os
import statistics
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from analysis.measures import MEASURES, PRODUCT_PASSES
from analysis.settings import SharpnessSettings
from orchestrator.store.trial_store import TrialState, TrialStore
from trainables.catalogue import DATA_SETS, PASSES_A_STEP, NetworkSize, size_of
from trainables.errors import DamagedError
from trainables.trial.folder import MEASURED_FILE, read_json
from trainables.trial.specs import TrialSpec

SPECTRA = "spectra (at most)"
MAX_RECORDS = 20  # finished trials whose timings are used
CPU_FLOPS = 1e10  # per second, of one core on small networks
GPU_FLOPS = 1e13  # per second, assumed for one data-centre GPU in float32
STEP_SECONDS = 0.8e-3  # of each training step, whatever the size of the network


@dataclass(frozen=True)
class Cost:
    """An estimate for the work that remains."""

    train_seconds: float  # of computation, summed over trials
    measure_seconds: float
    disk_bytes: int  # of the checkpoints of the whole sweep
    recorded: bool  # whether it is from timings of this sweep's finished trials
    cores: int
    gpu: bool = False  # whether the seconds are those of one GPU, not of one core
    max_concurrent: int | None = None  # trials that are trained at once, at most

    @property
    def wall_seconds(self) -> float:
        """Seconds until all is done, if all cores of this machine are busy that may be."""
        at_best = (self.train_seconds + self.measure_seconds) / self.cores
        return at_best if self.max_concurrent is None else max(at_best, self.train_seconds / self.max_concurrent)


def estimate_cost(
    specs: list[TrialSpec],
    states: Mapping[str, TrialState],
    settings: SharpnessSettings,
    store: TrialStore,
    gpu: bool = False,
    max_concurrent: int | None = None,
    finished: Sequence[str] = (),
) -> Cost | None:
    """The cost of the work that remains; None if the size of a network is unknown and no trial is finished.

    Args:
        specs: the sweep's trials.
        states: the state of each.
        settings: what is measured for each.
        store: the store with the timings of finished trials.
        gpu: whether trials run on GPUs.
        max_concurrent: how many trials are trained at once, at most.
        finished: ids of other measured trials of the sweep, whose timings count too.
    """
    to_train = [spec for spec in specs if states[spec.trial_id] in (TrialState.PENDING, TrialState.TRAINING)]
    to_measure = to_train + [spec for spec in specs if states[spec.trial_id] is TrialState.TRAINED]
    sizes = [size_of(spec.model, spec.data.dataset) for spec in specs]
    known = all(sizes)
    flops = flops_a_second(gpu)
    done = [spec.trial_id for spec in specs if states[spec.trial_id] is TrialState.MEASURED]
    training, measuring = _recorded([*done, *finished][:MAX_RECORDS], store)
    recorded = training is not None and measuring is not None
    if not recorded and not known:
        return None
    train = [training if training is not None else _train_seconds(spec, flops) for spec in to_train]
    passes = sum(passes_a_trial(settings).values()) * settings.samples
    measure = [measuring if measuring is not None else passes * _known_size(spec).flops / flops for spec in to_measure]
    # Initial and last weights, 4 bytes each; the optimizer's state is deleted after training.
    disk = sum(2 * 4 * size.parameters for size in sizes if size is not None) if known else 0
    return Cost(sum(train), sum(measure), disk, recorded, os.cpu_count() or 1, gpu, max_concurrent)


def flops_a_second(gpu: bool) -> float:
    """Floating-point operations per second that are assumed for one GPU, or one core."""
    return GPU_FLOPS if gpu else CPU_FLOPS


def longest_first(specs: list[TrialSpec], gpu: bool = False) -> list[TrialSpec]:
    """Trials in the order of their training time, the longest first; as they were where it is the same or unknown."""
    if not all(size_of(spec.model, spec.data.dataset) for spec in specs):
        return specs
    return sorted(specs, key=lambda spec: -train_seconds(spec, gpu))


def train_seconds(spec: TrialSpec, gpu: bool = False) -> float:
    """Seconds that training is expected to take on one GPU, or one core; of a network of known size."""
    return _train_seconds(spec, flops_a_second(gpu))


def passes_a_trial(settings: SharpnessSettings) -> dict[str, float]:
    """Forward passes over the samples that measuring a trial takes, by what takes them; most first.

    `SPECTRA` is an upper bound: the layers together, and the whole Hessian, use all allowed products. Measures of the
    same task share their passes and have the task's name. A user's own measures are unknown.
    """
    records = [MEASURES[name] for name in settings.measures if name in MEASURES]
    passes = {record.task or record.key: settings.passes(record.key) for record in records}
    if any(record.spectra or record.needs_spectra for record in records):
        passes[SPECTRA] = 2 * PRODUCT_PASSES * settings.max_products
    return dict(sorted(((name, count) for name, count in passes.items() if count), key=lambda item: -item[1]))


def _recorded(done: Sequence[str], store: TrialStore) -> tuple[float | None, float | None]:
    """Median seconds of training and of measuring of finished trials; None without one."""
    training, measuring = [], []
    for trial_id in done:
        with suppress(DamagedError):  # an estimate does without it
            training.append(store.trial(trial_id).read_trained().seconds)
            measuring.append(float(read_json(store.measurement(trial_id), MEASURED_FILE)["seconds"]))
    return (statistics.median(training), statistics.median(measuring)) if measuring else (None, None)


def _train_seconds(spec: TrialSpec, flops_a_second: float) -> float:
    images = DATA_SETS[spec.data.dataset].train_images - (spec.data.validation or 0)
    training = spec.training
    an_epoch = images // training.batch_size if training.drop_last else -(-images // training.batch_size)
    steps = min(training.epochs * an_epoch, training.iterations or math.inf)
    # A forward pass, and a backward pass at twice its cost.
    flops = 3 * _known_size(spec).flops * min(training.batch_size, images)
    return steps * PASSES_A_STEP.get(spec.optimizer.name, 1) * (STEP_SECONDS + flops / flops_a_second)


def _known_size(spec: TrialSpec) -> NetworkSize:
    size = size_of(spec.model, spec.data.dataset)
    assert size is not None, "every size is known here"
    return size
