"""Workers that train and measure the same trial, each in place of one that seemed dead; the real folder of a trial."""

import json
from dataclasses import dataclass, field
from functools import partial

from analysis.schema import MEASUREMENTS_FILE, SPECTRA_FILE
from analysis.settings import SharpnessSettings
from orchestrator.store.measurement import GAUSS_NEWTON_FILE, SAMPLES_FILE, Measured, write_measured
from orchestrator.store.trial_store import TrialState, TrialStore
from tests.simulator.stores import KINDS, Storage
from tests.simulator.world import CRASH, Faults, Process, World
from trainables.errors import DamagedError, ReplacedError, StorageError
from trainables.trial.folder import (
    INPUTS,
    LAST_CHECKPOINT,
    MEASURED_FILE,
    TRAINED_FILE,
    TRAINING_FILES,
    WEIGHTS,
    EpochMetrics,
    Generalization,
    Trained,
    TrialFolder,
    read_json,
)
from trainables.trial.manifest import MANIFEST_FILE, WORKER_FILE
from trainables.trial.seal import digest

EPOCHS = 3
TRIAL = "0123456789ab"
OUTCOME = Generalization(0.1, 0.01, 1.0, 0.0, 0.3, 0.02, 0.9, 0.03)
SETTINGS = SharpnessSettings()
STALLS = {  # what an object store can't take back may come as late as the worker stands still
    "disk": (CRASH, 5.0, 30.0, 90.0, 200.0),
    "nfs": (CRASH, 5.0, 30.0, 90.0, 200.0),
    "objects": (CRASH, 1.0, 2.0),
}


@dataclass(frozen=True)
class Quick(Measured):
    """A measurement whose tables are as good as any: what is in them is not read here."""

    by: str = ""

    def files(self) -> dict[str, bytes]:
        """As `Measured.files`; on a GPU, no two measurements have the same bytes."""
        names = (MEASUREMENTS_FILE, SPECTRA_FILE, GAUSS_NEWTON_FILE, SAMPLES_FILE)
        return {name: f"{name} by {self.by}".encode() for name in names}


@dataclass
class Workers:
    """What must be true of all workers of a trial."""

    world: World
    storage: Storage
    last: Process | None = None  # whose number is in `worker.json`
    owner: Process | None = None  # the last one whose claim is complete
    trained: bytes = b""  # the record of training, when it was first there
    measured: set[str] = field(default_factory=set)  # who was told that a measurement is complete

    def replaced(self, path: str) -> None:
        """A file got other bytes: only the last worker may have written it."""
        name = path.rpartition("/")[2]
        if name == WORKER_FILE:
            self.last = self.world.process
        if self.storage.kind == "objects" or f"/trials/{TRIAL}/{name}" not in path or name not in TRAINING_FILES:
            return
        by = self.world.process
        self.world.require(self.owner in (None, by), f"{name} was replaced by a worker that had been replaced")
        if name == TRAINED_FILE and self.trained:
            self.world.require(False, "a finished training was finished again")

    def store(self, process: Process) -> TrialStore:
        """The trial store as a process opens it."""
        machine = self.storage.machine(process)
        return TrialStore(self.storage.folder(machine), SETTINGS.measurement_id, machine=machine)


def checkpoint(epochs: int) -> bytes:
    """What stands for a checkpoint: the epochs that are done."""
    return json.dumps({"epochs": epochs}).encode()


def train(workers: Workers, process: Process, trial: TrialFolder, seconds: float) -> None:
    """The steps of `trainables.training.loop.train` on the trial's folder, without a network."""
    world = workers.world
    trial.claim()
    if workers.last is process:  # else it will notice at its first write
        workers.owner = process
    world.say("has claimed the trial")
    if trial.is_trained:
        return
    try:
        done = int(json.loads(trial.folder.read(LAST_CHECKPOINT))["epochs"])
    except FileNotFoundError:
        done = 0
    while done < EPOCHS:
        world.sleep(seconds)
        done += 1
        trial.folder.write(LAST_CHECKPOINT, checkpoint(done), trial.check)
    history = [EpochMetrics(epoch, 0.1, 1.0, 2.0, 0.5, 0.01, 1000.0 + epoch) for epoch in range(EPOCHS)]
    trial.write_trained(Trained(history, OUTCOME, digest(checkpoint(EPOCHS))))


