"""The check before any trial: whether every node of a cluster can take part. Reports all problems, a line each."""

import contextlib
import platform
import socket
import time
import urllib.error
import urllib.request
import uuid
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import ray
import yaml
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from orchestrator.config.sweep_config import SweepConfig
from orchestrator.display import console
from orchestrator.errors import UsageError
from orchestrator.executors.ray.nodes import LAUNCHER_FILE, connect, leave, possible_nodes, present_nodes
from orchestrator.executors.ray.placement import check_fit
from orchestrator.intervals import JOIN, LOSS
from orchestrator.own_code import own_code
from orchestrator.rehearsal import SKIP, Rehearsal, problems_here
from trainables.errors import StorageError, TrainingError
from trainables.trial.specs import DataSpec
from trainables.trial.storage import Folder, open_folder

ANSWER_SECONDS = 180.0  # for a node to start a process, import torch and read its data
DATA_SECONDS = 3600.0  # for a node to download its data and decode it, once
LOSS_SECONDS = 30.0  # for Ray to notice that a node is lost
JOIN_SECONDS = 300.0  # for the machines of a launcher file to join, where the sweep can't do without them
TRACKING_SECONDS = 10.0
MAX_SKEW_SECONDS = 5.0


def preflight(config: SweepConfig, rehearsal: Rehearsal | None = None) -> None:
    """Check the cluster at RAY_ADDRESS (or this machine) for a sweep.

    Takes about ten seconds: each node starts a process that imports torch. The first time, each node also downloads
    the data. With a rehearsal, each node also tries every network with its optimizer on a few images.

    Raises:
        UsageError: all problems, each with its remedy.
    """
    connect(own_code(config))
    try:
        problems = tracking_problems(config) + _size_problems(config)
        nodes = [node for node in ray.nodes() if node["Alive"]]
        console.print(f"  preflight: {len(nodes)} nodes")
        answers = _ask(config, nodes, rehearsal)
        problems += node_problems(answers, config.folder)
    finally:
        leave()
    if problems:
        raise UsageError(*problems)
    console.print("  preflight: versions, storage, data, tracking, GPUs, clocks and size are right")


@dataclass(frozen=True)
class NodeAnswer:
    """The answers of one node; None where there is no problem."""

    name: str
    versions: Mapping[str, str]  # of Python, torch and ray
    skew: float = 0.0  # seconds that its clock is ahead of the driver's
    storage: str | None = None
    shared: bool = True  # whether it sees what the driver wrote, and the driver what it wrote
    data: str | None = None
    gpus: str | None = None
    rehearsal: tuple[str, ...] = ()  # the problems of its rehearsal
    silence: str | None = None  # why it gave no answer


class Probe:
    """The actor that answers for its node."""

    def versions(self) -> dict[str, str]:
        """The versions of Python, torch and ray here."""
        import torch

        return {"Python": platform.python_version(), "torch": torch.__version__, "ray": version("ray")}

    def clock(self) -> float:
        """The Unix time here."""
        return time.time()

    def storage(self, folder: str, token: str, mine: str) -> tuple[str | None, bool]:
        """Why the storage can't be written from here, or None; and whether the driver's token is found in it."""
        opened = open_folder(folder)
        return _write(opened, mine, token.encode()), _read(opened, token) == token.encode()

    def data(self, spec: DataSpec) -> str | None:
        """Why the data can't be downloaded to this node, or None."""
        from trainables.data import load_dataset

        try:
            load_dataset(spec)
        except (TrainingError, OSError) as error:
            return str(error)
        return None

    def rehearsed(self, rehearsal: Rehearsal | None, storage: tuple[str | None, bool], data: str | None) -> list[str]:
        """The problems of a rehearsal here; none where this node can't use the storage or the data: see `storage`."""
        return [] if rehearsal is None or storage[0] or data else problems_here(rehearsal)

    def gpus(self, expected: float) -> str | None:
        """Why torch can't use the GPUs that Ray counts here, or None."""
        import torch

        if not expected or torch.cuda.is_available():
            return None
        return f"Ray counts {expected:g} GPUs, but torch {torch.__version__} can use none"


