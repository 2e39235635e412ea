"""`renyi list` and `renyi clean` as a user would give them."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from orchestrator.cli import app
from orchestrator.config.sweep_config import SweepConfig
from orchestrator.store.inventory import write_index
from orchestrator.store.lease import Lease
from orchestrator.store.plan import make_plan
from orchestrator.store.trial_store import TrialStore
from tests.orchestrator.made_up import fail, finish, reseeded
from trainables.trial.folder import LAST_CHECKPOINT
from trainables.trial.specs import TrialSpec


def renyi(*words: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, list(words))
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.output


@pytest.fixture
def path(config: SweepConfig, specs: list[TrialSpec], store: TrialStore, tmp_path: Path) -> str:
    """A sweep with two measured trials, one that failed and one that is pending; and a trial of another grid."""
    finish(store, [*specs[:2], reseeded(specs[0])], config.sharpness)
    fail(store, specs[2])
    store.trial(specs[0].trial_id).folder.write(LAST_CHECKPOINT, b"w" * 123_456)
    write_index(make_plan(config))
    return f"{tmp_path}/sweep.yaml"


def test_list_fits_80_columns(path: str, storage: Path) -> None:
    code, output = renyi("list")
    assert code == 0
    place, header, *rows = output.splitlines()
    assert place == str(storage)
    assert header.split() == ["sweep", "trials", "started", "last", "write", "disk"]
    assert max(map(len, [header, *rows])) <= 80
    text = " ".join(" ".join(rows).split())
    for part in ("small", "4: 1 pending, 2 measured, 1", "failed, 1 not in its file", "kB"):
        assert part in text
    assert renyi("list", "--storage", str(storage)) == (code, output)


def test_list_for_programs(path: str, config: SweepConfig) -> None:
    code, output = renyi("list", "--json")
    (sweep,) = json.loads(output)
    assert code == 0
    assert sweep["states"] == {"pending": 1, "training": 0, "trained": 0, "measured": 2, "failed": 1}
    assert (sweep["name"], sweep["place"], sweep["others"], sweep["running"]) == ("small", config.folder, 1, False)


def test_a_storage_without_sweeps(storage: Path) -> None:
    code, output = renyi("list")
    assert code == 0
    assert "no sweeps" in output
    assert not storage.exists()


def test_a_database_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    code, output = renyi("list", "--tracking", f"sqlite:///{tmp_path}/none.db")
    assert code == 2
    assert "there is no such database" in output
    assert not list(tmp_path.iterdir())


def test_clean_shows_and_removes_nothing_without_yes(path: str, store: TrialStore) -> None:
    before = store.folder.tree()
    code, output = renyi("clean", path)
    assert code == 0
    assert "checkpoints of 1 measured trial (--checkpoints): 123.5 kB" in output
    assert "1 trial that the file does not ask for (--other-trials)" in output
    assert "no earlier measurements of measured trials" in output
    assert "afterwards: " in output
    assert "--yes removes it" in output
    assert store.folder.tree() == before


def test_clean_removes_the_kinds_that_are_named(path: str, store: TrialStore, specs: list[TrialSpec]) -> None:
    other = reseeded(specs[0]).trial_id
    states = store.states(specs)
    assert renyi("clean", path, "--checkpoints", "--yes")[0] == 0
    assert LAST_CHECKPOINT not in store.trial(specs[0].trial_id).folder.names()
    assert store.trial(other).folder.names()
    code, output = renyi("clean", path, "--yes")
    assert (code, output.splitlines()[-1]) == (0, "removed")
    assert not store.trial(other).folder.names()
    assert store.states(specs) == states
    code, output = renyi("clean", path, "--yes")
    assert code == 0
    assert "removed" not in output.replace("is removed", "")


def test_a_running_sweep_is_not_touched(path: str, store: TrialStore) -> None:
    with Lease(store.folder, "renyi run small"):
        before = [file.path for file in store.folder.tree()]
        code, output = renyi("clean", path, "--yes")
        assert code == 2
        assert "another driver works on this sweep" in output
        assert "while the sweep runs" in renyi("clean", path)[1]
        assert "running" in renyi("list")[1]
        assert [file.path for file in store.folder.tree()] == before


def test_a_sweep_that_never_ran_has_nothing_to_clean(config: SweepConfig, tmp_path: Path, storage: Path) -> None:
    code, output = renyi("clean", f"{tmp_path}/sweep.yaml", "--yes")
    assert code == 0
    assert output.count("  no ") == 3
    assert not storage.exists()
