"""The shipped grids are those of the paper: its correlation studies, and its Tables 4 to 6."""

from collections import Counter

import pytest

from orchestrator.config.expand import expand
from orchestrator.config.load import load, shipped_sweeps
from orchestrator.store.plan import make_plan
from trainables.catalogue import size_of
from trainables.trial.specs import RSAMSpec, SGDSpec, TrialSpec

TASKS = {
    "cifar10-resnet18": 5,
    "cifar10-resnet34": 5,
    "cifar10-simple_vit": 5,
    "cifar100-resnet18": 5,
    "cifar100-resnet34": 5,
    "tiny_imagenet-resnet18": 6,  # weight decays
}
METHODS = ("sgd", "sam", "asam", "eigen_sam", "rsam")
TABLE_1 = ("table1-cifar10", "table1-cifar100", "table1-tiny_imagenet")


def rates(specs: list[TrialSpec], optimizer: str) -> set[float]:
    return {spec.optimizer.learning_rate for spec in specs if spec.optimizer.name == optimizer}


@pytest.mark.parametrize(("task", "weight_decays"), TASKS.items())
def test_correlation_grids(task: str, weight_decays: int) -> None:
    for suffix, pairs in (("", 3), ("-exact", 3), ("-product", 9), ("-product-exact", 9)):
        specs = expand(load(task + suffix))
        assert len(specs) == 2 * pairs * weight_decays
        assert {spec.training.batch_size for spec in specs} == {128, 384, 1280}
        exact = suffix.endswith("exact")
        assert rates(specs, "sgd") == {0.01 if exact else 0.001, 0.03, 0.1}
        assert rates(specs, "adam") == {1e-4 if exact else 1e-5, 3e-4, 1e-3}
        assert {(spec.training.epochs, spec.training.warmup_epochs) for spec in specs} == {(200, 10)}
        assert {spec.optimizer.momentum for spec in specs if isinstance(spec.optimizer, SGDSpec)} == {0.9}


@pytest.mark.parametrize("task", TASKS)
def test_exactly_linear_rates_keep_the_rate_per_image_constant(task: str) -> None:
    for optimizer in ("sgd", "adam"):
        specs = [spec for spec in expand(load(f"{task}-exact")) if spec.optimizer.name == optimizer]
        ratios = [spec.optimizer.learning_rate / spec.training.batch_size for spec in specs]
        assert ratios == pytest.approx([ratios[0]] * len(ratios))


def test_table_1_has_34_cells_of_5_seeds() -> None:
    specs = [spec for name in TABLE_1 for spec in expand(load(name))]
    assert len({spec.trial_id for spec in specs}) == 170
    cells = {(spec.data.dataset, spec.model, spec.optimizer.name) for spec in specs}
    assert len(cells) == 34
    assert ("tiny_imagenet", "resnet50_tiny", "eigen_sam") not in cells
    assert {spec.training.batch_size for spec in specs} == {128}
    settings = {
        (spec.data.dataset, spec.model): (spec.optimizer.rho, spec.optimizer.order)
        for spec in specs
        if isinstance(spec.optimizer, RSAMSpec)
    }
    assert settings == {
        ("cifar10", "resnet20"): (0.65, 1.2),
        ("cifar10", "resnet56"): (0.8, 1.2),
        ("cifar10", "wide_resnet28_10"): (0.76, 1.1),
        ("cifar100", "resnet20"): (0.76, 1.1),
        ("cifar100", "resnet56"): (0.9, 1.1),
        ("cifar100", "wide_resnet28_10"): (1.0, 1.1),
        ("tiny_imagenet", "resnet50_tiny"): (1.25, 1.1),
    }


def test_every_method_is_tuned_equally_on_digits() -> None:
    specs = expand(load("optimizers-digits"))
    assert len({spec.trial_id for spec in specs}) == 100
    assert Counter(spec.optimizer.name for spec in specs) == dict.fromkeys(METHODS, 20)
    assert {spec.seed for spec in specs} == set(range(5))
    assert {spec.data.validation for spec in specs} == {500}


@pytest.mark.parametrize("name", shipped_sweeps())
def test_every_shipped_sweep_has_a_plan_with_its_cost(name: str, tmp_path: object) -> None:
    plan = make_plan(load(name, storage=str(tmp_path)))
    assert plan.cost is not None
    assert plan.cost.train_seconds > 0
    assert all(size_of(spec.model, spec.data.dataset) for spec in plan.specs)
