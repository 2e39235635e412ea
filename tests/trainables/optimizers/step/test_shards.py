"""FSDP2 over two processes: norms, Q and the eigenvector are those of the whole vectors, and so are the weights."""

from typing import Any

import pytest
import torch

from tests.trainables.optimizers.networks import batches, network, train
from tests.trainables.optimizers.step.sharded_workers import SHARDED, STEPS, worker
from tests.trainables.optimizers.workers import start_two


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, old_heap: None) -> Any:
    """The weights and ‖ε‖ that two processes end with."""
    folder = tmp_path_factory.mktemp("sharded")
    start_two(worker, folder)
    return torch.load(folder / "sharded.pt")


@pytest.mark.parametrize("name", list(SHARDED))
def test_shards_equal_one_process_on_the_whole_batch(name: str, trained: Any) -> None:
    model = network().eval()
    optimizer = SHARDED[name](model, lr=0.1, momentum=0.9)
    train(model, optimizer, batches(STEPS))
    found = trained[name]
    # Eigen-SAM's vector comes from differences of gradients there, and from second derivatives here.
    tolerance = 1e-7 if name == "EigenSAM" else 1e-12
    for key, weight in model.state_dict().items():
        torch.testing.assert_close(found["weights"][key], weight, rtol=tolerance, atol=tolerance, msg=key)
    assert found["epsilon_norm"] == pytest.approx(optimizer.epsilon_norm.item(), rel=tolerance)
