"""Nothing that a sweep leaves behind or prints has a secret of its environment or of its addresses."""

import shutil
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from orchestrator.cli import app
from tests.faults.drivers import start

SECRETS = {
    "AWS_ACCESS_KEY_ID": "AKIAPLANTEDKEYID",
    "AWS_SECRET_ACCESS_KEY": "planted/secret+key",
    "AWS_SESSION_TOKEN": "planted-session-token",
    "MLFLOW_TRACKING_PASSWORD": "planted-mlflow-password",
    "WANDB_API_KEY": "planted-wandb-key",
}


def holders(folder: Path, secrets: list[str]) -> list[str]:
    """The files that hold one of the secrets, which each of them would be enough to find."""
    files = [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    assert files
    return [str(path) for path in files if any(each.encode() in path.read_bytes() for each in secrets)]


@pytest.mark.ray
def test_files_logs_and_output_have_no_secrets_and_are_for_their_owner(
    tmp_path: Path, storage: Path, sweep_file: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    sessions = Path(f"/tmp/rs{tmp_path.stat().st_ino}")  # short: Ray's sockets lie in it
    monkeypatch.setenv("RAY_TMPDIR", str(sessions))
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    try:
        process = start(sweep_file(("[0.05, 0.1]", "[0.05, 1e6]"), ("[1e-4, 1e-3]", "1e-4")), executor="ray")
        output, _ = process.communicate(timeout=300)
        assert process.returncode == 1, output  # one trial diverges, and its traceback is kept
        secrets = list(SECRETS.values())
        assert not [each for each in secrets if each in output]
        logs = list(sessions.rglob("runtime_env_agent.log"))
        assert logs
        assert holders(storage, secrets) == []
        assert holders(sessions, secrets) == []
    finally:
        shutil.rmtree(sessions, ignore_errors=True)
    for path in (storage / "small").rglob("*"):
        assert not stat.S_IMODE(path.stat().st_mode) & (stat.S_IRWXG | stat.S_IRWXO), path


@pytest.mark.parametrize("command", ["run", "report", "status", "plan", "ui"])
@pytest.mark.parametrize(
    "address",
    [
        "postgresql://me:planted@127.0.0.1:1/db",
        "postgresql://me:plan@ted/planted@127.0.0.1:1/db",
        "postgresql://127.0.0.1:1/db?password=planted",
        "http://planted@127.0.0.1:1",
    ],
)
def test_no_command_prints_a_secret_of_an_address(
    storage: Path, sweep_file: Callable[..., Path], command: str, address: str
) -> None:
    result = CliRunner().invoke(app, [command, str(sweep_file()), "--tracking", address])
    assert result.output
    assert "planted" not in result.output
    assert "ted/" not in result.output


@pytest.mark.parametrize("address", ["s3://key:planted@bucket/x", "s3://bucket/x?secret_key=planted"])
def test_a_secret_in_an_address_that_would_be_kept_is_refused(sweep_file: Callable[..., Path], address: str) -> None:
    result = CliRunner().invoke(
        app, ["plan", str(sweep_file()), "--storage", address, "--tracking", "http://127.0.0.1:1"]
    )
    assert result.exit_code == 2
    assert "has a user, password or key in it" in result.output
    assert "planted" not in result.output
