"""An export, and the script in it as a stranger runs it: in another process, with three packages alone."""

import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from orchestrator.config.expand import expand
from orchestrator.config.load import load
from orchestrator.config.sweep_config import SweepConfig
from orchestrator.errors import UsageError
from orchestrator.export.bundle import constraints, export_sweep
from orchestrator.store.measurement import read_measured, write_measured
from orchestrator.store.trial_store import MEASURED_FILE, TrialStore
from tests.conftest import SMALL_SWEEP
from tests.orchestrator.made_up import finish

# Refuses every package but the three, and what they need themselves.
ALONE = """
import runpy, sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("orchestrator", "analysis", "trainables", "renyi", "torch", "ray", "mlflow"):
            raise ImportError(f"{name} is not part of the export")

sys.meta_path.insert(0, Refuse())
sys.argv = [sys.argv[1]]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The unpacked export of a sweep whose measures follow the gap in some trials and not in others."""
    folder = tmp_path_factory.mktemp("export")
    path = folder / "sweep.yaml"
    path.write_text(SMALL_SWEEP + f"storage: {folder}/storage\ntracking: http://me:secret@mlflow.example:5000\n")
    config = load(str(path))
    specs, store = expand(config), TrialStore(config.folder, config.sharpness.measurement_id)
    finish(store, specs, config.sharpness)
    for number, spec in enumerate(specs):
        there = store.measurement(spec.trial_id)
        found = read_measured(there)
        rows = [
            replace(row, value=(row.value or 0) + (number * (index + 1)) % 5) for index, row in enumerate(found.rows)
        ]
        there.delete(MEASURED_FILE)  # what is complete is not written again
        write_measured(there, replace(found, rows=rows), config.sharpness)
    export_sweep(config, folder / "small.zip")
    with zipfile.ZipFile(folder / "small.zip") as archive:
        archive.extractall(folder)
    return folder / "small"


def run_script(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-I", "-c", ALONE, str(folder / "recompute.py")]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, cwd="/")


def test_the_tables_are_computed_again_from_the_measurements_alone(exported: Path) -> None:
    ran = run_script(exported)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "over 4 trials, and their outcomes: as in the report" in ran.stdout
    tau = pd.read_csv(exported / "recomputed" / "tau.csv")
    assert tau["tau_b"].nunique() > 1
    changed = pd.read_csv(exported / "report" / "tau.csv")
    kept = (exported / "report" / "tau.csv").read_bytes()
    changed["tau_b"] += np.where(changed.index == 0, 1e-9, 0.0)
    changed.to_csv(exported / "report" / "tau.csv", index=False)
    ran = run_script(exported)
    (exported / "report" / "tau.csv").write_bytes(kept)
    assert ran.returncode == 1
    assert "tau: tau_b differs in 1 of" in ran.stdout


def test_it_has_what_repeats_the_study_and_no_password(exported: Path) -> None:
    assert "name: small" in (exported / "sweep.yaml").read_text()
    everything = b"".join(path.read_bytes() for path in exported.rglob("*") if path.is_file())
    assert b"secret" not in everything
    assert "training.epochs: 2" in (exported / "METHODS.md").read_text()
    assert "4 measured trials of digits_cnn on digits" in (exported / "README.md").read_text()
    assert len(list((exported / "spectra").iterdir())) == 4
    assert (exported / "report" / "report.html").exists()
    assert any((exported / "report").glob("*.png"))


def test_the_constraints_are_the_installed_versions_of_all_that_is_needed() -> None:
    lines = dict(line.split("==") for line in constraints().splitlines())
    assert {"renyi-sharpness", "torch", "numpy", "pandas"} <= lines.keys()
    assert lines["pandas"] == pd.__version__
    assert "pytest" not in lines


def test_nothing_is_written_where_nothing_was_measured(config: SweepConfig, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="small: has no results"):
        export_sweep(config, tmp_path / "small.zip")
    assert not (tmp_path / "small.zip").exists()


def test_a_file_that_cannot_be_written_is_named(sweep_file: Callable[..., Path], storage: Path, tmp_path: Path) -> None:
    config = load(str(sweep_file()))
    finish(TrialStore(config.folder, config.sharpness.measurement_id), expand(config)[:1], config.sharpness)
    with pytest.raises(UsageError, match=r"--output .*nowhere/small.zip: can't be written"):
        export_sweep(config, tmp_path / "nowhere" / "small.zip")
