"""How well sweeps would keep large clusters busy: simulated, with the decisions that real ones follow.

    OMP_NUM_THREADS=1 python benchmarks/placement.py                 # some minutes
    OMP_NUM_THREADS=1 python benchmarks/placement.py --gpus 64 --sweeps cifar10-resnet18

The trials of each sweep, repeated until there are 1 000, on nodes of 8 GPUs and 32 cores. Training and tasks of
measuring take what `orchestrator/store/cost.py` expects of one GPU; actors on one GPU share it evenly; an actor takes
10 s to start. The makespan is divided by the least that any order could reach, the largest of:

- total work / number of GPUs;
- the longest trial: its training, then its longest task on a GPU of its own;
- all trials that train at least t hours: they are measured after these, on all GPUs, for every t;
- training alone, which can't be divided: of the k g + 1 longest trials on g GPUs, some k + 1 share one GPU.

Pass criterion: at most 1.05 on 8 to 512 GPUs.
"""

import argparse
import random
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from orchestrator.config.expand import expand
from orchestrator.config.load import load
from orchestrator.executors.ray.placement import Node
from orchestrator.store.cost import longest_first, train_seconds
from orchestrator.store.tasks import divide
from tests.orchestrator.executors.ray.simulated_cluster import SimulatedTrial, Simulation

TRIALS = 1000
NODE_GPUS, NODE_CPUS = 8, 32
SWEEPS = ("cifar10-resnet18", "cifar10-simple_vit", "tiny_imagenet-resnet18", "table1-cifar10", "table1-tiny_imagenet")
MOST = 1.05


def trials_of(sweep: str) -> list[SimulatedTrial]:
    """A thousand trials of a shipped sweep, in the order in which they are handed out."""
    config = load(sweep)
    specs = expand(config)
    repeated = [specs[number % len(specs)] for number in range(TRIALS)]
    tasks = {spec.trial_id: divide(spec, config.sharpness, gpu=True) for spec in specs}
    return [
        SimulatedTrial(train_seconds(spec, gpu=True), tuple(task.seconds for task in tasks[spec.trial_id]))
        for spec in longest_first(repeated, gpu=True)
    ]


def least_makespan(trials: list[SimulatedTrial], gpus: int) -> float:
    """Seconds below which no order ends."""
    work = sum(trial.train + sum(trial.tasks) for trial in trials) / gpus
    path = max(trial.train + max(trial.tasks) for trial in trials)
    lengths = sorted((trial.train for trial in trials), reverse=True)
    shared = (sum(lengths[k * gpus - k : k * gpus + 1]) for k in range(1, (len(lengths) - 1) // gpus + 1))
    measuring, late = 0.0, 0.0
    for trial in sorted(trials, key=lambda trial: -trial.train):
        measuring += sum(trial.tasks)
        late = max(late, trial.train + measuring / gpus)
    return max(work, path, late, *shared)


def main() -> int:
    """Simulate, and print a line for each sweep and cluster."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gpus", type=int, nargs="+", default=[8, 64, 512])
    parser.add_argument("--sweeps", nargs="+", default=SWEEPS)
    arguments = parser.parse_args()
    worst = 0.0
    print(f"{'sweep':24}{'GPUs':>6}{'makespan':>11}{'least':>11}{'ratio':>8}{'seconds to simulate':>21}")
    for sweep in arguments.sweeps:
        trials = trials_of(sweep)
        for gpus in arguments.gpus:
            nodes = {str(n): Node(str(n), NODE_CPUS, NODE_GPUS) for n in range(gpus // NODE_GPUS)}
            simulation = Simulation(load(sweep).resources, nodes, trials, random.Random(0), look_seconds=600)
            started = time.perf_counter()
            simulation.run()
            least = least_makespan(trials, gpus)
            ratio = simulation.makespan / least
            worst = max(worst, ratio)
            took = time.perf_counter() - started
            hours = f"{simulation.makespan / 3600:9.1f} h{least / 3600:9.1f} h"
            print(f"{sweep:24}{gpus:6}{hours}{ratio:8.3f}{took:21.0f}", flush=True)
    print(f"at most {MOST}: {'yes' if worst <= MOST else 'NO'}")
    return 0 if worst <= MOST else 1


if __name__ == "__main__":
    sys.exit(main())
