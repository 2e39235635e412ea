"""DistributedDataParallel over two processes: ε of the global batch, or of each worker's own."""

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch.multiprocessing.spawn import start_processes
from torch.nn.functional import cross_entropy
from torch.nn.parallel import DistributedDataParallel

from tests.trainables.optimizers.networks import METHODS, batches, network, train

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


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> list[dict[tuple[str, bool], torch.Tensor]]:
    """The weights that each of two workers ends with."""
    folder = tmp_path_factory.mktemp("workers")
    # Forked, so that torch need not be imported again.
    start_processes(worker, args=(folder,), nprocs=2, start_method="fork")
    return [torch.load(folder / f"{rank}.pt") for rank in range(2)]


@pytest.mark.parametrize("name", list(METHODS))
def test_averaging_both_gradients_equals_one_process_on_the_whole_batch(name: str, trained: Any) -> None:
    model = network().eval()
    train(model, METHODS[name](model, lr=0.1, momentum=0.9), batches(STEPS))
    for found in trained:
        torch.testing.assert_close(found[name, True], flat(model), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", list(METHODS))
def test_workers_agree_though_each_has_its_own_perturbation(name: str, trained: Any) -> None:
    assert torch.equal(trained[0][name, False], trained[1][name, False])
    assert not torch.allclose(trained[0][name, False], trained[0][name, True])


def test_own_perturbations_are_those_of_the_half_batches(trained: Any) -> None:
    """m-sharpness by hand: the mean over halves of each half's gradient at its own w + ε."""
    model = network().eval()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    for inputs, targets in batches(STEPS):
        total = [torch.zeros_like(parameter) for parameter in model.parameters()]
        for own in (slice(0, 8), slice(8, 16)):
            sharp = network().eval()
            sharp.load_state_dict(model.state_dict())
            gradients = torch.autograd.grad(cross_entropy(sharp(inputs[own]), targets[own]), list(sharp.parameters()))
            norm = torch.cat([gradient.flatten() for gradient in gradients]).norm()
            with torch.no_grad():
                for parameter, gradient in zip(sharp.parameters(), gradients, strict=True):
                    parameter.add_(0.1 * gradient / (norm + 1e-12))
            gradients = torch.autograd.grad(cross_entropy(sharp(inputs[own]), targets[own]), list(sharp.parameters()))
            torch._foreach_add_(total, gradients, alpha=0.5)
        for parameter, gradient in zip(model.parameters(), total, strict=True):
            parameter.grad = gradient
        optimizer.step()
    torch.testing.assert_close(trained[0]["SAM", False], flat(model), rtol=1e-9, atol=1e-9)
