"""What a tape can be written for, and what it refuses."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from analysis.sharpness.hessian.tape.linear_maps import UnsupportedError
from analysis.sharpness.hessian.tape.tape import tape_of
from tests.analysis.sharpness.hessian.networks import PIECEWISE_LINEAR, SMOOTH, build, samples
from trainables.catalogue import NETWORKS
from trainables.models import build_model


class Branching(nn.Module):
    """Asks its input which way to go."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.linear(x)
        return -out if x.sum() > 0 else out


class Twice(nn.Module):
    """One layer, used twice."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.linear(self.linear(x).relu())
        return out


def hooked() -> nn.Module:
    model = nn.Sequential(nn.Linear(4, 3))
    model[0].register_forward_hook(lambda module, args, result: 2 * result)
    return model


REFUSED: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "control flow": (Branching, "can't be traced"),
    "a layer used twice": (Twice, "linear.weight is used twice"),
    "forward hooks": (hooked, "forward hooks on '0'"),
    "a smooth activation": (lambda: nn.Sequential(nn.Linear(4, 3), nn.GELU()), "GELU is not one of the piecewise"),
    "weights that are computed": (
        lambda: nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(4, 3))),
        "computed from others|is not one of|traced|not computed from the inputs",  # by version of torch
    ),
}


@pytest.mark.parametrize("name", PIECEWISE_LINEAR)
def test_primal_pass_is_the_network(name: str) -> None:
    model, (inputs, _) = build(name).eval(), samples(3)
    tape = tape_of(model)
    state = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    with torch.no_grad():
        record = tape.primal(tape.fold(state), inputs, [True] * len(tape.steps))
        assert torch.allclose(record.outputs, model(inputs), rtol=1e-12)
    assert all(tape.step_of(parameter) is not None for parameter, _ in model.named_parameters())


@pytest.mark.parametrize("case", REFUSED)
def test_refusals(case: str) -> None:
    make, message = REFUSED[case]
    with pytest.raises(UnsupportedError, match=message):
        tape_of(make())


@pytest.mark.parametrize("name", SMOOTH)
def test_smooth_networks_have_no_tape(name: str) -> None:
    model = build(name).eval()
    with pytest.raises(UnsupportedError):
        tape_of(model)


@pytest.mark.parametrize("name", [name for name in NETWORKS if "vit" not in name])
def test_every_convolutional_network_of_the_study_has_a_tape(name: str) -> None:
    with torch.device("meta"):
        model = build_model(name, 10).eval()
    tape = tape_of(model)
    assert all(tape.step_of(parameter) is not None for parameter, _ in model.named_parameters())
