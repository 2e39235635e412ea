"""DistributedDataParallel over two processes: ε of the global batch, or of each worker's own."""

from typing import Any

import pytest
import torch
from torch.nn.functional import cross_entropy

from tests.trainables.optimizers.networks import METHODS, batches, network, train
from tests.trainables.optimizers.workers import STEPS, flat, start_two, worker


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, old_heap: None) -> list[dict[tuple[str, bool], torch.Tensor]]:
    """The weights that each of two workers ends with."""
    folder = tmp_path_factory.mktemp("workers")
    start_two(worker, folder)
    return [torch.load(folder / f"{rank}.pt") for rank in range(2)]


@pytest.mark.parametrize("name", list(METHODS))
def test_averaging_both_gradients_equals_one_process_on_the_whole_batch(name: str, trained: Any) -> None:
    model = network().eval()
    train(model, METHODS[name](model, lr=0.1, momentum=0.9), batches(STEPS))
    for found in trained:
        torch.testing.assert_close(found[name, True], flat(model), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", [name for name in METHODS if name not in ("LookSAM", "GSAM")])
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
