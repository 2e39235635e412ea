"""Where the MLflow UI of a sweep is found; a real server is looked at in tests/system."""

import socket

import pytest

from orchestrator.config.sweep_config import SweepConfig
from orchestrator.errors import UsageError
from orchestrator.tracking.ui import serve


def test_a_tracking_server_is_named_and_none_is_started(
    config: SweepConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    remote = config.model_copy(update={"tracking": "http://mlflow.example:5000"})
    assert serve(remote, "127.0.0.1", 5000) == 0
    assert "http://mlflow.example:5000" in capsys.readouterr().out


def test_a_port_in_use_is_refused(config: SweepConfig) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(UsageError, match=rf"--port: {port} is in use on 127\.0\.0\.1"):
            serve(config, "127.0.0.1", port)
