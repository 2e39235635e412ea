"""How busy a sweep keeps its cores: wall time against the seconds of training and measuring divided by the cores.

    OMP_NUM_THREADS=1 python benchmarks/sweep_overhead.py                              # half an hour on two idle cores
    OMP_NUM_THREADS=1 python benchmarks/sweep_overhead.py --ratios 1:1 --trials 8 --seconds 4 --rounds 1   # a small one

Trials of the demo's network on the bundled digits, under Ray Tune, one core a trial and one a measuring actor, with the
default pool: it takes the cores that trials leave. For each ratio of training to measuring, both are made as long as
that by numbers of epochs and of noise draws, which one trial in this process is timed for.

The clock runs from the first epoch of the first trial to the end of the last measurement: Ray is up then, and one
worker has torch loaded. Seconds of training are what the epochs took, as each trial records it, seconds of measuring
what each measurement records. Both grow on a machine that others use, as the wall time does, so the ratio is to be
trusted there too; `processor` is the time that the kernel counted for all processes of the sweep, start and Ray
included, over the same cores.

Pass criterion: at every ratio the wall time is at most 1.15 times (training + measuring) / cores.
"""

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from orchestrator.config.load import load
from orchestrator.store.plan import make_plan
from orchestrator.store.trial_store import MEASURED_FILE

MOST = 1.15
SAMPLING_SECONDS = 0.5
CALIBRATION = 20, 400  # epochs and draws of the trial that is timed


@dataclass(frozen=True)
class Times:
    """Seconds of one sweep."""

    wall: float  # from the first epoch to the end of the last measurement
    training: float  # in epochs, summed over trials
    between: float  # between the epochs of a trial, summed over trials
    measuring: float  # summed over trials
    processor: float  # of all processes

    def ratio(self, cores: int) -> float:
        """1 if every core trains or measures all the time."""
        return self.wall / ((self.training + self.measuring) / cores)


def main() -> int:
    """Run the sweeps, each in a new folder, and say where the time went."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ratios", nargs="+", default=["10:1", "1:1", "1:10"], help="training : measuring")
    parser.add_argument("--trials", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=20.0, help="of a trial's training and measuring together")
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    epoch, draw = _calibrate()
    print(f"{arguments.trials} trials, {arguments.cores} cores; median of {arguments.rounds} sweeps; seconds by core")
    print(f"{'':8}{'wall':>8}{'training':>10}{'between':>9}{'measuring':>11}{'processor':>11}{'ratio':>8}")
    worst = 0.0
    for ratio in arguments.ratios:
        train, measure = map(float, ratio.split(":"))
        epochs = max(1, round(arguments.seconds * train / (train + measure) / epoch))
        draws = max(2, round(arguments.seconds * measure / (train + measure) / draw))
        times = [_run(arguments.trials, arguments.cores, epochs, draws) for _ in range(arguments.rounds)]
        columns = [
            [each.wall for each in times],
            *(
                [getattr(each, name) / arguments.cores for each in times]
                for name in ("training", "between", "measuring", "processor")
            ),
            [each.ratio(arguments.cores) for each in times],
        ]
        medians = [statistics.median(column) for column in columns]
        worst = max(worst, medians[-1])
        print(f"{ratio:8}{{:8.1f}}{{:10.1f}}{{:9.1f}}{{:11.1f}}{{:11.1f}}{{:8.3f}}".format(*medians), flush=True)
    print(f"at most {MOST}: {'yes' if worst <= MOST else 'NO'}")
    return 0 if worst <= MOST else 1


def _calibrate() -> tuple[float, float]:
    """Seconds of an epoch, and of measuring for each noise draw."""
    epochs, draws = CALIBRATION
    times = _run(1, 1, epochs, draws, executor="inline")
    return times.training / epochs, times.measuring / draws


def _run(trials: int, cores: int, epochs: int, draws: int, executor: str = "ray") -> Times:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sweep.yaml"
        storage = str(Path(folder) / "storage")
        sweep = {
            "name": "overhead",
            "data": {"dataset": "digits"},
            "model": "digits_cnn",
            "training": {"epochs": epochs, "batch_size": 32},
            "grid": [{"optimizer": "sgd", "learning_rate": 0.05, "weight_decay": 1e-4}],
            "seeds": list(range(trials)),
            "sharpness": {"samples": 200, "measures": ["avg"], "average": {"sigmas": [0.1], "num_draws": draws}},
            "storage": storage,
        }
        path.write_text(yaml.safe_dump(sweep))
        command = [sys.executable, "-m", "orchestrator.cli", "run", str(path), "--executor", executor]
        environment = {**os.environ, "RENYI_STORAGE": storage, "RAY_OVERRIDE_RESOURCES": json.dumps({"CPU": cores})}
        with _processor_time(storage) as processor:
            subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)
        plan = make_plan(load(str(path)))
        ids = [spec.trial_id for spec in plan.specs]
        histories = [plan.store.trial(trial_id).read_trained().history for trial_id in ids]
        measured: list[dict[str, Any]] = [json.loads(plan.store.measurement(each).read(MEASURED_FILE)) for each in ids]
    starts = [history[0].timestamp - history[0].seconds for history in histories]
    ends = [history[-1].timestamp for history in histories]
    training = sum(epoch.seconds for history in histories for epoch in history)
    return Times(
        wall=max(record["timestamp"] for record in measured) - min(starts),
        training=training,
        between=sum(ends) - sum(starts) - training,
        measuring=sum(record["seconds"] for record in measured),
        processor=sum(processor.values()),
    )


@contextlib.contextmanager
def _processor_time(mark: str) -> Iterator[dict[int, float]]:
    """Seconds of processor time by process, of those whose environment has the mark; up to half a second is missed."""
    seconds: dict[int, float] = {}
    ended = threading.Event()

    def sample() -> None:
        while not ended.wait(SAMPLING_SECONDS):
            for process in Path("/proc").glob("[0-9]*"):
                with contextlib.suppress(OSError):
                    if mark.encode() in (process / "environ").read_bytes():
                        fields = (process / "stat").read_text().rpartition(")")[2].split()
                        seconds[int(process.name)] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield seconds
    finally:
        ended.set()
        thread.join()


if __name__ == "__main__":
    sys.exit(main())