def measure(workers: Workers, process: Process, store: TrialStore, seconds: float) -> None:
    """What an actor does with a trained trial, without a network."""
    trial = store.trial(TRIAL)
    weights = trial.read_trained().weights
    workers.world.require(trial.folder.read(LAST_CHECKPOINT) == checkpoint(EPOCHS), "measured is what is not final")
    workers.world.sleep(seconds)
    measured = Quick([], {}, {}, [], {INPUTS: {WEIGHTS: weights}}, by=process.name)
    machine = workers.storage.machine(process)
    write_measured(store.measurement(TRIAL), measured, SETTINGS, machine)
    workers.measured.add(process.name)


def work(workers: Workers, process: Process, seconds: float) -> None:
    """A worker that does what is missing of the trial, and is started again when the storage fails."""
    world = workers.world
    while True:
        try:
            store = workers.store(process)
            state = store.state(TRIAL)
            world.say(f"finds the trial {state}")
            match state:
                case TrialState.PENDING | TrialState.TRAINING:
                    train(workers, process, store.trial(TRIAL), seconds)
                case TrialState.TRAINED:
                    measure(workers, process, store, seconds)
                case _:
                    return
        except StorageError as error:
            world.say(f"{error}")
        except ReplacedError as error:
            world.say(f"{error}")
            return
        except DamagedError as error:
            world.require(False, f"damaged while all goes on: {error.args[0].partition(';')[0][-90:]}")
            return
        world.sleep(1.0)


def replace_each_other(world: World, kind: str | None = None) -> None:
    """Two to four workers of one trial, then one more when faults have stopped, after which all must be there."""
    choices = world.choices
    storage = Storage(world, kind or KINDS[choices.draw(3)])
    workers = Workers(world, storage)
    world.replaced = workers.replaced
    for number in range(2 + choices.draw(3)):
        seconds = choices.among((10.0, 4.0, 40.0))
        after = choices.among((0.0, 5.0, 31.0, 60.0, 130.0))
        host = f"host {choices.draw(2)}"
        world.spawn(f"worker {number}", host, partial(work, workers, seconds=seconds), after)
    ends: list[bool] = []

    def audit(process: Process) -> None:
        check(workers, process)
        ends.append(True)

    world.spawn("last worker", "host 2", partial(work, workers, seconds=5.0), world.faults.until + 60.0)
    world.spawn("auditor", "host 3", audit, world.faults.until + 600.0)
    world.run()
    world.require(bool(ends), "the trial is not finished after the last fault")
    world.judge()


def check(workers: Workers, process: Process) -> None:
    """The trial is whole, and says what was trained and measured."""
    world, store = workers.world, workers.store(process)
    try:
        trial = store.trial(TRIAL)
        trained = trial.read_trained()
        world.require([epoch.epoch for epoch in trained.history] == list(range(EPOCHS)), "epochs are missing")
        world.require(trial.folder.read(LAST_CHECKPOINT) == checkpoint(EPOCHS), "the last checkpoint is not final")
        folder = store.measurement(TRIAL)
        read_json(folder, MEASURED_FILE)
        manifest = folder.manifest()
        assert manifest is not None
        tables = [folder.read(name) for name in manifest.files if name != MEASURED_FILE]
        written = {table.rpartition(b" by ")[2] for table in tables}
        world.require(len(written) == 1, "a measurement is made of two")
        world.require(MANIFEST_FILE in folder.names(), "no manifest")
    except (DamagedError, FileNotFoundError) as error:
        world.require(False, f"lost at the end: {str(error).partition(';')[0]}"[:140])


def faults_of(kind: str) -> Faults:
    """What may happen on a storage of a kind."""
    return Faults(misfortunes=STALLS[kind], misfortune_odds=100, until=300.0)
