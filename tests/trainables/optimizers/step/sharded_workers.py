"""One of two processes that train with FSDP2's `fully_shard`; what they end with goes into the folder given."""

from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_optimizer_state_dict,
    set_optimizer_state_dict,
)
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.nn.functional import cross_entropy

from tests.trainables.optimizers.networks import METHODS, batches, network
from trainables.optimizers import RSAM

STEPS, CUT = 7, 5
SHARDED = METHODS | {
    perturbation: lambda model, kind=perturbation, **base: RSAM(
        model.named_parameters(), rho=0.5, order=1.5, perturbation=kind, **base
    )
    for perturbation in ("exact", "per_tensor")
}
FULL = StateDictOptions(full_state_dict=True)


def sharded_training(make: Any, rank: int) -> dict[str, Any]:
    """The whole weights and ‖ε‖ after training on this process's half of every batch.

    After some steps it goes on with a new optimizer that is given the old one's state.
    """
    model: Any = network().eval()  # eval: batch-norm would see half batches
    mesh = init_device_mesh("cpu", (2,))
    fully_shard(model[0], mesh=mesh)
    fully_shard(model, mesh=mesh)
    optimizer = make(model, lr=0.1, momentum=0.9)
    for step, (inputs, targets) in enumerate(batches(STEPS)):
        own = slice(8 * rank, 8 * rank + 8)
        if step == CUT:
            optimizer.zero_grad()
            state = get_optimizer_state_dict(model, optimizer)
            optimizer = make(model, lr=0.1, momentum=0.9)
            set_optimizer_state_dict(model, optimizer, state)

        def closure(inputs: Any = inputs[own], targets: Any = targets[own]) -> torch.Tensor:
            model.zero_grad()
            loss = cross_entropy(model(inputs), targets)
            loss.backward()
            return loss

        optimizer.step(closure)
    norm = optimizer.epsilon_norm.item()
    return {"weights": get_model_state_dict(model, options=FULL), "epsilon_norm": norm}


def worker(rank: int, folder: Path) -> None:
    """Train with each method, and save what it ends with."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    found = {name: sharded_training(make, rank) for name, make in SHARDED.items()}
    if rank == 0:
        torch.save(found, folder / "sharded.pt")
    dist.destroy_process_group()
