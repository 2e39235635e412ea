"""A sweep on images of one's own: Parquet files, augmented, with every optimizer; then moved, and missing."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from analysis.results.mlflow import load_results
from orchestrator.cli import app
from orchestrator.config.load import load
from orchestrator.errors import UsageError
from tests.conftest import ONE_LAYER
from tests.trainables.data.images import draw, encode, write_parquet

SweepFile = Callable[..., Path]

GRID = """\
  - {optimizer: sgd, learning_rate: 0.05}
  - {optimizer: adam, learning_rate: 0.002}
  - {optimizer: sam, rho: 0.05, learning_rate: 0.05}
  - {optimizer: asam, rho: 0.5, learning_rate: 0.05}
  - {optimizer: eigen_sam, period: 1, learning_rate: 0.05}
  - {optimizer: rsam, plain_epochs: 1, order: [1.1, 1.2], learning_rate: 0.05}
"""


def run(path: Path) -> Result:
    return CliRunner().invoke(app, ["run", str(path), "--executor", "inline"], catch_exceptions=False)


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """64 training and 32 test images of 8×8 pixels in the layout of the hub."""
    folder = tmp_path / "animals"
    encoded = [encode(pixels) for pixels in draw(96, size=8)]
    labels = [k % 4 for k in range(96)]
    write_parquet(folder / "train-0.parquet", encoded[:40], labels[:40], columns=("img", "label"))
    write_parquet(folder / "train-1.parquet", encoded[40:64], labels[40:64], columns=("img", "label"))
    write_parquet(folder / "test.parquet", encoded[64:], labels[64:], columns=("img", "label"))
    return folder


def sweep_on(images: Path, sweep_file: SweepFile, orders: str = "[0.5, 1.5]", name: str = "sweep.yaml") -> Path:
    old_grid = "  - optimizer: sgd\n    learning_rate: [0.05, 0.1]\n    weight_decay: [1e-4, 1e-3]\n"
    data = f"{{dataset: parquet, train: {images}/train-*.parquet, test: {images}/test.parquet, image: img}}"
    return sweep_file(
        ("{dataset: digits}", data),
        ("batch_size: 64}", "batch_size: 24, augment: true, crop_padding: 1, precision: bfloat16}"),
        (old_grid, GRID),
        ONE_LAYER,
        ("[0.5, 1.5]", orders),
        name=name,
    )


def test_every_optimizer_trains_and_is_measured_and_data_may_move(
    storage: Path, sweep_file: SweepFile, images: Path
) -> None:
    path = sweep_on(images, sweep_file)
    result = run(path)
    assert result.exit_code == 0, result.output
    assert "7 trained, 7 measured; 7 trials in all" in result.output
    config = load(str(path))
    results = load_results(config.tracking_uri, config.name)
    assert set(results["optimizer"]) == {"sgd", "adam", "sam", "asam", "eigen_sam", "rsam"}
    assert set(results["dataset"]) == {"animals"}

    moved = images.parent / "elsewhere" / "animals"
    shutil.copytree(images, moved)
    shutil.rmtree(images)
    again = run(sweep_on(moved, sweep_file, orders="[0.5, 2.0]", name="moved.yaml"))
    assert "0 trained, 7 measured; 7 trials in all" in again.output


def test_missing_data_is_one_error_with_its_remedy(storage: Path, sweep_file: SweepFile, images: Path) -> None:
    path = sweep_on(images, sweep_file)
    (images / "test.parquet").unlink()
    result = run(path)
    assert result.exit_code == 2
    assert "test.parquet: there is no such file; correct the path" in result.output
    assert not list(storage.rglob("failed.json"))


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("{dataset: digits}", "{dataset: parquet, train: a.parquet}", "data: parquet needs test"),
        ("{dataset: digits}", "{dataset: cifar10, rot: x}", "data.rot: unknown key; did you mean root?"),
        ("optimizer: sgd", "optimizer: rsam\n    order: 1", "grid[0].order: must not be 1"),
        ("optimizer: sgd", "optimizer: sam\n    roh: 1", "grid[0].roh: sam has no axis 'roh'; did you mean rho?"),
        ("epochs: 2", "epochs: 2, precision: float8", "training.precision: unknown value 'float8'; did you mean float"),
        ("epochs: 2", "epochs: 2, flip: false", "grid[0]: flip has no effect without augment: true"),
    ],
)
def test_each_mistake_is_named_with_its_place_and_remedy(
    sweep_file: SweepFile, old: str, new: str, expected: str
) -> None:
    path = sweep_file((old, new))
    with pytest.raises(UsageError) as caught:
        load(str(path))
    assert any(expected in problem for problem in caught.value.problems), caught.value.problems