def tracking_problems(config: SweepConfig) -> list[str]:
    """Why the MLflow server does not answer the driver, the only process that writes to it; empty if it does."""
    if not config.tracking_uri.startswith("http"):
        return []
    try:
        urllib.request.urlopen(f"{config.tracking_uri.rstrip('/')}/health", timeout=TRACKING_SECONDS).close()
    except urllib.error.HTTPError as error:
        if error.code in (401, 403):
            return [
                f"tracking: {config.shown_tracking} refuses: set MLFLOW_TRACKING_USERNAME and "
                "MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN, on the head"
            ]
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        return [
            f"tracking: {config.shown_tracking} does not answer ({reason}); start the server, on a "
            "launcher's head with clusters/start_mlflow.sh, or name another with RENYI_TRACKING"
        ]
    return []


def node_problems(answers: Sequence[NodeAnswer], folder: str) -> list[str]:
    """The problems of nodes; one that many nodes share is one line. The first answer is that of the driver's node."""
    found: dict[str, list[str]] = defaultdict(list)
    rehearsed: dict[str, list[str]] = defaultdict(list)
    driver = answers[0]
    for node in answers:
        if node.silence:
            found[f"{{}} did not answer ({node.silence}); see `ray status`, or take it out of the cluster"].append(
                node.name
            )
            continue
        for name, value in node.versions.items():
            expected = driver.versions.get(name, value)
            if value != expected:
                remedy = f"install {name} {expected} there, and start its Ray again"
                found[f"{{}} has {name} {value}, the driver on {driver.name} {expected}; {remedy}"].append(node.name)
        if abs(node.skew) > MAX_SKEW_SECONDS:
            found[f"the clock of {{}} is {node.skew:+.0f} s off the driver's; set it with chrony or ntp"].append(
                node.name
            )
        if node.storage:
            found[f"storage: {folder} can't be written from {{}} ({node.storage}); let its user write there"].append(
                node.name
            )
        elif not node.shared:
            found[
                f"storage: {folder} on {{}} is another folder than on {driver.name}; mount one folder (NFS) on every "
                "node, or set RENYI_STORAGE to a bucket"
            ].append(node.name)
        if node.data:
            found[f"data: on {{}}: {node.data}"].append(node.name)
        if node.gpus:
            found[f"{{}}: {node.gpus}; compare `nvidia-smi` with torch's CUDA release"].append(node.name)
        for problem in node.rehearsal:
            rehearsed[problem].append(node.name)
    said = [f"{problem} (on {', '.join(names)})" for problem, names in rehearsed.items()]
    return [text.replace("{}", ", ".join(names)) for text, names in found.items()] + said + [SKIP] * bool(said)


def _ask(
    config: SweepConfig, nodes: Sequence[Mapping[str, Any]], rehearsal: Rehearsal | None = None
) -> list[NodeAnswer]:
    """Ask every node at once, the driver's first."""
    here = ray.get_runtime_context().get_node_id()
    ordered = sorted(nodes, key=lambda node: (node["NodeID"] != here, node["NodeManagerAddress"]))
    token = _file("preflight")
    folder = open_folder(config.folder)
    unwritable = _write(folder, token, token.encode())
    interviews = [_Interview(config, node, token, rehearsal) for node in ordered]
    try:
        answers = {interview.node_id: interview.answer(folder, unwritable) for interview in interviews}
        lost = _lost({node_id for node_id, answer in answers.items() if answer.silence})
        for node_id in lost:
            console.print(f"  preflight: {answers[node_id].name} was lost before it answered")
        return [answer for node_id, answer in answers.items() if node_id not in lost]
    finally:
        for name in (token, *(interview.file for interview in interviews)):
            with contextlib.suppress(StorageError):
                folder.delete(name)


def _lost(silent: set[str]) -> set[str]:
    """Which of the silent nodes are lost, once Ray has had time to notice: a sweep goes on without them."""
    deadline = time.monotonic() + LOSS_SECONDS
    while True:
        lost = silent - {node["NodeID"] for node in ray.nodes() if node["Alive"]}
        if lost == silent or time.monotonic() > deadline:
            return lost
        time.sleep(LOSS)


def _file(name: str) -> str:
    """A file name that `Folder.clear` removes as unfinished, should this process be killed."""
    return f".{name}.{uuid.uuid4().hex}"


