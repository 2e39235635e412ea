"""A whole sweep: drivers under the lease that train, measure and record in MLflow; the real tracker and retry queue."""

import json
import tempfile
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from analysis import schema
from analysis.schema import STDERR_SUFFIX, TRAIN_LOSS_SUBSET
from orchestrator.config.expand import expand
from orchestrator.config.load import load
from orchestrator.config.sweep_config import SweepConfig
from orchestrator.errors import UsageError
from orchestrator.events import EpochsDone, TrialMeasured, TrialTrained
from orchestrator.store.lease import Lease, LeaseError
from orchestrator.store.measurement import Measured, write_measured
from orchestrator.store.trial_store import TrialState, TrialStore
from orchestrator.tracking.protocol import Stopped
from orchestrator.tracking.tracker import MLflowTracker
from tests.simulator.mlflow_server import Client, Server, StoredRun
from tests.simulator.stores import Storage
from tests.simulator.trials import EPOCHS, OUTCOME, STALLS, checkpoint
from tests.simulator.world import Faults, Process, SimulatedMachine, World
from trainables.errors import DamagedError, ReplacedError, StorageError
from trainables.trial.folder import INPUTS, LAST_CHECKPOINT, WEIGHTS, EpochMetrics, Trained
from trainables.trial.seal import digest
from trainables.trial.specs import TrialSpec

SWEEP = """\
name: sweep
data: {dataset: digits}
model: digits_cnn
training: {epochs: 3, batch_size: 64}
grid: [{optimizer: sgd, learning_rate: [0.05, 0.1]}]
sharpness: {samples: 20, orders: [0.5, 1.5], num_probes: 2, num_matvecs: 5, measures: [l2]}
storage: /storage
tracking: http://mlflow
"""


@cache
def the_sweep() -> tuple[SweepConfig, list[TrialSpec]]:
    """The sweep of two trials."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sweep.yaml"
        path.write_text(SWEEP)
        config = load(str(path))
    return config, expand(config)


@cache
def tables() -> dict[str, bytes]:
    """The tables of a measurement."""
    row = schema.Measurement(schema.ALL_LAYERS, "l2", None, 1.5, 0.0, None)
    return Measured([row], {}, {}, []).files()


class Quick(Measured):
    """A measurement whose tables have been made before."""

    def files(self) -> dict[str, bytes]:
        """As `Measured.files`."""
        return dict(tables())


@dataclass
class Sweep:
    """The places of one sweep."""

    world: World
    storage: Storage
    server: Server
    done: list[float] = field(default_factory=list)  # when a driver found and left everything recorded

    def store(self, machine: SimulatedMachine) -> TrialStore:
        """The trial store as a process opens it."""
        config, _ = the_sweep()
        return TrialStore(self.storage.folder(machine), config.sharpness.measurement_id, machine=machine)


def drive(sweep: Sweep, process: Process) -> None:
    """What `renyi run` does; if it ends with an error, the user gives the same command again."""
    world = sweep.world
    try:
        if run(sweep, process):
            world.say("says that everything is recorded")
            states = Counter(run.tags.get(schema.TAG_STATE) for run in sweep.server.runs.values() if run.active)
            world.require(states["measured"] >= len(the_sweep()[1]), "a driver said that everything is recorded")
            sweep.done.append(world.now)
            return
    except (LeaseError, StorageError, UsageError, ReplacedError) as error:
        world.say(f"{error}")
    except KeyboardInterrupt:
        world.say("is interrupted")
    world.spawn(process.name, process.host, lambda again: drive(sweep, again), 5.0 + 5.0 * world.choices.draw(5))


def run(sweep: Sweep, process: Process) -> bool:
    """The steps of `orchestrator.sweep._run`; whether everything is recorded."""
    config, specs = the_sweep()
    machine = sweep.storage.machine(process)
    with Lease(sweep.storage.folder(machine), "renyi run sweep", machine) as lease:
        store = sweep.store(machine)
        client: Any = Client(sweep.server)
        tracker = MLflowTracker(config, store, specs, client=client, machine=machine)
        try:
            tracker.reconcile(store.states(specs))
            for spec in specs:
                work(sweep, store, tracker, spec, machine)
            return tracker.wait(30.0) == 0 and tracker.finish() == 0
        except KeyboardInterrupt:
            lease.check()
            tracker.finish(Stopped.INTERRUPTED)
            raise


def work(sweep: Sweep, store: TrialStore, tracker: MLflowTracker, spec: TrialSpec, machine: SimulatedMachine) -> None:
    """Train and measure what is missing of a trial, and record it."""
    trial_id = spec.trial_id
    state = store.state(trial_id)
    if state in (TrialState.PENDING, TrialState.TRAINING):
        train(sweep, store, tracker, trial_id)
        tracker.record(TrialTrained(trial_id))
    if state is not TrialState.MEASURED:
        weights = store.trial(trial_id).read_trained().weights
        sweep.world.sleep(6.0)
        record = {INPUTS: {WEIGHTS: weights}, TRAIN_LOSS_SUBSET: 0.1, TRAIN_LOSS_SUBSET + STDERR_SUFFIX: 0.01}
        settings = the_sweep()[0].sharpness
        write_measured(store.measurement(trial_id), Quick([], {}, {}, [], record), settings, machine)
        tracker.record(TrialMeasured(trial_id))


def train(sweep: Sweep, store: TrialStore, tracker: MLflowTracker, trial_id: str) -> None:
    """The steps of `trainables.training.loop.train` on the trial's folder, without a network."""
    trial = store.trial(trial_id)
    trial.claim()
    if trial.is_trained:
        return
    history: list[EpochMetrics] = []
    with suppress(FileNotFoundError):
        history = [EpochMetrics(**each) for each in json.loads(trial.folder.read(LAST_CHECKPOINT))["history"]]
    while len(history) < EPOCHS:
        sweep.world.sleep(12.0)
        history.append(EpochMetrics(len(history), 0.1, 1.0, 2.0, 0.5, 0.01, 1000.0 + sweep.world.now))
        trial.folder.write(
            LAST_CHECKPOINT, json.dumps({"history": [vars(each) for each in history]}).encode(), trial.check
        )
        tracker.record(EpochsDone(trial_id, history[-1:]))
    trial.write_trained(Trained(history, OUTCOME, digest(checkpoint(EPOCHS))))


