"""Multiply-adds, bytes and costs that can be counted by hand."""

import torch
from torch import Tensor, nn

from analysis.sharpness.hessian.cost import EngineCost, LinearShape, Profile
from analysis.sharpness.problem import pose


def profile() -> Profile:
    """Multiply-adds a sample: 6·8 and 8·3."""
    model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3)).double()
    return Profile.of(pose(model, torch.ones(5, 6, dtype=torch.float64), torch.zeros(5, dtype=torch.int64)))


def test_work_is_counted_by_module() -> None:
    found = profile()
    assert found.total == 48 + 24
    assert (found.macs["0.weight"], found.after["0.weight"]) == (48, 24)
    assert (found.macs["2.weight"], found.after["2.weight"]) == (24, 0)
    assert found.passes(2 * 72 * 5) == 2
    assert found.num_outputs == 3


def test_memory_is_counted_from_a_module_on() -> None:
    found = profile()
    assert found.itemsize == 8
    assert found.activations == 8 * (8 + 3)
    assert (found.live["0.weight"], found.live["2.weight"]) == (8 * 11, 8 * 3)
    assert (found.crest["0.weight"], found.crest["2.weight"]) == (8 * 8, 8 * 3)


def test_sizes_and_reach_of_several_parameters() -> None:
    found = profile()
    assert found.size(["0.weight", "2.bias"]) == 48 + 3
    assert found.reach(["2.weight"]) == (24 / 72, 24 / 72)
    assert found.reach(["0.weight", "2.weight"]) == (1, 1)


def test_the_cost_of_products_or_of_the_exact_spectrum() -> None:
    cost = EngineCost(setup=3, product=2, exact=50, memory=0)
    assert cost.of(10) == 23
    assert cost.of(10, spectrum=True) == 23
    assert cost.of(100, spectrum=True) == 53


class WithToken(nn.Module):
    """A network that holds a token beside its modules, which its outputs come from after all of them."""

    def __init__(self) -> None:
        super().__init__()
        self.token = nn.Parameter(torch.ones(1, 6))
        self.body, self.head = nn.Linear(6, 8), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(self.body(x + self.token).relu())
        return out


def test_the_last_layer_is_last_though_the_network_holds_parameters_itself() -> None:
    found = Profile.of(pose(WithToken(), torch.ones(5, 6), torch.zeros(5, dtype=torch.int64)))
    assert found.after["head.weight"] == 0
    assert found.after["token"] >= 48 + 24


def test_the_shapes_of_layers() -> None:
    model = nn.Sequential(
        nn.Conv2d(4, 6, 3, stride=2, padding=1, groups=2),
        nn.Conv2d(6, 8, 1, stride=2),
        nn.BatchNorm2d(8),
        nn.Flatten(2),
        nn.Linear(4, 5),
        nn.Flatten(),
        nn.Linear(40, 3),
    )
    found = Profile.of(pose(model.eval(), torch.ones(5, 4, 8, 8), torch.zeros(5, dtype=torch.int64))).shapes
    assert found == {
        "0.weight": LinearShape(positions=16, fan_in=18, outputs=6, groups=2, inputs=256),
        "1.weight": LinearShape(positions=4, fan_in=6, outputs=8, groups=1, inputs=24),
        "4.weight": LinearShape(positions=8, fan_in=4, outputs=5, groups=1, inputs=32),
        "6.weight": LinearShape(positions=1, fan_in=40, outputs=3, groups=1, inputs=40),
    }
    assert (found["0.weight"].results, found["0.weight"].macs) == (96, 96 * 18)
