"""Whatever dies, at whatever moment: every trial once, the same bits, one MLflow run each."""

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.sweeps_under_fire import Fire, Victim, besiege, check_same, in_some_order

pytestmark = [pytest.mark.system, pytest.mark.timeout(1800)]

SEEDS = 3  # so many trials that something is left for the last one to be killed


@pytest.fixture
def fire(tmp_path: Path, empty_database: Path) -> Iterator[Fire]:
    before = dict(os.environ)
    fire = Fire(tmp_path / "fire", random.Random(0), seeds=SEEDS, database=empty_database)
    yield fire
    fire.close()
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture
def reference(tmp_path: Path, empty_database: Path) -> Iterator[Fire]:
    """The sweep left alone, in one process without Ray; it runs beside the other."""
    fire = Fire(tmp_path / "reference", random.Random(0), seeds=SEEDS, database=empty_database)
    fire.start("--executor", "inline")
    yield fire
    fire.close()


def test_nothing_is_lost_or_done_twice_and_a_node_that_stays_away_leaves_room(fire: Fire, reference: Fire) -> None:
    besiege(fire, in_some_order(random.Random(1)))
    assert set(fire.killed) == set(Victim)
    assert fire.strike(Victim.NODE)
    assert fire.strike(Victim.TRAINING, replace_node=False)  # else the trial would keep its place on the head
    output = fire.finish()
    assert "the cluster has changed: it now has 1 measuring actors" in output
    reference.finish()
    check_same(fire, reference)
