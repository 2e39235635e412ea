"""What the driver costs: time a no-op trial against bare Ray Tune; plan, status and a resume as sweeps grow; memory.

python benchmarks/orchestration.py            # all of it, about 15 minutes on two cores
python benchmarks/orchestration.py scale 100 1000
python benchmarks/orchestration.py trials 50
python benchmarks/orchestration.py memory 1000
python benchmarks/orchestration.py grids 100000
"""

import contextlib
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

RENYI = [sys.executable, "-m", "orchestrator.cli"]
SIZES = (100, 1000, 10_000)
TARGETS = {"plan": 5.0, "status": 2.0, "resume": 20.0}  # seconds at 10 000 trials
UNFINISHED = 10
LOGGED = 50  # trials whose logging is timed
RECORD = {  # MLflow's tables that hold a run, and the column that names it
    "runs": "run_uuid",
    "tags": "run_uuid",
    "params": "run_uuid",
    "metrics": "run_uuid",
    "latest_metrics": "run_uuid",
    "inputs": "destination_id",
}


def sweep_text(trials: int, seeds: int = 10, rates: int = 1) -> str:
    """A sweep of that many trials whose training and measuring cost next to nothing."""
    learning_rates = [round(0.1 / (number + 1), 9) for number in range(rates)]
    decays = [round(1e-6 * (number + 1), 9) for number in range(trials // seeds // rates)]
    return f"""\
name: scale
data: {{dataset: digits}}
model: digits_cnn
training: {{epochs: 1, batch_size: 1000}}
grid:
  - optimizer: sgd
    learning_rate: {learning_rates}
    weight_decay: {decays}
seeds: {list(range(seeds))}
sharpness: {{samples: 20, measures: [l2]}}
resources: {{trial: {{cpus: 0.5}}, pool: {{actors: 1, cpus: 0.5}}}}
"""


def timed(command: list[str], environment: dict[str, str]) -> tuple[float, float, int, str]:
    """Wall seconds, peak memory in MB, exit code and output of a command."""
    started = time.perf_counter()
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )
    assert process.stdout is not None
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return time.perf_counter() - started, usage.ru_maxrss / 1024, process.returncode, output


def fill(config: Any, unfinished: int) -> None:
    """Make all trials but a few as they are when they are measured, from one that was."""
    from orchestrator.store.plan import make_plan
    from orchestrator.store.trial_store import TrialState

    plan = make_plan(config)
    done = next(spec for spec in plan.specs if plan.states[spec.trial_id] is TrialState.MEASURED)
    original = Path(plan.store.trial(done.trial_id).folder.uri)
    for spec in plan.specs[: len(plan.specs) - unfinished]:
        folder = Path(plan.store.trial(spec.trial_id).folder.uri)
        if not folder.exists():
            shutil.copytree(original, folder, copy_function=os.link)
            (folder / "spec.json").unlink()
            (folder / "spec.json").write_text(spec.model_dump_json(indent=2))


def in_process(function: str, path: Path) -> list[str]:
    """The command that calls a function of this file with a sweep's path; its memory is then its own."""
    code = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); import orchestration; "
    return [sys.executable, "-c", code + f"orchestration.{function}({str(path)!r})"]


def log_all(path: str) -> None:
    """Bring MLflow to the state of the store, and print the milliseconds that one trial takes. In this process.

    Some trials are logged as the driver logs them. The records of the others are copied from one of these in the
    database, row by row, which leaves what logging each would leave.
    """
    from orchestrator.config.load import load
    from orchestrator.store.plan import make_plan
    from orchestrator.store.trial_store import TrialState
    from orchestrator.tracking.tracker import MLflowTracker

    config = load(path)
    plan = make_plan(config)
    measured = [trial_id for trial_id, state in plan.states.items() if state is TrialState.MEASURED]
    tracker = MLflowTracker(config, plan.store, plan.specs)
    started = time.perf_counter()
    tracker.reconcile(dict.fromkeys(measured[:LOGGED], TrialState.MEASURED))
    while tracker.waiting:
        time.sleep(0.05)
    seconds = time.perf_counter() - started
    copy_record(config.tracking_uri.removeprefix("sqlite:///"), measured[0], measured[LOGGED:])
    print(f"{1000 * seconds / min(LOGGED, len(measured)):.0f}")


