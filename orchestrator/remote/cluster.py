"""A running cluster of Ray's launcher, named by its file: commands go to the head over ssh, and sweeps run there."""

import contextlib
import io
import json
import shlex
import socket
import subprocess
import tarfile
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from orchestrator.config.load import TYPED_VARIABLE, load, shipped_sweeps
from orchestrator.config.sweep_config import SweepConfig
from orchestrator.display import console
from orchestrator.errors import UsageError
from orchestrator.exit_codes import ExitCode
from orchestrator.interrupts import interrupted_by_signals
from orchestrator.own_code import files_of, own_code
from orchestrator.permissions import keep_token_private

ENVIRONMENT = ". ~/renyi.env && export RAY_ADDRESS=auto"  # the file has PATH, storage, tracking: clusters/install.sh
SWEEPS = "renyi-sweeps"  # the folder in the head's home for the users' own sweep files
MLFLOW_PORT = 5000  # of the server that clusters/start_mlflow.sh starts, on the head's 127.0.0.1
CONNECTION_LOST = 255  # ssh's exit code
CONNECT_SECONDS = 20


@dataclass(frozen=True)
class Cluster:
    """The head of a running cluster, as this machine reaches it."""

    file: str
    login: str  # user@address
    ssh_options: tuple[str, ...]

    def run(self, words: Sequence[str], stdin: bytes | None = None, typed: Mapping[str, str] | None = None) -> int:
        """Run a command on the head, and show its output here.

        Args:
            words: the command.
            stdin: what it reads.
            typed: what the user typed for each sweep in it, so that the advice it prints works here.

        Returns:
            Its exit code. Ctrl-C ends the output here, not the command, and raises KeyboardInterrupt.

        Raises:
            UsageError: the head does not answer.
        """
        named = {there: [here, "--cluster", self.file] for there, here in (typed or {}).items()}
        advice = f" && export {TYPED_VARIABLE}={shlex.quote(json.dumps(named))}" if named else ""
        command = f"{ENVIRONMENT}{advice} && exec {shlex.join(words)}"
        done = subprocess.run([*self._ssh(), command], input=stdin if stdin is not None else b"", check=False)
        if done.returncode == CONNECTION_LOST:
            raise UsageError(
                f"{self.file}: the connection to the head ({self.login}) failed or was lost; what runs there goes on. "
                f"Try again, or `ray up {self.file}`"
            )
        return done.returncode

    def send(self, sweep: str) -> str:
        """Copy the sweep file to the head, unless it is a shipped one, and with it the user's own code that it names.

        Returns:
            Its name there: that of a shipped sweep, or a path.
        """
        if sweep in shipped_sweeps():
            return sweep
        path = Path(sweep).expanduser()
        code = own_code(_check(sweep))
        folder = f"{SWEEPS}/{path.stem}" if code else SWEEPS
        quoted = shlex.quote(folder)
        fresh = f"rm -rf ~/{quoted}" if code else "true"
        unpack = f"{fresh} && mkdir -p ~/{quoted} && tar -x -C ~/{quoted}"
        if self.run(["bash", "-c", unpack], packed([(path.name, path), *files_of(code)])):
            raise UsageError(f"{self.file}: the sweep file can't be written to ~/{folder} on the head")
        return f"~/{folder}/{path.name}"

    @contextlib.contextmanager
    def tunnel(self, local: int, remote: int) -> Iterator[None]:
        """While entered, the port 127.0.0.1:local here leads to 127.0.0.1:remote on the head.

        Raises:
            UsageError: the tunnel can't be opened.
        """
        forward = ["-N", "-L", f"127.0.0.1:{local}:127.0.0.1:{remote}"]
        process = subprocess.Popen([*self._ssh(*forward)], stdin=subprocess.DEVNULL)
        try:
            while process.poll() is None and not _listens(local):
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(timeout=0.2)
            if process.poll() is not None:
                raise UsageError(f"{self.file}: no tunnel to the head ({self.login}); try again")
            yield
        finally:
            process.terminate()
            process.wait()

    def _ssh(self, *options: str) -> list[str]:
        return ["ssh", *self.ssh_options, *options, self.login]


