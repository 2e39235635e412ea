"""What a sweep adds to the training it does: wall time against training time divided by the number of workers.

    OMP_NUM_THREADS=1 python benchmarks/sweep_overhead.py [--workers 2] [--rounds 3]

32 trials of the demo's network on the bundled digits, under Ray Tune, one core a worker, measuring kept to the norm of
the weights. The clock runs from the first epoch of the first trial to the end of the last: Ray is up then, and one
worker has torch loaded. Training time is what the epochs took, as each trial records it.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import yaml

from orchestrator.config.load import load
from orchestrator.store.plan import make_plan


@dataclass(frozen=True)
class Times:
    """Seconds of one sweep."""

    wall: float  # from the first epoch to the end of the last
    epochs: float  # in epochs, summed over trials
    trials: float  # from a trial's first epoch to its last, summed: epochs with what lies between them


def main() -> None:
    """Run the sweep some times, each in a new folder, and say where the time went."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    rounds = [_run(arguments.workers) for _ in range(arguments.rounds)]
    rows = {
        "wall time": [times.wall for times in rounds],
        "training / workers": [times.epochs / arguments.workers for times in rounds],
        "between a trial's epochs": [(times.trials - times.epochs) / arguments.workers for times in rounds],
        "between trials, and at the end": [times.wall - times.trials / arguments.workers for times in rounds],
    }
    print(f"32 trials, {arguments.workers} workers; median of {arguments.rounds} sweeps, seconds")
    for name, seconds in rows.items():
        print(f"{name:32}{statistics.median(seconds):8.2f}")
    ratios = [wall / training for wall, training in zip(rows["wall time"], rows["training / workers"], strict=True)]
    print(f"{'wall time / training':32}{statistics.median(ratios):8.3f}   ({min(ratios):.3f} to {max(ratios):.3f})")


def _run(workers: int) -> Times:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sweep.yaml"
        share = 0.9  # of a core, so that the pool has room beside the workers
        sweep = {
            "name": "overhead",
            "data": {"dataset": "digits"},
            "model": "digits_cnn",
            "training": {"epochs": 30, "batch_size": 32},
            "grid": [{"optimizer": "sgd", "learning_rate": [0.02, 0.05], "weight_decay": [1e-5, 1e-4, 3e-4, 1e-3]}],
            "seeds": [0, 1, 2, 3],
            "sharpness": {"samples": 20, "measures": ["l2"]},
            "resources": {"trial": {"cpus": share}, "pool": {"actors": 1, "cpus": 0.1}},
            "storage": str(Path(folder) / "storage"),
        }
        path.write_text(yaml.safe_dump(sweep))
        subprocess.run(
            [sys.executable, "-m", "orchestrator.cli", "run", str(path)], check=True, stdout=subprocess.DEVNULL
        )
        plan = make_plan(load(str(path)))
        histories = [plan.store.trial(spec.trial_id).read_trained().history for spec in plan.specs]
    starts = [history[0].timestamp - history[0].seconds for history in histories]
    ends = [history[-1].timestamp for history in histories]
    return Times(
        wall=max(ends) - min(starts),
        epochs=sum(epoch.seconds for history in histories for epoch in history),
        trials=sum(ends) - sum(starts),
    )


if __name__ == "__main__":
    main()
