"""Networks under torch.compile: batch-norm is held there too, and Eigen-SAM differentiates the network as written."""

from typing import Any

import pytest
import torch
from torch.nn.functional import cross_entropy

from tests.trainables.optimizers.networks import METHODS, batches, network, train

# No optimizer asks how its network was compiled: the second way is tried with the common step, and with the only
# optimizer that differentiates the network itself.
WAYS = [*((name, False) for name in METHODS), ("SAM", True), ("EigenSAM", True)]


@pytest.mark.parametrize(("name", "in_place"), WAYS)
def test_compiled_network_trains_as_the_plain_one(name: str, in_place: bool) -> None:
    plain, written = network(), network()
    optimizer, reference = METHODS[name](written, lr=0.1), METHODS[name](plain, lr=0.1)
    torch._dynamo.reset()
    compiled: Any = written
    if in_place:
        written.compile(backend="aot_eager")
    else:
        compiled = torch.compile(written, backend="aot_eager")
    for inputs, targets in batches(5):

        def closure(inputs: torch.Tensor = inputs, targets: torch.Tensor = targets) -> torch.Tensor:
            optimizer.zero_grad()
            loss = cross_entropy(compiled(inputs), targets)
            loss.backward()
            return loss

        optimizer.step(closure)
    train(plain, reference, batches(5))
    for (key, mine), (_, other) in zip(written.state_dict().items(), plain.state_dict().items(), strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-9, atol=1e-9, msg=key)
