"""The MLflow UI of a sweep: served from this machine, or its address where a server is running already."""

import os
import socket
import sys

from orchestrator.config.sweep_config import SweepConfig
from orchestrator.display import console, show_warning
from orchestrator.errors import UsageError
from orchestrator.tracking.experiment import show_trials
from orchestrator.tracking.supervised import run


def serve(config: SweepConfig, host: str, port: int) -> int:
    """Serve the sweep's tracking database until interrupted or ended by a signal, and print the address.

    Returns:
        The exit code of the server.

    Raises:
        UsageError: the port is in use, or the sweep has not been run yet.
    """
    if config.tracking_uri.startswith("http"):
        try:
            page = f"/{show_trials(config)}"
        except UsageError as error:
            show_warning(f"it does not answer from here: {error}")
            page = ""
        console.print(f"the tracking server shows it: {config.shown_tracking.rstrip('/')}{page}")
        return 0
    with socket.socket() as probe:
        if probe.connect_ex((host, port)) == 0:
            raise UsageError(f"--port: {port} is in use on {host}; give another one")
    page = show_trials(config)
    console.print(f"MLflow: http://{host}:{port}/{page}\n  (ready in about 20 s; Ctrl-C ends it)")
    os.environ["MLFLOW_BACKEND_STORE_URI"] = config.tracking_uri  # not on the command line, which `ps` shows
    command = [sys.executable, "-m", "mlflow", "server"]
    command += ["--host", host, "--port", str(port), "--workers", "1"]
    return run(command)
