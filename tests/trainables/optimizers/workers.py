"""Two workers that train every method under DistributedDataParallel, and save their weights in the folder given."""

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch.multiprocessing.spawn import start_processes
from torch.nn.functional import cross_entropy
from torch.nn.parallel import DistributedDataParallel

from tests.forked_worker import preload
from tests.trainables.optimizers.networks import METHODS, batches, network

STEPS = 5


def flat(model: torch.nn.Module) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


def worker_weights(name: str, common: bool, rank: int) -> torch.Tensor:
    """The weights after training on this worker's half of every batch, ε common to both workers or each one's own."""
    model = network().eval()  # eval: batch-norm would see half batches
    parallel = DistributedDataParallel(model)
    optimizer = METHODS[name](model, lr=0.1, momentum=0.9)
    for inputs, targets in batches(STEPS):
        own = slice(8 * rank, 8 * rank + 8)

        def closure(inputs: Any = inputs[own], targets: Any = targets[own]) -> torch.Tensor:
            optimizer.zero_grad()
            with nullcontext() if common or optimizer.perturbed else parallel.no_sync():
                loss = cross_entropy(parallel(inputs), targets)
                loss.backward()
            return loss

        optimizer.step(closure)
    return flat(model)


def worker(rank: int, folder: Path) -> None:
    """Train each method in both ways, and save the weights."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    found = {(name, common): worker_weights(name, common, rank) for name in METHODS for common in (True, False)}
    torch.save(found, folder / f"{rank}.pt")
    dist.destroy_process_group()


def start_two(worker: Callable[[int, Path], None], folder: Path) -> None:
    """Run a worker in two processes, to their end: forked ones, which import nothing again.

    Where there are GPUs autograd has threads for them, which no process can be forked with.
    """
    preload()
    method = "spawn" if torch.cuda.is_available() else "fork"
    start_processes(worker, args=(folder,), nprocs=2, start_method=method)
