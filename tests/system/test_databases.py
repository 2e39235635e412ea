"""The same sweep with MLflow on each of its databases: the same runs. All other tests use the third, SQLite."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from analysis.results.mlflow import load_results
from orchestrator.cli import app
from orchestrator.config.load import load
from tests.faults.drivers import check_record, run
from tests.object_store import BUCKET, ENVIRONMENT, object_store
from tests.tracking_servers import mlflow_server, postgresql

pytestmark = [pytest.mark.system, pytest.mark.timeout(900)]

SweepFile = Callable[..., Path]


@pytest.fixture(params=["postgresql", "server"])
def tracking(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """What a user writes as the tracking address."""
    if request.param == "server":
        with mlflow_server(tmp_path) as server:
            yield server.address
    else:
        with postgresql() as address:
            yield address


def test_a_sweep_leaves_the_same_runs(storage: Path, sweep_file: SweepFile, tracking: str) -> None:
    path = sweep_file(("name: small", f"name: small\ntracking: {tracking}"))
    exit_code, output = run(path)
    assert exit_code == 0, output
    assert "4 trained, 4 measured; 4 trials in all" in output
    check_record(path)
    config = load(str(path))
    from_mlflow = load_results(config.tracking_uri, config.name)
    assert len(from_mlflow) == 4 * (5 * 5 + 2)
    exit_code, output = run(path)
    assert "0 trained, 0 measured" in output
    check_record(path)


def test_a_sweep_in_an_object_store(tmp_path: Path, sweep_file: SweepFile, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    with object_store() as address:
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        path = sweep_file(
            ("name: small", f"name: small\nstorage: s3://{BUCKET}/renyi\ntracking: sqlite:///{tmp_path}/own.db")
        )
        first = run(path)
        assert first[0] == 0, first[1]
        check_record(path)
        assert "0 trained, 0 measured" in run(path)[1]
        status = CliRunner().invoke(app, ["status", str(path)])
        assert "4 measured" in status.output
