"""What a rehearsal must find, a line each; one that passed is not repeated until something changes."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from orchestrator import rehearsal as module
from orchestrator.config.expand import expand
from orchestrator.config.load import load
from orchestrator.errors import UsageError
from orchestrator.rehearsal import _has_passed, problems_here, rehearsal_of, rehearse
from trainables.data.dataset import Dataset, Split
from trainables.training.rehearsal import _label_problems
from trainables.trial.folder import write_json
from trainables.trial.storage import LocalFolder

HERE = "tests.orchestrator.odd_networks"
SweepFile = Callable[..., Path]
pytestmark = pytest.mark.usefixtures("young_heap")
MEASURES = "measures: [renyi, renyi_gauss_newton, trace, lambda_max, l2]"


@pytest.fixture
def found(storage: Path, sweep_file: SweepFile) -> Callable[..., list[str]]:
    """The problems of the small sweep with parts of its text replaced."""

    def of(*replacements: tuple[str, str]) -> list[str]:
        config = load(str(sweep_file(*replacements)))
        return problems_here(rehearsal_of(config, expand(config)))

    return of


def with_model(name: str) -> tuple[str, str]:
    return "model: digits_cnn", f"model: {HERE}.{name}"


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("seven", "it returns (8, 7); training needs a tensor of logits, (8, 10) for 8 images of 10 classes"),
        ("thousand", "it returns (8, 1000); training needs a tensor of logits, (8, 10)"),
        ("per_pixel", "it returns (8, 10, 6, 6); training needs a tensor of logits, (8, 10)"),
        ("lazy", "its 1.weight, 1.bias have no size before the first batch (lazy layers); give their sizes"),
        ("returns_tuple", "it returns tuple; training needs a tensor of logits"),
        ("returns_dict", "it returns dict; training needs a tensor of logits"),
        ("auxiliary_head", "it returns tuple; training needs a tensor of logits"),
        ("for_224_pixels", "fails on 8 images of 1×8×8 in training mode: RuntimeError: "),
        ("dated", "it holds a datetime.date; keep numbers, strings, lists, dicts and tensors"),
        ("late_buffer", 'Unexpected key(s) in state_dict: "scale".; make every parameter and buffer in __init__'),
        ("not_a_number", "the loss of its first batch is nan, before any step"),
        ("frozen", "it has nothing to train"),
        ("no_module", "must return a torch.nn.Module; it returned str"),
        ("one_argument", "it can't be built: TypeError: one_argument() takes 1 positional argument but 2 were given"),
        ("leaves", "its process ended itself with exit code 3; last output: no weights at /data"),
        (
            "gives_up",
            "it can't be built: SystemExit: no weights at /data (" + __file__.replace("test_rehearsal", "odd_networks"),
        ),
        ("interrupts", "it can't be built: KeyboardInterrupt: stopped by a hook"),
        ("NETWORK", "must be callable with (num_classes, in_channels); it is 3"),
        ("sevn", f"has no 'sevn'; did you mean {HERE}.seven?"),
    ],
)
def test_what_is_wrong_with_a_network_is_one_line(found: Callable[..., list[str]], model: str, expected: str) -> None:
    (problem,) = found(with_model(model))
    assert problem.startswith(f"model '{HERE}.{model}'")
    assert expected in problem
    assert "\n" not in problem


def test_a_network_that_hangs_is_one_line_with_its_place(found: Callable[..., list[str]]) -> None:
    (problem,) = found(with_model("hangs"), ("batch_size: 64", "batch_size: 64, silence_limit: 0.2s"))
    assert "no sign of life for 0.2 s (training.silence_limit), in " in problem
    assert "odd_networks.py, line" in problem


@pytest.mark.parametrize("model", ["nowhere.to.be.found", f"{HERE}.plain.inner"])
def test_a_path_that_leads_nowhere_is_one_line(found: Callable[..., list[str]], model: str) -> None:
    (problem,) = found(("model: digits_cnn", f"model: {model}"))
    assert problem.startswith(f"model {model!r} can't be imported: ")


@pytest.mark.parametrize(("size", "count"), [(999, 1), (37, 1), (333, 1), (64, 0), (1000, 0)])
def test_a_last_batch_of_one_is_found_where_it_fails(found: Callable[..., list[str]], size: int, count: int) -> None:
    sizes = ("epochs: 2, batch_size: 64", f"epochs: 2, batch_size: {size}")
    problems = found(with_model("batch_norm"), sizes)
    assert (
        len([each for each in problems if f"training.batch_size {size}: the last batch of the 1000" in each]) == count
    )
    assert not found(with_model("plain"), sizes)
    assert not found(with_model("batch_norm"), (sizes[0], f"{sizes[1]}, drop_last: true"))


def test_all_problems_come_at_once(found: Callable[..., list[str]]) -> None:
    grid = f"    model: [digits_cnn, {HERE}.seven, {HERE}.missing, {HERE}.leaves, {HERE}.lazy]\n    learning_rate"
    problems = found(("    learning_rate", grid), (MEASURES, f"measures: [l2, {HERE}.mesure]"))
    parts = ("mesure", "missing", "(8, 7)", "exit code 3", "lazy layers")
    assert [part in line for part, line in zip(parts, problems, strict=True)] == [True] * 5


def test_unknown_layers_are_found(found: Callable[..., list[str]]) -> None:
    (problem,) = found(("samples: 20", "samples: 20, layers: [clasifier.weight]"))
    assert "sharpness.layers: the model has no layer 'clasifier.weight'; nearest names: classifier.weight" in problem


@pytest.mark.parametrize(
    "optimizer",
    ["sgd", "adam", "sam", "asam", "eigen_sam", "rsam", "look_sam", "gsam", "friendly_sam"],
)
def test_what_is_right_passes_with_every_optimizer_even_where_it_will_diverge(
    found: Callable[..., list[str]], optimizer: str
) -> None:
    assert found(("optimizer: sgd", f"optimizer: {optimizer}"), ("[0.05, 0.1]", "[1e6]"), ("[1e-4, 1e-3]", "[0]")) == []


@pytest.mark.parametrize(
    ("train", "test", "expected"),
    [
        ([0, 1, 2], [0], []),
        ([0, 2, 2], [0], ["data x: no training image has class 1 of 3; renumber the classes"]),
        ([0, 1, 3], [0], ["data x: training labels go from 0 to 3; with 3 classes they must be 0 to 2"]),
        ([0, 1, 2], [-1], ["data x: test labels go from -1 to -1; with 3 classes they must be 0 to 2"]),
    ],
)
def test_labels_are_checked(train: list[int], test: list[int], expected: list[str]) -> None:
    splits = [Split(torch.zeros(len(each), 1, 2, 2, dtype=torch.uint8), torch.tensor(each)) for each in (train, test)]
    assert list(_label_problems("x", Dataset(splits[0], splits[1], 3, None))) == expected  # type: ignore[arg-type]


def test_one_that_passed_is_not_repeated_until_code_or_settings_change(
    storage: Path, sweep_file: SweepFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    own = tmp_path / "network_of_mine.py"
    own.write_text("from part_of_mine import plain\n")
    (tmp_path / "part_of_mine.py").write_text(f"from {HERE} import plain\n")
    said: list[str] = []

    def again(*replacements: tuple[str, str]) -> bool:
        config = load(str(sweep_file(("digits_cnn", "network_of_mine.plain"), *replacements)))
        before = len(said)
        rehearse(rehearsal_of(config, expand(config)), said.append)
        return len(said) > before

    assert again()
    assert not again()
    assert not again(("resources:", f"storage: {storage}\nresources:"))
    assert again(("batch_size: 64", "batch_size: 32"))
    (tmp_path / "part_of_mine.py").write_text(f"from {HERE} import plain  # changed\n")
    assert again()
    assert not again()
    (tmp_path / "part_of_mine.py").write_text(f"from {HERE} import seven as plain\n")
    with pytest.raises(UsageError, match=r"it returns \(8, 7\).*\n`renyi run --no-rehearsal` starts all the same"):
        again()
    with pytest.raises(UsageError):
        again()
    monkeypatch.setattr(module, "machine", lambda: ["another"])
    (tmp_path / "part_of_mine.py").write_text(f"from {HERE} import plain\n")
    assert again()


def test_a_record_that_is_not_what_was_written_is_none(tmp_path: Path) -> None:
    folder = LocalFolder(tmp_path)
    write_json(folder, "a.json", {})
    assert _has_passed(folder, "a.json")
    sealed = folder.read("a.json")
    for name, data in (("b.json", sealed), ("a.json", sealed[:-1]), ("a.json", b"[]"), ("a.json", b"")):
        folder.write(name, data)
        assert not _has_passed(folder, name)