class _Interview:
    """The questions to one node, sent all at once."""

    def __init__(self, config: SweepConfig, node: Mapping[str, Any], token: str, rehearsal: Rehearsal | None) -> None:
        expected = node["Resources"].get("GPU", 0.0) if _wants_gpus(config) else 0.0
        actor_class: Any = ray.remote(Probe)
        self._probe = actor_class.options(
            num_cpus=0,
            num_gpus=0.01 if expected else 0,
            scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False),
        ).remote()
        self.node_id: str = node["NodeID"]
        self._name = f"{node['NodeManagerHostname']} ({node['NodeManagerAddress']})"
        self._token, self.file = token, _file(f"preflight-{node['NodeID']}")
        self._questions = {
            "versions": self._probe.versions.remote(),
            "storage": self._probe.storage.remote(config.folder, token, self.file),
            "gpus": self._probe.gpus.remote(expected),
        }
        self._data = self._probe.data.remote(config.data)
        self._rehearsed = self._probe.rehearsed.remote(rehearsal, self._questions["storage"], self._data)

    def answer(self, folder: Folder, unwritable: str | None) -> NodeAnswer:
        """Wait for the answers.

        Args:
            folder: the storage, as the driver sees it.
            unwritable: why the driver could not write there; in that case, sharing can't be checked.
        """
        try:
            answers = dict(
                zip(self._questions, ray.get(list(self._questions.values()), timeout=ANSWER_SECONDS), strict=True)
            )
            data = ray.get(self._data, timeout=DATA_SECONDS)
            refusal, seen = answers["storage"]
            rehearsed = ray.get(self._rehearsed, timeout=DATA_SECONDS)
            skew = self._skew()
        except (ray.exceptions.RayError, ray.exceptions.GetTimeoutError) as error:
            return NodeAnswer(self._name, {}, silence=f"{type(error).__name__}: {error}".splitlines()[0])
        shared = unwritable is not None or (seen and _read(folder, self.file) == self._token.encode())
        return NodeAnswer(
            self._name, answers["versions"], skew, refusal, shared, data, answers["gpus"], tuple(rehearsed)
        )

    def _skew(self) -> float:
        before = time.time()
        there = float(ray.get(self._probe.clock.remote(), timeout=ANSWER_SECONDS))
        return there - (before + time.time()) / 2


def _size_problems(config: SweepConfig) -> list[str]:
    """Why trials or measuring don't fit, after waiting for machines of the launcher file that are needed to join."""
    deadline = time.monotonic() + JOIN_SECONDS
    while True:
        machines = _own_machines()
        nodes = possible_nodes() if machines is None else present_nodes()
        try:
            if nodes is not None:
                check_fit(config.resources, nodes)
        except UsageError as error:
            absent = _absent(machines or [])
            if not absent:
                return list(error.problems)
            if time.monotonic() > deadline:
                logs = "/tmp/ray/session_latest/logs/monitor*"
                return [*error.problems, f"{', '.join(absent)} did not join; the head's {logs} say why"]
            console.print(f"  preflight: waiting for {', '.join(absent)} to join")
            time.sleep(JOIN)
            continue
        return []


def _own_machines() -> list[str] | None:
    """Addresses of the workers in the head's launcher file; None where nodes have no fixed addresses."""
    path = LAUNCHER_FILE.expanduser()
    provider = yaml.safe_load(path.read_text()).get("provider", {}) if path.exists() else {}
    return list(provider["worker_ips"]) if "worker_ips" in provider else None


def _absent(machines: Sequence[str]) -> list[str]:
    """The machines that are not nodes of the cluster."""
    alive = {node["NodeManagerAddress"] for node in ray.nodes() if node["Alive"]}
    return [machine for machine in machines if socket.gethostbyname(machine) not in alive]


def _wants_gpus(config: SweepConfig) -> bool:
    return config.resources.trial.gpus > 0 or config.resources.pool.gpus > 0


def _write(folder: Folder, name: str, data: bytes) -> str | None:
    """Why a file can't be written, or None once it is."""
    try:
        folder.write(name, data)
    except StorageError as error:
        cause = error.__cause__ or error
        return getattr(cause, "strerror", None) or str(cause).splitlines()[0]
    return None


def _read(folder: Folder, name: str) -> bytes | None:
    try:
        return folder.read(name)
    except (FileNotFoundError, StorageError):
        return None
