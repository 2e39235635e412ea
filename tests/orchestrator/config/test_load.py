"""Sweep files as `load` reads them: what is accepted, and every mistake with its key and remedy."""

from collections.abc import Callable
from pathlib import Path

import pytest

from analysis.settings import PAPER_ORDERS
from orchestrator.config.expand import expand
from orchestrator.config.load import load, shipped_sweeps
from orchestrator.errors import UsageError

SweepFile = Callable[..., Path]
MEASURES = "measures: [renyi, renyi_gauss_newton, trace, lambda_max, l2]"  # those of the small sweep


def problems(path: Path | str) -> list[str]:
    with pytest.raises(UsageError) as caught:
        load(str(path))
    return list(caught.value.problems)


@pytest.mark.parametrize("name", shipped_sweeps())
def test_every_shipped_sweep_is_valid_and_opens_with_its_command(name: str) -> None:
    config = load(name)
    assert config.name == name
    assert expand(config)
    source = Path(__file__).parents[3] / "orchestrator" / "sweeps" / f"{name}.yaml"
    assert source.read_text().startswith(f"# renyi run {name}\n")


def test_the_digits_sweep_is_the_papers_layout_in_small() -> None:
    config = load("digits")
    assert len(expand(config)) == 30
    assert config.sharpness.orders == PAPER_ORDERS
    assert len(PAPER_ORDERS) == 37


def test_scientific_notation_is_a_number(sweep_file: SweepFile) -> None:
    config = load(str(sweep_file(("[1e-4, 1e-3]", "1e-3"))))
    assert {spec.optimizer.weight_decay for spec in expand(config)} == {0.001}


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("epochs: 2", "epohcs: 2", "training.epohcs: unknown key; did you mean epochs?"),
        ("epochs: 2", "epochs: many", "training.epochs: should be a valid integer"),
        ("epochs: 2", "epochs: 0", "training.epochs: should be greater than 0; got 0"),
        ("name: small", "name: small\nseed: 3", "seed: unknown key; did you mean seeds?"),
        ("name: small", "name: a b", "name: may have letters, digits, `_`"),
        ("dataset: digits", "dataset: digit", "data.dataset: unknown value 'digit'; did you mean digits?"),
        ("digits_cnn", "digit_cnn", "model: unknown model 'digit_cnn'; did you mean digits_cnn?"),
        ("optimizer: sgd", "optimizer: sdg", "grid[0].optimizer: unknown optimizer 'sdg'; did you mean sgd?"),
        ("learning_rate:", "learning_rat:", "grid[0].learning_rat: sgd has no axis 'learning_rat'; did you mean"),
        ("[0.05, 0.1]", "[]", "grid[0].learning_rate: the list is empty"),
        ("[0.05, 0.1]", "[0.1, 0.1]", "grid[0].learning_rate: has the value 0.1 more than once"),
        ("[0.05, 0.1]", "[0.05, fast]", "grid[0].learning_rate[1]: should be a valid number"),
        ("[0.05, 0.1]", "-1", "grid[0].learning_rate: should be greater than 0; got -1"),
        ("    learning_rate: [0.05, 0.1]\n", "", "grid[0]: learning_rate is missing"),
        (", batch_size: 64", "", "grid[0]: batch_size is missing"),
        ("[0.05, 0.1]", "0.1\n    momentum: 1.5", "grid[0].momentum: should be less than 1; got 1.5"),
        (
            "    learning_rate: [0.05, 0.1]",
            "    coupled: {learning_rate: [0.05, 0.1], batch_size: [8]}",
            "grid[0].coupled: lists that move together must have equal length; learning_rate has 2, batch_size has 1",
        ),
        (
            "[0.05, 0.1]",
            "0.1\n    coupled: {learning_rate: [0.05], batch_size: [8]}",
            "grid[0].learning_rate: is given twice, alone and coupled",
        ),
        ("samples: 20", "samples: -20", "sharpness.samples: should be greater than 0; got -20"),
        ("orders: [0.5, 1.5]", "orders: papr", "sharpness.orders: should be a valid tuple"),
        ("orders: [0.5, 1.5]", "orders: [0]", "sharpness.orders[0]: should be greater than 0"),
        (
            MEASURES,
            "measures: [renyi, sam_m]",
            "sharpness.measures[1]: unknown measure 'sam_m'; did you mean sam_n?",
        ),
        (MEASURES, "measures: [l2, l2]", "sharpness.measures: has the measure 'l2' more than once"),
        ("samples: 20", "samples: 20, worst_case: {smam: [1]}", "worst_case.smam: unknown key; did you mean sam?"),
        ("samples: 20", "samples: 20, average: {sigmas: [0]}", "average.sigmas[0]: should be greater than 0; got 0"),
        ("actors: 1", "actors: 0", "pool.actors: should be auto, or a whole number greater than 0; got 0"),
        ("actors: 1", "actors: -2", "pool.actors: should be auto, or a whole number greater than 0; got -2"),
        ("actors: 1", "actors: 1.5", "pool.actors: should be auto, or a whole number greater than 0; got 1.5"),
        ("actors: 1", "actors: .inf", "pool.actors: should be auto, or a whole number greater than 0; got inf"),
        ("actors: 1", "actors: yes", "pool.actors: should be auto, or a whole number greater than 0; got 'yes'"),
        ("actors: 1", "actors: many", "pool.actors: should be auto, or a whole number greater than 0; got 'many'"),
        ("cpus: 0.75", "cpus: 1, gpus: 1.5", "trial.gpus: should be a whole number, or less than 1"),
        ("name: small", "name: small\nseeds: [1, 1]", "seeds: has the same seed more than once"),
        (
            "name: small",
            "name: small\nshifts: [blur_1, nois_3]",
            "shifts[1]: unknown shift 'nois_3'; did you mean noise_3?",
        ),
        ("name: small", "name: small\nshifts: [blur_6]", "shifts[0]: unknown shift 'blur_6'; did you mean blur_"),
        ("name: small", "name: small\nshifts: [blur_1, blur_1]", "shifts: has blur_1 more than once; keep one"),
        ("name: small", "name: small\nshifts: blur_1", "shifts: should be a valid tuple; got 'blur_1'"),
        ("name: small", "name: small\nstorage: s3://bucket/x", "tracking is missing"),
        ("epochs: 2", "epochs: 2, warmup_epochs: 2", "grid[0]: warmup_epochs (2) must be less than epochs (2)"),
    ],
)
def test_each_mistake_is_named_with_its_key_and_remedy(
    sweep_file: SweepFile, old: str, new: str, expected: str
) -> None:
    path = sweep_file((old, new))
    (problem,) = problems(path)
    assert problem.startswith(f"{path}: ")
    assert expected in problem


