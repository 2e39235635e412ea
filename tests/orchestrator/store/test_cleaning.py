"""What is removed, and that a kill after any step of a removal leaves nothing that is misread."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from pyarrow import fs

from analysis.schema import MEASUREMENTS_FILE
from orchestrator.config.load import load
from orchestrator.config.sweep_config import SweepConfig
from orchestrator.store.cleaning import CHECKPOINTS, Kind, Removal, removals, remove
from orchestrator.store.from_spectra import measure_from_spectra
from orchestrator.store.measurement import write_measured
from orchestrator.store.plan import Plan, make_plan
from orchestrator.store.trial_store import TrialState, TrialStore
from tests.orchestrator.made_up import finish, measured, reseeded
from trainables.trial.folder import LAST_CHECKPOINT
from trainables.trial.specs import TrialSpec
from trainables.trial.storage import Folder, RemoteFolder, StoredFile

OLD = "ba9876543210"  # an earlier measurement
WEIGHTS = b"w" * 1000


class Killed(BaseException):
    """The process ends here."""


class Mortal:
    """A folder of a process that is killed before its k-th change."""

    def __init__(self, folder: Folder, left: list[int]) -> None:
        self._folder, self._left, self.uri, self.settling = folder, left, folder.uri, folder.settling

    def __truediv__(self, name: str) -> "Mortal":
        return Mortal(self._folder / name, self._left)

    def read(self, name: str) -> bytes:
        return self._folder.read(name)

    def names(self) -> list[str]:
        return self._folder.names()

    def folders(self) -> list[str]:
        return self._folder.folders()

    def tree(self) -> list[StoredFile]:
        return self._folder.tree()

    def write(self, name: str, data: bytes, check: Callable[[], None] | None = None) -> None:
        self._live()
        self._folder.write(name, data, check)

    def create(self, name: str, data: bytes) -> bool:
        self._live()
        return self._folder.create(name, data)

    def delete(self, name: str) -> None:
        self._live()
        self._folder.delete(name)

    def clear(self, *names: str) -> None:
        self._folder.clear(*names)

    def remove(self) -> None:
        """File by file, in an order in which those that matter go last."""
        for file in sorted(self._folder.tree(), key=lambda file: file.path, reverse=True):
            self._live()
            where, _, name = file.path.rpartition("/")
            (self._folder / where if where else self._folder).delete(name)
        self._folder.remove()

    def _live(self) -> None:
        self._left[0] -= 1
        if self._left[0] < 0:
            raise Killed


def fill(store: TrialStore, specs: Sequence[TrialSpec], config: SweepConfig) -> None:
    """Three of four trials measured, one of them with other settings before; and a trial of another grid."""
    finish(store, specs[:3], config.sharpness)
    finish(store, [reseeded(specs[0])], config.sharpness)  # the other trial
    own = store.trial(reseeded(specs[0]).trial_id).folder
    for spec in specs[:3]:
        for name in CHECKPOINTS:
            store.trial(spec.trial_id).folder.write(name, WEIGHTS)
    own.write(LAST_CHECKPOINT, WEIGHTS)
    earlier = store.trial(specs[1].trial_id).folder / "measurements" / OLD
    write_measured(earlier, measured(config.sharpness), config.sharpness)


@pytest.fixture(params=["local", "remote"])
def plan(
    request: pytest.FixtureRequest, config: SweepConfig, specs: list[TrialSpec], store: TrialStore, tmp_path: Path
) -> Plan:
    """A plan of the filled store, on a disk or through pyarrow."""
    if request.param == "remote":
        (tmp_path / "far").mkdir()
        store.folder = RemoteFolder(fs.SubTreeFileSystem(str(tmp_path), fs.LocalFileSystem()), "far", "test://far")
    fill(store, specs, config)
    return replace(make_plan(config), store=store, states=store.states(specs))


def by_kind(plan: Plan) -> dict[Kind, Removal]:
    return {each.kind: each for each in removals(plan)}


def test_what_would_be_freed_is_counted(plan: Plan, specs: list[TrialSpec]) -> None:
    found = by_kind(plan)
    assert {kind: len(each.items) for kind, each in found.items()} == {
        Kind.CHECKPOINTS: 3,
        Kind.OTHER_TRIALS: 1,
        Kind.OLD_MEASUREMENTS: 1,
    }
    assert found[Kind.CHECKPOINTS].size == 9 * len(WEIGHTS)
    before = sum(file.size for file in plan.store.folder.tree())
    for each in found.values():
        remove(plan.store, each)
    left = plan.store.folder.tree()
    marks = sum(file.size for file in left if file.path.endswith("/cleaned.json"))
    assert before - sum(file.size for file in left) + marks == sum(each.size for each in found.values())
    assert plan.store.states(specs) == plan.states
    assert all(not each.items for each in removals(plan))
    assert set((plan.store.folder / "trials").names()) == {spec.trial_id for spec in specs[:3]}


def test_only_what_is_measured_loses_its_checkpoints(
    config: SweepConfig, specs: list[TrialSpec], store: TrialStore
) -> None:
    fill(store, specs, config)
    shifted = config.model_copy(update={"shifts": ("noise_3",)})
    assert not by_kind(make_plan(shifted))[Kind.CHECKPOINTS].items  # the networks are still needed
    settings = config.sharpness.model_copy(update={"samples": 30})
    other = by_kind(make_plan(config.model_copy(update={"sharpness": settings})))
    assert not other[Kind.CHECKPOINTS].items
    assert not other[Kind.OLD_MEASUREMENTS].items  # nothing newer is there


@pytest.mark.parametrize("kind", list(Kind))
def test_a_kill_after_any_step_leaves_nothing_that_is_misread(plan: Plan, kind: Kind, specs: list[TrialSpec]) -> None:
    wanted = by_kind(plan)[kind]
    real = plan.store.folder
    everybody = [*specs, reseeded(specs[0])]
    for steps in range(100):
        plan.store.folder = Mortal(real, [steps])
        try:
            remove(plan.store, wanted)
        except Killed:
            plan.store.folder = real
        else:
            break
        for spec in everybody:
            trial = plan.store.trial(spec.trial_id).folder
            match plan.store.state(spec.trial_id):
                case TrialState.MEASURED:
                    assert plan.store.measurement(spec.trial_id).read(MEASUREMENTS_FILE)
                    plan.store.trial(spec.trial_id).read_trained()
                case TrialState.TRAINED:
                    assert trial.read(LAST_CHECKPOINT) == WEIGHTS
                case TrialState.FAILED:
                    assert "has removed its checkpoints" in plan.store.failure(spec.trial_id).reason
                case state:
                    assert state is TrialState.PENDING, "training must not go on from a final checkpoint"
            for measurement in (trial / "measurements").names():
                files = (trial / "measurements" / measurement).names()
                assert "measured.json" not in files or len(files) == 7
    assert steps > 2
    plan.store.folder = real
    assert not by_kind(plan)[kind].items


def test_a_trial_without_checkpoints_says_why_it_can_not_be_measured_again(
    config: SweepConfig, specs: list[TrialSpec], store: TrialStore, sweep_file: Callable[..., Path]
) -> None:
    fill(store, specs, config)
    remove(store, by_kind(make_plan(config))[Kind.CHECKPOINTS])
    other = make_plan(load(str(sweep_file(("samples: 20", "samples: 30"), name="other.yaml"))))
    assert other.counts == {TrialState.FAILED: 3, TrialState.PENDING: 1}
    assert "`renyi clean` has removed its checkpoints" in other.store.failure(specs[0].trial_id).reason
    shifts = make_plan(config.model_copy(update={"shifts": ("noise_3",)}))
    assert shifts.counts == {TrialState.FAILED: 3, TrialState.PENDING: 1}
    orders = load(str(sweep_file(("orders: [0.5, 1.5]", "orders: [2.0]"), name="orders.yaml")))
    assert measure_from_spectra(make_plan(orders)) == [spec.trial_id for spec in specs[:3]]
    assert make_plan(orders).counts == {TrialState.MEASURED: 3, TrialState.PENDING: 1}
    assert json.loads(store.trial(specs[0].trial_id).folder.read("cleaned.json"))["timestamp"] > 0
