"""The identities of all shipped sweeps are those of version 0.1: what was trained and measured then stays found."""

import hashlib
import json
from pathlib import Path

import pytest

from orchestrator.config.expand import expand
from orchestrator.config.load import load, shipped_sweeps

IDENTITIES = json.loads((Path(__file__).parents[2] / "fixtures" / "identities_of_version_0_1.json").read_text())


def test_no_shipped_sweep_was_lost() -> None:
    assert set(IDENTITIES) <= set(shipped_sweeps())


@pytest.mark.parametrize("name", sorted(IDENTITIES))
def test_identities_are_those_of_before(name: str, tmp_path: Path) -> None:
    config = load(name, storage=str(tmp_path))
    trial_ids = [spec.trial_id for spec in expand(config)]
    assert {
        "measurement_id": config.sharpness.measurement_id,
        "trials": len(trial_ids),
        "trial_ids": hashlib.sha256("\n".join(trial_ids).encode()).hexdigest(),
    } == IDENTITIES[name]
