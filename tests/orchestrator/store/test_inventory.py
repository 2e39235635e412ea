"""The files of a sweep's folder against its plan: the states of trials must be the same."""

from orchestrator.config.sweep_config import SweepConfig
from orchestrator.store.inventory import INDEX_FILE, Index, read_index, take_inventory, write_index
from orchestrator.store.plan import make_plan
from orchestrator.store.trial_store import TrialState, TrialStore
from tests.orchestrator.made_up import SHIFTED, fail, finish, outcome, reseeded
from trainables.trial.folder import Failure, write_failure
from trainables.trial.specs import TrialSpec


def test_states_are_those_of_the_plan(config: SweepConfig, specs: list[TrialSpec], store: TrialStore) -> None:
    wanted = config.model_copy(update={"shifts": ("noise_3",)})
    finish(store, specs[:2], config.sharpness)
    store.trial(specs[0].trial_id).write_shift("noise_3", SHIFTED)
    write_failure(store.trial(specs[1].trial_id).shifts, Failure("shifts", "no room"))
    store.trial(specs[2].trial_id).write_trained(outcome())
    finish(store, [reseeded(specs[0])], config.sharpness)
    for each in (config, wanted):
        plan = make_plan(each)
        write_index(plan)
        found = take_inventory(store.folder)
        assert found.counts == plan.counts
        assert found.others == 1
        assert found.index == read_index(store.folder)
    assert found.size == sum(path.stat().st_size for path in store.folder.path.rglob("*") if path.is_file())  # type: ignore[attr-defined]


def test_without_an_index_what_is_there_is_counted(
    config: SweepConfig, specs: list[TrialSpec], store: TrialStore
) -> None:
    finish(store, specs[:2], config.sharpness)
    fail(store, specs[2])
    for damaged in (None, b"", b"[1]", b'{"trials": 3}'):
        if damaged is not None:
            store.folder.write(INDEX_FILE, damaged)
        found = take_inventory(store.folder)
        assert found.index is None
        assert found.counts == {TrialState.MEASURED: 2, TrialState.FAILED: 1}
        assert found.others == 0


def test_trials_of_the_index_without_files_are_pending(store: TrialStore) -> None:
    store.folder.write(INDEX_FILE, b'{"trials": ["a", "b"], "measurement_id": "m", "shifts": []}')
    found = take_inventory(store.folder)
    assert found.index == Index(("a", "b"), "m")
    assert found.counts == {TrialState.PENDING: 2}
