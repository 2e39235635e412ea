"""A sweep on a cluster of two nodes on this machine, whose processes are killed one after another, and what must hold
when it is done."""

import contextlib
import os
import random
import shutil
import signal
import subprocess
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from enum import StrEnum
from pathlib import Path
from typing import Any

import torch
from mlflow import MlflowClient
from mlflow.entities import ViewType
from ray.cluster_utils import Cluster
from sqlalchemy import create_engine, text

from analysis.schema import KIND_TRIAL, MEASUREMENTS_FILE, TAG_KIND, TAG_STATE, TAG_TRIAL_ID, TRAINING_PREFIX
from orchestrator.config.load import load
from orchestrator.store.plan import Plan, make_plan
from orchestrator.store.trial_store import MEASURED_FILE, TrialState
from tests.faults.moody_models import SIEGE_FILE
from tests.forked_renyi import Renyi
from trainables.training.checkpoints import load_checkpoint
from trainables.trial.folder import LAST_CHECKPOINT, TRAINED_FILE

MOST_SECONDS = 600.0  # for one run of the command; less than what the test may take, so that it can say why
TO_LEAVE = 30.0  # seconds that a driver may take after a signal that it can see
BETWEEN = 3.0  # seconds at most from a moment at which there is something to lose to a kill
TO_START = 15.0  # seconds within which some drivers are killed after their start, whatever they are at
LEAST_LEFT = 3  # trials to be measured: with fewer a sweep may be over before the kill
# A lost head is noticed at once, and workers of lost nodes do not linger.
QUICK = {"RAY_gcs_rpc_server_reconnect_timeout_s": "5", "RAY_health_check_period_ms": "1000"}
# Neither an autoscaler nor logs on a terminal are needed, and both take a process.
LEAN = {"num_cpus": 1, "include_dashboard": False, "no_monitor": True, "include_log_monitor": False}

