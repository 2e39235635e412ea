"""A node on which every trial fails takes no trial with it: it is left out, named, and its trials run elsewhere."""

import json
import os
import random
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.store.trial_store import TrialState
from tests.faults.moody_models import BROKEN_NODE_FILE
from tests.faults.sweeps_under_fire import Fire

pytestmark = [pytest.mark.system, pytest.mark.timeout(900)]

SWEEP = """\
name: broken
data: {dataset: digits}
model: tests.faults.moody_models.fails_on_one_node
training: {epochs: 2, batch_size: 64}
grid:
  - optimizer: sgd
    learning_rate: [0.02, 0.05, 0.1, 0.2]
    weight_decay: [1e-4, 1e-3]
sharpness: {samples: 20, measures: [l2]}
resources:
  trial: {cpus: 0.5}
  pool: {actors: 1, cpus: 0.5}
"""


@pytest.fixture
def fire(tmp_path: Path, empty_database: Path) -> Iterator[Fire]:
    before = dict(os.environ)
    fire = Fire(tmp_path / "fire", random.Random(0), SWEEP, seeds=2, database=empty_database)
    fire.environment[BROKEN_NODE_FILE] = str(tmp_path / "broken_node")
    fire.open_cluster()
    yield fire
    fire.close()
    os.environ.clear()
    os.environ.update(before)


def test_a_broken_node_is_left_out_and_named(fire: Fire, tmp_path: Path) -> None:
    assert fire.cluster is not None
    head: Any = fire.cluster.head_node  # the driver's own, where the pool and the first trials are
    node_id = head.node_id
    (tmp_path / "broken_node").write_text(node_id)
    fire.start()
    output = fire.finish()
    assert set(fire.plan.states.values()) == {TrialState.MEASURED}, output
    assert output.count("gets no more work: ") == 1, output
    assert re.search(rf"/{node_id[:6]} was avoided: \d trials failed on it in a row", output), output
    assert "FileNotFoundError: /data is not mounted here" in output

    command = [sys.executable, "-m", "orchestrator.cli", "status", str(fire.path), "--json"]
    status = subprocess.run(command, env=fire.environment, capture_output=True, text=True, check=True)
    avoided = {name: node["avoided"] for name, node in json.loads(status.stdout)["nodes"].items() if node["avoided"]}
    assert [name.endswith(f"/{node_id[:6]}") for name in avoided] == [True]
