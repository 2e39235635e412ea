"""What a number came from, and what two sweeps differ in, on a finished sweep and its copies."""

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from analysis.results.parquet import measurements_from_parquet, measurements_to_parquet
from orchestrator.cli import app
from orchestrator.store.difference import difference
from orchestrator.store.lineage import lineage_of
from trainables.trial.manifest import checked
from trainables.trial.storage import LocalFolder

runner = CliRunner()


@pytest.fixture
def two(tmp_path: Path, small_sweep: Path) -> tuple[Path, Path]:
    """A finished sweep's folder, and a copy of it."""
    for name in ("one", "two"):
        shutil.copytree(small_sweep / "small", tmp_path / name)
    return tmp_path / "one", tmp_path / "two"


def test_a_lineage_goes_from_measurement_to_weights_code_and_commit(two: tuple[Path, Path]) -> None:
    sweep = LocalFolder(two[0])
    trial_id = (sweep / "trials").names()[0]
    found = lineage_of(sweep, trial_id[:6])
    training, measurement = found.steps
    facts, measured = dict(training.facts), dict(measurement.facts)
    assert found.trial_id == trial_id
    assert measured["made from weights"] == facts["weights"]
    checkpoint = two[0] / "trials" / trial_id / "last.pt"
    assert training.files["last.pt"] == hashlib.sha256(checkpoint.read_bytes()).hexdigest()
    assert measured["made from last.pt"] == training.files["last.pt"]
    assert "measurements.parquet" in measurement.files
    assert "dataset digits" in facts["data"]
    assert facts["code"].startswith("renyi-sharpness ")
    assert "torch" in facts["by"]
    shown = runner.invoke(app, ["lineage", str(two[0]), trial_id])
    assert shown.exit_code == 0, shown.output
    assert facts["weights"] in shown.output


def test_a_lineage_does_not_name_what_is_damaged(two: tuple[Path, Path]) -> None:
    trial = sorted((two[0] / "trials").iterdir())[0]
    data = bytearray((trial / "initial.pt").read_bytes())
    data[100] ^= 1
    (trial / "initial.pt").write_bytes(data)
    shown = runner.invoke(app, ["lineage", str(two[0]), trial.name])
    assert shown.exit_code == 2
    assert "initial.pt is damaged" in shown.output
    unknown = runner.invoke(app, ["lineage", str(two[0]), "zz"])
    assert unknown.exit_code == 2
    assert "TRIAL: zz" in unknown.output


def test_equal_sweeps_do_not_differ_and_others_say_in_what(two: tuple[Path, Path]) -> None:
    same = runner.invoke(app, ["diff", str(two[0]), str(two[1])])
    assert same.exit_code == 0, same.output
    assert "nothing differs" in same.output

    first, second, *_ = sorted((two[1] / "trials").iterdir())
    shutil.rmtree(first)
    (folder,) = (second / "measurements").iterdir()
    step = checked(LocalFolder(folder), f"{second.name}/measurements/{folder.name}")
    record = json.loads((folder / "measured.json").read_text())
    rows = measurements_from_parquet(step.read("measurements.parquet"))
    step.write("measurements.parquet", measurements_to_parquet([*rows[:-1], replace(rows[-1], value=1.5)]))
    del record["sha256"], record["written"], record["listed_in"]
    manifest = step.manifest()
    assert manifest is not None
    step.complete("measured.json", record, [name for name in manifest.files if name != "measured.json"])

    found = difference(LocalFolder(two[0]), LocalFolder(two[1]))
    assert ("trials", f"1 only in A: {first.name}") in found
    values = [text for topic, text in found if topic == "values"]
    assert len(values) == 1
    assert f"most in {second.name}" in values[0]
    assert "1.5 in B" in values[0]
    assert runner.invoke(app, ["diff", str(two[0]), str(two[1])]).exit_code == 1