def run_again_and_again(world: World, kind: str) -> None:
    """One to three drivers of a sweep, then two when faults have stopped; then all is recorded exactly once."""
    sweep = Sweep(world, Storage(world, kind), Server(world))
    for number in range(1 + world.choices.draw(3)):
        host = f"host {world.choices.draw(2)}"
        after = world.choices.among((0.0, 1.0, 40.0, 120.0))
        world.spawn(f"driver {number}", host, lambda process: drive(sweep, process), after)
    until = world.faults.until
    audited: list[bool] = []

    def audit(process: Process) -> None:
        world.require(
            any(when > until + 100.0 for when in sweep.done), "the sweep is not finished after the last fault"
        )
        if not world.wrong:
            check(sweep, process)
        audited.append(True)

    world.spawn("last driver", "host 2", lambda process: drive(sweep, process), until + 100.0)
    world.spawn("one more", "host 3", lambda process: drive(sweep, process), until + 450.0)
    world.spawn("auditor", "host 4", audit, until + 690.0)
    world.run()
    world.require(bool(audited), "nobody looked at the end")
    world.judge()


def check(sweep: Sweep, process: Process) -> None:
    """Each trial has one run, which shows what the store has, every point once."""
    world = sweep.world
    store = sweep.store(sweep.storage.machine(process))
    runs = [run for run in sweep.server.runs.values() if run.active]
    kinds = Counter(run.tags.get(schema.TAG_TRIAL_ID, "the sweep") for run in runs)
    _, specs = the_sweep()
    expected = Counter({"the sweep": 1, **{spec.trial_id: 1 for spec in specs}})
    world.require(kinds == expected, f"not one run each: {sorted(kinds.values())}")
    for run in runs:
        world.require(run.status == "FINISHED", f"a run is {run.status} at the end")
        if schema.TAG_TRIAL_ID in run.tags:
            check_run(world, store, run, sweep.server)


def check_run(world: World, store: TrialStore, run: StoredRun, server: Server) -> None:
    """One run of a trial."""
    trial_id = run.tags[schema.TAG_TRIAL_ID]
    world.require(run.tags.get(schema.TAG_STATE) == "measured", f"a run is {run.tags.get(schema.TAG_STATE)}")
    world.require(bool(run.params) and run.inputs == 1, "a run has no parameters or no data set")
    world.require(len(run.artifacts) == 3, "a run has no tables")
    models = [model for model in set(run.outputs) if server.models[model].active]  # a deleted one stays an output
    world.require(len(models) == 1, f"a run has {len(models)} models")
    points = Counter((name, step) for name, _, _, step in run.points)
    world.require(max(points.values()) == 1, f"logged twice: {[each for each in points if points[each] > 1][:3]}")
    losses = {step: timestamp for name, _, timestamp, step in run.points if name == "training/train_loss"}
    try:
        history = store.trial(trial_id).read_trained().history
    except (DamagedError, FileNotFoundError) as error:
        world.require(False, f"lost at the end: {str(error).partition(';')[0]}"[:140])
        return
    world.require(
        losses == {each.epoch: int(each.timestamp * 1000) for each in history}, "other epochs than the store's"
    )
    world.require(any(name.startswith("generalization/") for name, _ in points), "a run does not generalize")


def faults_of(kind: str) -> Faults:
    """What may happen on a storage of a kind, and to MLflow."""
    return Faults(misfortunes=STALLS[kind], misfortune_odds=250, error_odds=80, until=300.0)
