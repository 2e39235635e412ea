"""Whatever dies, at whatever moment: every trial once, the same bits, one MLflow run each."""

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.sweeps_under_fire import Fire, Victim, check_same, open_cluster

pytestmark = [pytest.mark.system, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Fire:
    """The sweep left alone, in one process without Ray."""
    fire = Fire(tmp_path_factory.mktemp("reference"), random.Random(0))
    process = fire.start("--executor", "inline")
    output, _ = process.communicate()
    assert process.returncode == 0, output
    return fire


@pytest.fixture
def fire(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Fire]:
    before = dict(os.environ)
    fire = Fire(tmp_path / "fire", random.Random(request.node.name))
    fire.cluster = open_cluster(fire.environment)
    yield fire
    fire.close()
    os.environ.clear()
    os.environ.update(before)


@pytest.mark.parametrize("victim", list(Victim))
def test_nothing_is_lost_or_done_twice(fire: Fire, reference: Fire, victim: Victim) -> None:
    process = fire.start()
    assert fire.strike(victim, process), process.communicate()[0]
    runs = fire.finish(process)
    if victim in (Victim.TRAINING, Victim.ACTOR, Victim.NODE):
        assert runs == 1, "the sweep itself outlives them"
    check_same(fire, reference)
