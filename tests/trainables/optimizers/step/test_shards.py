"""FSDP2 over two processes: norms, Q and the eigenvector are those of the whole vectors, and so are the weights."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.trainables.optimizers.networks import batches, network, train
from tests.trainables.optimizers.step.sharded_workers import SHARDED, STEPS


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The weights and ‖ε‖ that two processes end with."""
    folder = tmp_path_factory.mktemp("sharded")
    root = Path(__file__).parents[4]
    command = [sys.executable, "-m", "tests.trainables.optimizers.step.sharded_workers", str(folder)]
    subprocess.run(command, cwd=root, env={**os.environ, "PYTHONPATH": str(root)}, check=True)
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