def copy_record(database: str, trial_id: str, others: list[str]) -> None:
    """Give other trials the record of one, under their own names; those that have one keep it."""
    with contextlib.closing(sqlite3.connect(database)) as connection, connection:
        runs = dict(connection.execute("SELECT value, run_uuid FROM tags WHERE key = 'renyi.trial_id'"))
        copies = [(other, uuid.uuid4().hex) for other in others if other not in runs]
        for table, column in RECORD.items():
            found = connection.execute(f"SELECT * FROM {table} WHERE {column} = ?", (runs[trial_id],))
            names = [each[0] for each in found.description]
            rows = found.fetchall()
            connection.executemany(
                f"INSERT INTO {table} VALUES ({', '.join('?' * len(names))})",
                (
                    [
                        uuid.uuid4().hex
                        if name == "input_uuid"
                        else value.replace(trial_id, other).replace(runs[trial_id], run)
                        if isinstance(value, str)
                        else value
                        for name, value in zip(names, row, strict=True)
                    ]
                    for other, run in copies
                    for row in rows
                ),
            )


def start_of_a_resume(path: str) -> None:
    """What `renyi run` does before the first trial starts: plan, and the record brought up to date. In this process."""
    from orchestrator.config.load import load
    from orchestrator.store.plan import make_plan
    from orchestrator.tracking.tracker import MLflowTracker

    config = load(path)
    plan = make_plan(config)
    tracker = MLflowTracker(config, plan.store, plan.specs)
    tracker.reconcile(plan.states)
    assert len(plan.work.to_train) == UNFINISHED, plan.counts


def scale(sizes: Iterable[int]) -> None:
    """Plan, status and the start of a resume, all but ten trials being finished and logged."""
    print(f"{'trials':>7}  {'command':8} {'seconds':>8} {'MB':>6}  target at 10 000")
    for trials in sizes:
        with tempfile.TemporaryDirectory(prefix="renyi-scale-") as scratch:
            path = Path(scratch) / "sweep.yaml"
            environment = {**os.environ, "RENYI_STORAGE": f"{scratch}/storage"}
            os.environ["RENYI_STORAGE"] = environment["RENYI_STORAGE"]
            path.write_text(sweep_text(10))
            _, _, code, output = timed([*RENYI, "run", str(path), "--executor", "inline"], environment)
            assert code == 0, output
            path.write_text(sweep_text(trials))
            from orchestrator.config.load import load

            fill(load(str(path)), UNFINISHED)
            commands = {"plan": [*RENYI, "plan", str(path)], "status": [*RENYI, "status", str(path), "--json"]}
            for name, command in commands.items():
                seconds, megabytes, code, output = timed(command, environment)
                assert code == 0, output
                print(f"{trials:>7}  {name:8} {seconds:8.2f} {megabytes:6.0f}  {TARGETS[name]:g} s", flush=True)
            _, _, code, milliseconds = timed(in_process("log_all", path), environment)
            assert code == 0, milliseconds
            seconds, megabytes, code, output = timed(in_process("start_of_a_resume", path), environment)
            assert code == 0, output
            print(f"{trials:>7}  {'resume':8} {seconds:8.2f} {megabytes:6.0f}  20 s, 1000 MB", flush=True)
            print(f"{trials:>7}  logging  {milliseconds.split()[-1]:>8} ms a trial", flush=True)


def grids(trials: int) -> None:
    """Plans of a sweep that has not begun: all trials on one axis, and on two."""
    print(f"{'trials':>7}  {'axes':4} {'seconds':>8} {'MB':>6}  target at 100 000")
    for axes, rates in (("one", 1), ("two", 100)):
        with tempfile.TemporaryDirectory(prefix="renyi-grids-") as scratch:
            path = Path(scratch) / "sweep.yaml"
            path.write_text(sweep_text(trials, seeds=1, rates=rates))
            command = [*RENYI, "plan", str(path), "--storage", f"{scratch}/storage"]
            seconds, megabytes, code, output = timed(command, dict(os.environ))
            assert code == 0, output
            print(f"{trials:>7}  {axes:4} {seconds:8.2f} {megabytes:6.0f}  8 s", flush=True)


def no_op(config: dict[str, Any]) -> None:
    """A trial that only says that it is there, as ours do when they start."""
    import ray
    from ray import tune

    tune.report({"node": ray.get_runtime_context().get_node_id()})


