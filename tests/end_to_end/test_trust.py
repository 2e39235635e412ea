"""What a file of somebody else's names is data: it is imported, asked or made only where the user says so."""

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from analysis.errors import AnalysisError
from analysis.results.mlflow import load_results
from analysis.settings import SharpnessSettings
from orchestrator.cli import app
from orchestrator.executors.actor import subject_of
from trainables.models import build_model
from trainables.training.checkpoints import Checkpoint, save_checkpoint
from trainables.trial.folder import TrialFolder
from trainables.trial.specs import TrialSpec
from trainables.trial.storage import LocalFolder

runner = CliRunner()
MODULE = """
from pathlib import Path
from trainables.models import build_model

Path(__file__).with_name("imported").touch()

def build(num_classes, in_channels):
    return build_model("digits_cnn", num_classes, in_channels)
"""


class Listener:
    """A server that notes whether anybody came."""

    def __init__(self) -> None:
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.asked = False
        threading.Thread(target=self._wait, daemon=True).start()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.socket.getsockname()[1]}"

    def _wait(self) -> None:
        try:
            connection, _ = self.socket.accept()
        except OSError:
            return
        self.asked = True
        connection.close()


@pytest.fixture
def listener() -> Iterator[Listener]:
    found = Listener()
    yield found
    found.socket.close()


@pytest.fixture
def theirs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a module that tells when it is imported, on the search path."""
    (tmp_path / "their_own_net.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def checkpoint(**changes: object) -> Checkpoint:
    spec = {
        "data": {"dataset": "digits"},
        "model": "digits_cnn",
        "optimizer": {"name": "sgd", "learning_rate": 0.1},
        "training": {"epochs": 1, "batch_size": 32},
        **changes,
    }
    return Checkpoint(TrialSpec.model_validate(spec), build_model("digits_cnn", 10, 1).state_dict(), {}, [])


def test_a_checkpoints_code_is_imported_with_trust_alone(theirs: Path) -> None:
    save_checkpoint(LocalFolder(theirs), "last.pt", checkpoint(model="their_own_net.build"))
    words = ["measure", "last.pt", "--samples", "5", "--measures", "l2"]
    refused = runner.invoke(app, words)
    assert refused.exit_code == 2
    assert "last.pt: its network is the code their_own_net.build" in refused.output
    assert "--trust" in refused.output
    assert not (theirs / "imported").exists()
    trusted = runner.invoke(app, [*words, "--trust"])
    assert trusted.exit_code == 0, trusted.output
    assert (theirs / "imported").exists()


def test_a_checkpoints_address_is_not_asked(theirs: Path, listener: Listener, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    place = f"s3://bucket/t/*.parquet?endpoint_override={listener.address}&scheme=http"
    data = {"dataset": "parquet", "name": "t", "train": [place], "test": [place]}
    save_checkpoint(LocalFolder(theirs), "last.pt", checkpoint(data=data))
    refused = runner.invoke(app, ["measure", "last.pt"])
    assert refused.exit_code == 2
    assert "which would be asked with your credentials" in refused.output
    assert not listener.asked


def test_no_folder_is_made_where_a_checkpoint_says(theirs: Path) -> None:
    save_checkpoint(LocalFolder(theirs), "last.pt", checkpoint(data={"dataset": "cifar10", "root": str(theirs / "a")}))
    refused = runner.invoke(app, ["measure", "last.pt"])
    assert refused.exit_code == 2
    assert "which is not there" in refused.output
    assert not (theirs / "a").exists()


def test_a_sweep_takes_its_network_from_its_file(theirs: Path) -> None:
    in_store, of_file = checkpoint(model="their_own_net.build"), checkpoint()
    trial = TrialFolder(LocalFolder(theirs / "trial"))
    settings = SharpnessSettings(samples=5, measures=("l2",))
    subject, _ = subject_of(in_store, of_file.spec, trial, settings, torch.device("cpu"))
    assert type(subject.model) is type(build_model("digits_cnn", 10, 1))
    assert not (theirs / "imported").exists()


@pytest.mark.parametrize(
    "place", ["http://{}/a", "mlflow-artifacts://{}/a", "s3://b/a?endpoint_override={}", "ftp://u:p@{}/a"]
)
def test_a_runs_artifacts_are_not_asked_of_a_host_that_it_names(tmp_path: Path, listener: Listener, place: str) -> None:
    from mlflow import MlflowClient

    tracking = f"sqlite:///{tmp_path}/mlflow.db"
    client = MlflowClient(tracking)
    key = client.create_experiment("theirs", artifact_location=place.format(listener.address))
    run = client.create_run(key, tags={"renyi.kind": "trial", "renyi.trial_id": "a", "renyi.state": "measured"})
    client.set_terminated(run.info.run_id)
    with pytest.raises(AnalysisError, match=r"name .* for their artifacts, and nobody else does"):
        load_results(tracking, "theirs")
    assert not listener.asked
