"""Each specification builds the optimizer that it names, with its settings."""

from typing import Any

import pytest
import torch
from pydantic import TypeAdapter

from trainables.models import build_model
from trainables.optimizers import ASAM, GSAM, RSAM, SAM, EigenSAM, FriendlySAM, LookSAM
from trainables.optimizers.build import base_optimizer, build_optimizer
from trainables.trial.specs import OPTIMIZER_SPECS, OptimizerSpec

MODEL = build_model("digits_cnn_bn", 10, 1)


def build(**fields: Any) -> Any:
    spec: Any = TypeAdapter(OptimizerSpec).validate_python({"learning_rate": 0.1, "weight_decay": 1e-4} | fields)
    return build_optimizer(spec, MODEL)


@pytest.mark.parametrize("name", OPTIMIZER_SPECS)
def test_every_parameter_is_trained_with_the_same_decay(name: str) -> None:
    optimizer = build(name=name)
    groups = base_optimizer(optimizer).param_groups
    assert sum(len(group["params"]) for group in groups) == len(list(MODEL.parameters()))
    assert {(group["lr"], group["weight_decay"]) for group in groups} == {(0.1, 1e-4)}
    assert groups[0]["param_names"] == [name for name, _ in MODEL.named_parameters()]


def test_settings_arrive() -> None:
    assert isinstance(build(name="sgd", momentum=0.5), torch.optim.SGD)
    assert isinstance(build(name="adam"), torch.optim.Adam)
    sam = build(name="sam", rho=0.2, momentum=0.5, bn_second_pass="update")
    assert isinstance(sam, SAM)
    assert (sam.param_groups[0]["rho"], sam.param_groups[0]["momentum"], sam.bn_second_pass) == (0.2, 0.5, "update")
    asam = build(name="asam", eta=0.1)
    assert isinstance(asam, ASAM)
    assert (asam.param_groups[0]["rho"], asam.eta) == (0.5, 0.1)
    eigen = build(name="eigen_sam", alpha=0.3, period=7, power_iterations=2, renormalize=True)
    assert isinstance(eigen, EigenSAM)
    assert (eigen.alpha, eigen.period, eigen.iterations, eigen.renormalize) == (0.3, 7, 2, True)
    look = build(name="look_sam", period=3, alpha=0.5, momentum=0.5)
    assert isinstance(look, LookSAM)
    assert (look.period, look.alpha, look.param_groups[0]["momentum"]) == (3, 0.5, 0.5)
    gap = build(name="gsam", rho=0.2, rho_min=0.1, alpha=0.3)
    assert isinstance(gap, GSAM)
    assert (gap.param_groups[0]["rho"], gap.rho_min, gap.alpha) == (0.2, 0.1, 0.3)
    friendly = build(name="friendly_sam", sigma=0.5, mean_decay=0.9)
    assert isinstance(friendly, FriendlySAM)
    assert (friendly.param_groups[0]["rho"], friendly.sigma, friendly.mean_decay) == (0.1, 0.5, 0.9)
    rsam = build(name="rsam", order=1.1, perturbation="power", max_eps_norm=2.0)
    assert isinstance(rsam, RSAM)
    assert (rsam.order, rsam.perturbation, rsam.max_eps_norm, rsam.warmup_epochs) == (1.1, "power", 2.0, 5)
    by_accuracy = build(name="rsam", plain_until_accuracy=0.3)
    assert (by_accuracy.warmup_accuracy, by_accuracy.warmup_epochs) == (0.3, 0)
