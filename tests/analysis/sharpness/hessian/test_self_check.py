"""An engine that is wrong for a network is found out."""

import pytest
import torch

from analysis.sharpness.hessian import block_operator
from analysis.sharpness.hessian.tape.bases import Kernels
from tests.analysis.sharpness.hessian.networks import build, dense_vector, hessian_rows, samples


def test_a_wrong_engine_steps_aside(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sabotaged convolution is found out by the self-check, and the product is still right."""
    model, (inputs, targets) = build("odd"), samples(4)
    original = Kernels.transpose
    monkeypatch.setattr(Kernels, "transpose", lambda self, *args: 1.001 * original(self, *args))
    with pytest.warns(RuntimeWarning, match="double_backward is used instead of r_operator: its product differs"):
        block = block_operator(model, inputs, targets, "conv1.weight", "r_operator")
    assert block.engine == "double_backward"
    assert "differs from double backward's by" in block.reason
    V = dense_vector(block.dim)
    reference = hessian_rows(model, inputs, targets, ["conv1.weight"], V)
    assert torch.allclose(block.matmat(V), reference, rtol=1e-10)
