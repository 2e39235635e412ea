"""The tidy table from a database and artifacts that version 0.1 wrote."""

import sqlite3
import tarfile
from pathlib import Path

import pandas as pd
import pytest

from analysis.errors import AnalysisError
from analysis.results.mlflow import load_results, load_sweep
from analysis.results.sweep import SweepResults, plain_columns

FIXTURE = Path(__file__).parents[2] / "fixtures" / "store_of_version_0_1.tar.xz"


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The address of the database; its artifacts, which were in another folder, are found beside it."""
    folder = tmp_path_factory.mktemp("earlier")
    with tarfile.open(FIXTURE) as archive:
        archive.extractall(folder, filter="data")
    storage = folder / "renyi"
    with sqlite3.connect(storage / "mlflow.db") as connection:
        rows = connection.execute("SELECT run_uuid, artifact_uri FROM runs").fetchall()
        for run, address in rows:
            moved = f"{storage}/mlartifacts/{address.split('/mlartifacts/')[1]}"
            connection.execute("UPDATE runs SET artifact_uri = ? WHERE run_uuid = ?", (moved, run))
    connection.close()
    return f"sqlite:///{storage}/mlflow.db"


@pytest.fixture(scope="module")
def sweep(database: str) -> SweepResults:
    return load_sweep(database, "before")


def test_every_measurement_is_a_row_and_parameters_have_their_types(database: str, sweep: SweepResults) -> None:
    table = load_results(database, "before")
    pd.testing.assert_frame_equal(table, plain_columns(sweep.table))
    assert table["trial_id"].nunique() == 12
    assert set(table["optimizer"]) == {"sgd", "adam"}
    assert set(table["learning_rate"]) == {0.05, 0.1, 0.003}
    assert table["seed"].dtype.kind == "i"
    assert table["gap_loss"].notna().all()


def test_the_sweep_has_states_and_the_spectra_of_every_measured_trial(database: str, sweep: SweepResults) -> None:
    assert dict(sweep.states) == {"measured": 12}
    assert sweep.failures == {}
    assert set(sweep.spectra) == set(sweep.table["trial_id"])
    assert all("all" in by_layer for by_layer in sweep.spectra.values())
    assert sweep.source == database


def test_an_unknown_sweep_is_named_with_the_remedy(database: str) -> None:
    with pytest.raises(AnalysisError, match=r"'nowhere'.*`renyi run`"):
        load_results(database, "nowhere")


@pytest.mark.parametrize("address", ["sqlite:///{}/own.db", "sqlite:///{}/empty.db", "{}/mlruns", "file://{}/mlruns"])
def test_reading_creates_nothing(tmp_path: Path, address: str) -> None:
    (tmp_path / "empty.db").touch()
    with pytest.raises(AnalysisError, match=r"'small' at .*: there is no (database|such folder); run it"):
        load_results(address.format(tmp_path), "small")
    assert [path.name for path in tmp_path.iterdir()] == ["empty.db"]
    assert (tmp_path / "empty.db").stat().st_size == 0