def packed(files: Iterable[tuple[str, Path]]) -> bytes:
    """A tar archive of files, by their names in it."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as archive:
        for name, path in files:
            archive.add(path, name, recursive=False)
    return data.getvalue()


def open_cluster(file: str) -> Cluster:
    """Find the cluster that a launcher file describes.

    Raises:
        UsageError: there is no such file, it is not a launcher file, or no head is running.
    """
    keep_token_private()
    path = Path(file).expanduser()
    try:
        config = yaml.safe_load(path.read_text())
    except OSError as error:
        raise UsageError(
            f"--cluster: {file}: can't be read: {error.strerror}; name a file such as cluster.yaml"
        ) from error
    except yaml.YAMLError as error:
        raise UsageError(f"--cluster: {file}: not valid YAML: {error}".splitlines()[0]) from error
    if not isinstance(config, dict) or "provider" not in config:
        raise UsageError(f"--cluster: {file}: not a file of Ray's cluster launcher: it has no `provider`")
    with _launcher_output() as said:
        try:
            return _find_head(file, path, config)
        except (Exception, SystemExit) as error:
            reason = str(error) or said.getvalue().strip().rpartition("\n")[2] or type(error).__name__
            raise UsageError(f"--cluster: {file}: {reason.splitlines()[0]}; is it up? `ray up {file}`") from error


def run_sweep_on(file: str, sweep: str, command: Sequence[str]) -> int:
    """Start a command about a sweep as a Ray job on the head, or find it running, and show its output.

    Ctrl-C, or a lost connection, ends the output here and nothing else.

    Args:
        file: the launcher file.
        sweep: a sweep file here, or a shipped name.
        command: the words after `renyi`, the sweep left out, e.g. ["run"].

    Returns:
        The job's exit code; INTERRUPTED where Ctrl-C ended the output.
    """
    config = _check(sweep)
    cluster = open_cluster(file)
    there = cluster.send(sweep)
    console.print(f"{config.name} on {cluster.login}, as a Ray job: Ctrl-C leaves it running")
    try:
        job = ["python", "-m", "orchestrator.remote.job", "run", config.name, *command, there]
        return cluster.run(job, typed={there: sweep})
    except KeyboardInterrupt:
        words = shlex.join([sweep, "--cluster", file])
        console.print("\nthe sweep goes on without this terminal.")
        console.print(f"  see its output again: renyi run {words}\n  end it: renyi stop {words}")
        return ExitCode.INTERRUPTED


def stop_sweep_on(file: str, sweep: str) -> int:
    """End the job of a sweep; its trials keep their last checkpoints."""
    config = _check(sweep)
    code = open_cluster(file).run(["python", "-m", "orchestrator.remote.job", "stop", config.name])
    console.print(f"  resume it: renyi run {shlex.join([sweep, '--cluster', file])}")
    return code


def call_on(file: str, sweeps: Sequence[str], command: Sequence[str], options: Sequence[str] = ()) -> int:
    """Run a short command about sweeps on the head, e.g. ["status"], and show its output."""
    for sweep in sweeps:
        _check(sweep)
    cluster = open_cluster(file)
    typed = {cluster.send(sweep): sweep for sweep in sweeps}
    return cluster.run(["renyi", *command, *typed, *options], typed=typed)


def show_ui_of(file: str, sweep: str, port: int) -> int:
    """Make the head's MLflow server available on a port here, through a tunnel, until interrupted."""
    config = _check(sweep)
    if _listens(port):
        raise UsageError(f"--port: {port} is in use on 127.0.0.1; give another one")
    cluster = open_cluster(file)
    with interrupted_by_signals(), cluster.tunnel(port, MLFLOW_PORT):
        from analysis.results.mlflow import runs_page

        address = f"http://127.0.0.1:{port}"
        page = runs_page(address, config.name)
        console.print(f"MLflow: {address}/{page}\n  (through a tunnel to {cluster.login}; Ctrl-C ends it)")
        with contextlib.suppress(KeyboardInterrupt):
            threading.Event().wait()
    return 0


def _check(sweep: str) -> SweepConfig:
    """Report mistakes in the sweep file before anything is sent to the cluster, which decides where results go."""
    return load(sweep, tracking="http://127.0.0.1", elsewhere=True)


def _find_head(file: str, path: Path, config: dict[str, Any]) -> Cluster:
    from ray.autoscaler._private.command_runner import SSHOptions
    from ray.autoscaler._private.commands import _bootstrap_config
    from ray.autoscaler.sdk import get_head_node_ip

    auth = _bootstrap_config(config)["auth"]  # fills in the key that the launcher made
    key = auth.get("ssh_private_key")
    options = SSHOptions(
        key and str(Path(key).expanduser()), ProxyCommand=auth.get("ssh_proxy_command"), LogLevel="ERROR"
    )
    words = options.to_ssh_options_list(timeout=CONNECT_SECONDS)
    return Cluster(file, f"{auth['ssh_user']}@{get_head_node_ip(str(path))}", tuple(words))


@contextlib.contextmanager
def _launcher_output() -> Iterator[io.StringIO]:
    """Catch what the launcher prints."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        yield said


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