def test_all_mistakes_are_reported_at_once(sweep_file: SweepFile) -> None:
    path = sweep_file(("epochs: 2", "epochs: x"), ("optimizer: sgd", "optimizer: sdg"), ("samples: 20", "sample: 20"))
    found = problems(path)
    assert len(found) == 3
    assert {problem.split(": ")[1] for problem in found} == {"training.epochs", "grid[0].optimizer", "sharpness.sample"}


def test_contradictions_of_a_combination_are_all_reported(sweep_file: SweepFile) -> None:
    axes = (
        "0.1\n    momentum: [0, 0.9]\n    nesterov: [false, true]\n    mixup: [null, 0.2]\n    milestones: [null, [1]]"
    )
    path = sweep_file(("[0.05, 0.1]", axes), ("epochs: 2", "epochs: 2, target_train_loss: 0.1, flip: false"))
    assert {problem.removeprefix(f"{path}: grid[0]: ").partition(":")[0] for problem in problems(path)} == {
        "nesterov",
        "target_train_loss and mixup exclude each other",
        "flip has no effect without augment",
        "milestones has no effect without schedule",
    }


def test_schedules_may_be_compared(sweep_file: SweepFile) -> None:
    coupled = "{schedule: [cosine, multi_step], milestones: [null, [1]]}"
    path = sweep_file(("[0.05, 0.1]", f"0.1\n    coupled: {coupled}\n    mixup: [null, 0.2]"))
    found = {
        (spec.training.schedule, spec.training.milestones, spec.training.mixup) for spec in expand(load(str(path)))
    }
    assert found == {
        (*schedule, mixup) for schedule in (("cosine", None), ("multi_step", (1,))) for mixup in (None, 0.2)
    }


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("", "is empty"),
        ("# only a comment\n", "is empty"),
        ("- a\n- b\n", "must be a mapping"),
        ("a: [1, 2", "not valid YAML"),
        ("name: a\nname: b\n", "the key 'name' is given twice"),
        ("name: a\n", "grid: is missing"),
        ("name: a\ngrid: 3\n", "grid: must be a list"),
        ("name: a\ngrid: [3]\n", "grid[0]: must be a mapping"),
    ],
)
def test_files_that_are_no_sweep(tmp_path: Path, content: str, expected: str) -> None:
    path = tmp_path / "sweep.yaml"
    path.write_text(content)
    assert any(expected in problem for problem in problems(path))


def test_a_binary_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "sweep.yaml"
    path.write_bytes(b"\xff\xfe\x00")
    assert "not a YAML text file" in problems(path)[0]


def test_a_missing_file_names_the_nearest_shipped_sweep(tmp_path: Path) -> None:
    assert "did you mean digits?" in problems("digit")[0]
    assert "is a folder" in problems(tmp_path)[0]