def trials(number: int) -> None:
    """Seconds a no-op trial: bare Tune with reused actors, and our executor with the same function."""
    from orchestrator.config.expand import expand
    from orchestrator.config.load import load
    from orchestrator.executors.ray.nodes import connect
    from orchestrator.store.plan import Work
    from orchestrator.store.trial_store import TrialStore

    with tempfile.TemporaryDirectory(prefix="renyi-trials-") as scratch:
        path = Path(scratch) / "sweep.yaml"
        path.write_text(sweep_text(number))
        config = load(str(path), storage=scratch)
        store = TrialStore(config.folder, config.sharpness.measurement_id)
        specs = expand(config)
        assert Work(specs).to_train
        os.environ["RAY_DEDUP_LOGS"] = "0"
        connect()
        both: dict[str, Callable[[], None]] = {
            "bare Ray Tune": lambda: _bare(number),
            "this driver": lambda: _ours(config, store, specs),
        }
        spent: dict[str, list[tuple[float, float]]] = {name: [] for name in both}
        for _ in range(3):
            for name, run in both.items():
                wall, cpu = time.perf_counter(), time.process_time()
                run()
                spent[name].append((time.perf_counter() - wall, time.process_time() - cpu))
    for index, clock in enumerate(("wall", "driver's CPU")):
        milliseconds = {name: [1000 * each[index] / number for each in runs] for name, runs in spent.items()}
        for name, values in milliseconds.items():
            each = ", ".join(f"{value:.0f}" for value in values)
            print(f"{clock:14} {name:14} {min(values):7.1f} ms a trial (of {each})")
        ratio = min(milliseconds["this driver"]) / min(milliseconds["bare Ray Tune"])
        print(f"{clock:14} {'ratio':14} {ratio:7.2f}, target at most 1.15, {number} no-op trials", flush=True)


def _bare(number: int) -> None:
    from ray import tune

    with tempfile.TemporaryDirectory(prefix="renyi-bare-") as scratch:
        tuner = tune.Tuner(
            tune.with_resources(no_op, {"cpu": 0.5}),
            param_space={"task": tune.grid_search(list(range(number)))},
            tune_config=tune.TuneConfig(reuse_actors=True),
            run_config=tune.RunConfig(storage_path=scratch, verbose=0),
        )
        tuner.fit()


def _ours(config: Any, store: Any, specs: Any) -> None:
    from orchestrator.executors.ray import tuner

    tuner._train = no_op
    run = tuner.Tuning(config, store, specs)
    while run.alive:
        for _ in run.collect(timeout=0.1):
            pass


def memory(number: int) -> None:
    """The driver's peak memory in a sweep of that many no-op trials."""
    with tempfile.TemporaryDirectory(prefix="renyi-memory-") as scratch:
        path = Path(scratch) / "sweep.yaml"
        path.write_text(sweep_text(number))
        environment = {**os.environ, "RENYI_STORAGE": f"{scratch}/storage"}
        seconds, megabytes, exit_code, output = timed(in_process("drive", path), environment)
        assert exit_code == 0, output
        print(f"{number:>7}  {'driver':8} {seconds:8.2f} {megabytes:6.0f}  600 MB at 1 000 trials", flush=True)


def drive(path: str) -> None:
    """What a driver keeps in memory, in this process: a tracker and a Tuner that know all trials, each a no-op."""
    from ray import cloudpickle

    from orchestrator.config.load import load
    from orchestrator.executors.ray.nodes import connect, leave
    from orchestrator.store.plan import make_plan
    from orchestrator.tracking.tracker import MLflowTracker

    config = load(path)
    plan = make_plan(config)
    tracker = MLflowTracker(config, plan.store, plan.specs)
    cloudpickle.register_pickle_by_value(sys.modules[__name__])  # this file is not on the workers' path
    connect()
    _ours(config, plan.store, plan.specs)
    leave()
    assert not tracker.finish()


def main(arguments: list[str]) -> None:
    """Run what is named, or all."""
    what, *numbers = arguments or ["all"]
    if what in ("all", "scale"):
        scale(map(int, numbers) if numbers else SIZES)
    if what in ("all", "trials"):
        trials(int(numbers[0]) if numbers else 200)
    if what in ("all", "grids"):
        grids(int(numbers[0]) if numbers else 100_000)
    if what in ("all", "memory"):
        memory(int(numbers[0]) if numbers else 1000)


if __name__ == "__main__":
    main(sys.argv[1:])