SWEEP = """\
name: fire
data: {dataset: digits}
model: tests.faults.moody_models.slow
training: {epochs: 30, batch_size: 100}
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
    PREEMPTED = "preempted driver"


WORKERS = {Victim.TRAINING: b"ray::ImplicitFunc", Victim.ACTOR: b"ray::MeasuringActor"}  # what Ray calls them
FATAL = (Victim.DRIVER, Victim.HEAD, Victim.PREEMPTED)  # the command ends too, and is given again


def in_some_order(moments: random.Random) -> list[Victim]:
    """Every victim once, a training worker twice, and last one that ends the command.

    So between two starts of it no trial loses its process more than three times and no measuring task more than twice,
    which is what a sweep puts up with.
    """
    last = moments.choice(FATAL)
    others = [Victim.TRAINING, *(victim for victim in Victim if victim is not last)]
    moments.shuffle(others)
    return [*others, last]


class Fire:
    """One sweep in a folder of its own, the cluster that it runs on if it has one, and the command at work on it."""

    def __init__(
        self, folder: Path, moments: random.Random, sweep: str = SWEEP, seeds: int = 1, database: Path | None = None
    ) -> None:
        """A sweep of four trials a seed, killed at drawn moments; with a tracking database if one is given."""
        self.folder = folder
        self.killed: list[Victim] = []
        self.cluster: Cluster | None = None
        self.process: Renyi | None = None
        self.environment = {**os.environ, **QUICK, "RENYI_STORAGE": str(folder / "storage"), "OMP_NUM_THREADS": "1"}
        self.path = folder / "sweep.yaml"
        self._siege = folder / "siege"
        self.environment[SIEGE_FILE] = str(self._siege)
        self._moments = moments
        (folder / "storage").mkdir(parents=True)
        if database is not None:
            shutil.copy(database, folder / "storage")
        self.path.write_text(f"{sweep}seeds: {list(range(seeds))}\n")

    @property
    def plan(self) -> Plan:
        """The sweep against its store."""
        return make_plan(load(str(self.path), storage=self.environment["RENYI_STORAGE"]))

    def open_cluster(self) -> Cluster:
        """A head and a second node, a core each, whose processes are in danger until the command is waited for."""
        self._siege.touch()
        os.environ.update(self.environment)  # what Ray's processes inherit, and their workers are known by
        self.cluster = Cluster(initialize_head=True, head_node_args=LEAN)
        self.cluster.add_node(num_cpus=1)
        self.cluster.wait_for_nodes()
        return self.cluster

    def start(self, *options: str) -> None:
        """Give the command `renyi run`, on the cluster if there is one."""
        environment = dict(self.environment)
        if self.cluster is not None:
            environment["RAY_ADDRESS"] = self.cluster.address
        self._started = time.time()
        self.process = Renyi("run", str(self.path), *options, environment=environment)

    def finish(self) -> str:
        """Leave the command alone until its end, which must be a good one; what it said."""
        self._siege.unlink(missing_ok=True)
        output = self._end()
        assert self._exit_code == 0, output
        assert "Traceback" not in output, output
        return output

    def strike(self, victim: Victim, replace_node: bool = True) -> bool:
        """Kill the victim at a random moment; False where the sweep is as good as over.

        A lost node is replaced before the next strike; a command that ended is given again.
        """
        assert self.cluster is not None
        if replace_node and not self.cluster.worker_nodes:
            self.cluster.add_node(num_cpus=1)
        if not self._wait_for_moment(victim):
            return False
        match victim:
            case Victim.DRIVER:
                self._kill_driver()
            case Victim.PREEMPTED:
                self._preempt_driver()
            case Victim.HEAD:
                self._end_cluster()
                output = self._end()
                assert self._exit_code not in (0, None), output
                self.open_cluster()
            case Victim.NODE:
                self.cluster.remove_node(next(iter(self.cluster.worker_nodes)), allow_graceful=False)
            case Victim.TRAINING | Victim.ACTOR:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self._moments.choice(list(self._workers(victim))), signal.SIGKILL)
        self.killed.append(victim)
        if victim in FATAL:
            self.start()
        return True

    def close(self) -> None:
        """End everything that was started, by SIGKILL."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.communicate()
        self._end_cluster()

    def _kill_driver(self) -> None:
        assert self.process is not None
        self.process.kill()
        self._end()

    def _preempt_driver(self) -> None:
        assert self.process is not None
        self.process.terminate()
        signalled = time.monotonic()
        output = self._end()
        assert time.monotonic() - signalled < TO_LEAVE, output
        assert self._exit_code == 130, output
        assert "Traceback" not in output, output
        assert "The same command resumes" in output

    def _end(self) -> str:
        """Wait until the command ends; what it said."""
        assert self.process is not None
        try:
            output, _ = self.process.communicate(timeout=MOST_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            output, _ = self.process.communicate()
            raise AssertionError(f"the command did not end in {MOST_SECONDS:g} s; it said:\n{output}") from None
        return output

    @property
    def _exit_code(self) -> int | None:
        return self.process.returncode if self.process is not None else None

    def _end_cluster(self) -> None:
        if self.cluster is not None:
            nodes = [*self.cluster.worker_nodes, *([self.cluster.head_node] if self.cluster.head_node else [])]
            for node in nodes:
                node.kill_all_processes(check_alive=False, allow_graceful=False, wait=True)
        self.cluster = None
        for pid in self._workers():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _wait_for_moment(self, victim: Victim) -> bool:
        """Until a random moment at which the victim has something to lose; whether there is enough of the sweep left.

        Some drivers are killed within seconds of their start, when they take the lease, open MLflow, join the cluster.
        """
        if victim is Victim.DRIVER and self._moments.random() < 0.25:
            time.sleep(self._moments.uniform(0, TO_START))
        else:
            self._wait_for_work(victim)
            time.sleep(self._moments.uniform(0, BETWEEN))
        assert self.process is not None
        if self.process.poll() is not None:
            self.finish()
            return False
        return len(self.plan.specs) - self._count(MEASURED_FILE) >= LEAST_LEFT

    def _wait_for_work(self, victim: Victim) -> None:
        """Until the command has got on since its start and the victim is there, with something to do."""
        assert self.process is not None
        deadline = time.monotonic() + MOST_SECONDS
        while self.process.poll() is None:
            assert time.monotonic() < deadline, f"no {victim} to kill after {MOST_SECONDS:g} s"
            got_on = any(_written(file) > self._started for file in self._files(LAST_CHECKPOINT))
            to_measure = victim is not Victim.ACTOR or self._count(TRAINED_FILE) > self._count(MEASURED_FILE)
            if got_on and to_measure and (victim not in WORKERS or any(True for _ in self._workers(victim))):
                return
            time.sleep(0.05)

    def _files(self, name: str) -> Iterator[Path]:
        return (Path(self.environment["RENYI_STORAGE"]) / "fire" / "trials").rglob(name)

    def _count(self, name: str) -> int:
        return len(list(self._files(name)))

    def _workers(self, victim: Victim | None = None) -> Iterator[int]:
        """Processes of this sweep's cluster: those that train, those that measure, or with None all of them."""
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                command, environment = (process / "cmdline").read_bytes(), (process / "environ").read_bytes()
                mine = self.environment["RENYI_STORAGE"].encode() in environment
                if mine and command.startswith(WORKERS[victim] if victim else b"ray::"):
                    yield int(process.name)


def besiege(fire: Fire, victims: Iterable[Victim]) -> None:
    """Run a sweep, and kill one victim after another as long as enough of it is left."""
    fire.open_cluster()
    fire.start()
    for victim in victims:
        if not fire.strike(victim):
            break


def check_same(fire: Fire, reference: Fire) -> None:
    """Every trial is there once, with the bits of the sweep that was left alone, and once in MLflow."""
    plan, undisturbed = fire.plan, reference.plan
    assert set(plan.states.values()) == {TrialState.MEASURED}, plan.states
    assert sorted((plan.store.folder / "trials").names()) == sorted(spec.trial_id for spec in plan.specs)
    for spec in plan.specs:
        first, second = (each.store.measurement(spec.trial_id).read(MEASUREMENTS_FILE) for each in (plan, undisturbed))
        assert first == second, spec.label
        weights, expected = (
            load_checkpoint(each.store.trial(spec.trial_id).folder, LAST_CHECKPOINT).model
            for each in (plan, undisturbed)
        )
        assert all(torch.equal(weights[name], tensor) for name, tensor in expected.items()), spec.label
    check_mlflow(plan)
    litter = [file for file in fire.folder.rglob(".*") if file.suffixes[-2:-1] in ([".pt"], [".parquet"])]
    assert not litter, "killed writers left files behind"


def check_mlflow(plan: Plan) -> None:
    """One run a trial, finished, with each step of each metric once; none was made and deleted."""
    client = MlflowClient(plan.config.tracking_uri)
    experiment = client.get_experiment_by_name(plan.config.name)
    assert experiment is not None
    runs: list[Any] = list(client.search_runs([experiment.experiment_id], run_view_type=ViewType.ALL))
    (_, *others) = sorted(runs, key=lambda run: bool(run.data.tags[TAG_KIND] == KIND_TRIAL))
    assert sorted(run.data.tags[TAG_TRIAL_ID] for run in others) == sorted(spec.trial_id for spec in plan.specs)
    steps = steps_of_metrics(plan.config.tracking_uri)
    for run in others:
        assert run.data.tags[TAG_STATE] == TrialState.MEASURED.value
        assert run.info.status == "FINISHED"
        assert run.data.metrics
        epochs = plan.specs[0].training.epochs
        for metric in run.data.metrics:
            expected = epochs if metric.startswith(f"{TRAINING_PREFIX}/") else 1
            assert steps[run.info.run_id, metric] == list(range(expected)), metric


def steps_of_metrics(database: str) -> dict[tuple[str, str], list[int]]:
    """The step of each point that a tracking database holds, in order, by run and metric."""
    steps: dict[tuple[str, str], list[int]] = defaultdict(list)
    engine = create_engine(database)
    with engine.connect() as connection:
        for run, metric, step in connection.execute(text("SELECT run_uuid, key, step FROM metrics ORDER BY step")):
            steps[run, metric].append(step)
    engine.dispose()
    return steps


def _written(file: Path) -> float:
    """When a file was written, in Unix time; long ago where it is being replaced."""
    try:
        return file.stat().st_mtime
    except FileNotFoundError:
        return 0.0
