"""A small sweep on a cluster of two nodes on this machine, whose processes are killed, and what must hold then."""

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

import torch
from mlflow import MlflowClient
from ray.cluster_utils import Cluster

from analysis.schema import MEASUREMENTS_FILE, TAG_KIND, TAG_STATE, TAG_TRIAL_ID
from orchestrator.config import load
from orchestrator.plan import Plan, make_plan
from orchestrator.trial_store import TrialState
from trainables.checkpoints import load_checkpoint
from trainables.trial_folder import LAST_CHECKPOINT

RENYI = [sys.executable, "-m", "orchestrator.cli"]
MOST_SECONDS = 300.0  # for one run of the sweep, on a busy machine
MOST_RUNS = 4  # of the command, till the sweep is done
TO_LEAVE = 30.0  # seconds that a driver may take after a signal that it can see
# A lost head is noticed at once, and workers of lost nodes do not linger.
QUICK = {"RAY_gcs_rpc_server_reconnect_timeout_s": "5", "RAY_health_check_period_ms": "1000"}

SWEEP = """\
name: fire
data: {dataset: digits}
model: digits_cnn_bn
training: {epochs: 10, batch_size: 32}
grid:
  - optimizer: sgd
    learning_rate: [0.05, 0.1]
    weight_decay: [1e-4, 1e-3]
sharpness:
  {samples: 50, orders: [0.5, 1.5], num_probes: 4, num_matvecs: 10, measures: [renyi, trace, l2, sam, avg]}
resources:
  trial: {cpus: 0.5}
  pool: {actors: 2, cpus: 0.5}
"""


class Victim(StrEnum):
    """What is killed, and by what."""

    DRIVER = "driver"
    TRAINING = "training worker"
    ACTOR = "measuring actor"
    NODE = "second node"
    HEAD = "head"
    PREEMPTED = "driver, by SIGTERM"


@dataclass
class Fire:
    """One sweep in a folder of its own, and the cluster it runs on."""

    folder: Path
    moments: random.Random
    environment: dict[str, str] = field(default_factory=dict)
    cluster: Cluster | None = None

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.environment = {
            **os.environ,
            **QUICK,
            "RENYI_STORAGE": str(self.folder / "storage"),
            "OMP_NUM_THREADS": "1",
        }
        self.path.write_text(SWEEP)

    @property
    def path(self) -> Path:
        """The sweep's file."""
        return self.folder / "sweep.yaml"

    @property
    def plan(self) -> Plan:
        """The sweep against its store."""
        return make_plan(load(str(self.path), storage=self.environment["RENYI_STORAGE"]))

    def start(self, *options: str) -> "subprocess.Popen[str]":
        """`renyi run`, on the cluster if there is one."""
        environment = dict(self.environment)
        if self.cluster is not None:
            environment["RAY_ADDRESS"] = self.cluster.address
        return subprocess.Popen(
            [*RENYI, "run", str(self.path), *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environment,
            start_new_session=True,
        )

    def finish(self, process: "subprocess.Popen[str]") -> int:
        """Wait for a run and, as a user would, give the same command again until all is measured; how many it took."""
        for attempt in range(1, MOST_RUNS + 1):
            output = _end(process)
            if process.returncode == 0:
                return attempt
            if self.cluster is None or not _alive(self.cluster):
                self.close()
                self.cluster = open_cluster(self.environment)
            process = self.start()
        raise AssertionError(f"not done after {MOST_RUNS} runs; the last said:\n{output}")

    def strike(self, victim: Victim, process: "subprocess.Popen[str]") -> bool:
        """Kill the victim at a random moment of the run; False where the run was over before."""
        assert self.cluster is not None
        if not self._wait_for_work(victim, process):
            return False
        time.sleep(self.moments.uniform(0, 3))
        if process.poll() is not None:
            return False
        match victim:
            case Victim.DRIVER:
                process.kill()
            case Victim.PREEMPTED:
                process.terminate()
                started = time.monotonic()
                output = _end(process)
                assert time.monotonic() - started < TO_LEAVE, output
                assert process.returncode == 130, output
                assert "The same command takes it up again" in output
            case Victim.TRAINING | Victim.ACTOR:
                pids = list(self._workers(victim))
                if not pids:
                    return False
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self.moments.choice(pids), signal.SIGKILL)
            case Victim.NODE:
                if not self.cluster.worker_nodes:
                    return False
                self.cluster.remove_node(next(iter(self.cluster.worker_nodes)), allow_graceful=False)
            case Victim.HEAD:
                self.close()
        return True

    def close(self) -> None:
        """End the cluster and everything on it, by SIGKILL."""
        if self.cluster is not None:
            nodes = [*self.cluster.worker_nodes, *([self.cluster.head_node] if self.cluster.head_node else [])]
            for node in nodes:
                node.kill_all_processes(check_alive=False, allow_graceful=False, wait=True)
        self.cluster = None
        for pid in self._workers(None):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _wait_for_work(self, victim: Victim, process: "subprocess.Popen[str]") -> bool:
        """Until there is something to lose: a checkpoint that is not final, or for an actor a trained trial."""
        deadline = time.monotonic() + MOST_SECONDS
        storage = Path(self.environment["RENYI_STORAGE"])
        trials = storage / "fire" / "trials"
        before = set(trials.glob("*/last.pt"))
        while time.monotonic() < deadline and process.poll() is None:
            if victim is Victim.ACTOR and list(self._workers(victim)) and set(trials.glob("*/trained.json")):
                return True
            if victim is not Victim.ACTOR and set(trials.glob("*/last.pt")) - before:
                return True
            time.sleep(0.05)
        return False

    def _workers(self, victim: Victim | None) -> Iterator[int]:
        """Ray's worker processes of this sweep's cluster: those that train, those that measure, or with None all."""
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                command, environment = (process / "cmdline").read_bytes(), (process / "environ").read_bytes()
                mine = command.startswith(b"ray::") and self.environment["RENYI_STORAGE"].encode() in environment
                measures = command.startswith(b"ray::MeasuringActor")
                trains = not measures and not command.startswith(b"ray::IDLE")
                if mine and (victim is None or (measures if victim is Victim.ACTOR else trains)):
                    yield int(process.name)


def open_cluster(environment: dict[str, str]) -> Cluster:
    """A head and a second node, a core each."""
    os.environ.update(environment)  # what Ray's processes inherit, and their workers are known by
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    cluster.add_node(num_cpus=1)
    cluster.wait_for_nodes()
    return cluster


def check_same(fire: Fire, reference: Fire) -> None:
    """Every trial is there once, with the bits of the sweep that was left alone, and once in MLflow."""
    plan, undisturbed = fire.plan, reference.plan
    assert set(plan.states.values()) == {TrialState.MEASURED}, plan.states
    assert len(plan.store.folder.names()) >= 1
    assert len((plan.store.folder / "trials").names()) == len(plan.specs)
    for spec in plan.specs:
        first, second = (each.store.measurement(spec.trial_id).read(MEASUREMENTS_FILE) for each in (plan, undisturbed))
        assert first == second, spec.label
        weights, expected = (
            load_checkpoint(each.store.trial(spec.trial_id).folder, LAST_CHECKPOINT).model
            for each in (plan, undisturbed)
        )
        assert all(torch.equal(weights[name], tensor) for name, tensor in expected.items()), spec.label
    check_mlflow(plan)


def check_mlflow(plan: Plan) -> None:
    """One run a trial, finished, with each step of each metric once."""
    client = MlflowClient(plan.config.tracking_uri)
    experiment = client.get_experiment_by_name(plan.config.name)
    assert experiment is not None
    runs: list[Any] = list(client.search_runs([experiment.experiment_id], f"tags.`{TAG_KIND}` = 'trial'"))
    assert sorted(run.data.tags[TAG_TRIAL_ID] for run in runs) == sorted(spec.trial_id for spec in plan.specs)
    for run in runs:
        assert run.data.tags[TAG_STATE] == TrialState.MEASURED.value
        assert run.info.status == "FINISHED"
        for metric in run.data.metrics:
            steps = [point.step for point in client.get_metric_history(run.info.run_id, metric)]
            expected = 10 if metric.startswith("training/") else 1
            assert sorted(steps) == list(range(expected)), (metric, steps)


def _end(process: "subprocess.Popen[str]") -> str:
    try:
        output, _ = process.communicate(timeout=MOST_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        output, _ = process.communicate()
        raise AssertionError(f"a run did not end in {MOST_SECONDS:g} s; it said:\n{output}") from None
    return output


def _alive(cluster: Cluster) -> bool:
    head: Any = cluster.head_node
    return head is not None and bool(head.remaining_processes_alive())
