"""`renyi measure` on weights from elsewhere, and on what it can't measure; trials are measured in tests/end_to_end."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from typer.testing import CliRunner

from orchestrator.cli import app
from renyi import measure
from tests.trainables.training.test_weights import write_safetensors

runner = CliRunner()
MODULE = """
from torch import nn

def build():
    return nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))

def loss(outputs, targets):
    return (outputs[:, 0] - targets).abs()

def number():
    return 3
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's folder: a module, weights in both formats, samples."""
    torch.manual_seed(0)
    (tmp_path / "users_own_net.py").write_text(MODULE)
    state = network().state_dict()
    torch.save(state, tmp_path / "net.pt")
    write_safetensors(tmp_path / "net.safetensors", state)
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "samples.npz", inputs=rng.normal(size=(20, 3)), targets=rng.integers(0, 2, 20))
    np.savez(tmp_path / "numbers.npz", inputs=rng.normal(size=(20, 3)), targets=rng.normal(size=(20, 2)))
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))


@pytest.mark.parametrize("file", ["net.pt", "net.safetensors"])
def test_weights_of_a_users_own_network(folder: Path, file: str) -> None:
    words = ["measure", file, "--model", "users_own_net:build", "--data", "samples.npz", "--measures", "trace,l2"]
    result = runner.invoke(app, words, env={"COLUMNS": "200"})
    assert result.exit_code == 0, result.output
    samples = np.load(folder / "samples.npz")
    for row in measure(network(), samples["inputs"], samples["targets"], measures=["trace", "l2"]):
        assert f"{row.value:.6g}" in result.output


@pytest.mark.parametrize(("loss", "data"), [("mse", "numbers.npz"), ("users_own_net:loss", "samples.npz")])
def test_other_losses_have_no_accuracy_and_say_so(folder: Path, loss: str, data: str) -> None:
    words = ["measure", "net.pt", "--model", "users_own_net.build", "--data", data, "--loss", loss]
    result = runner.invoke(app, [*words, "--measures", "trace,pacbayes_flat"])
    assert result.exit_code == 0, result.output
    assert "no accuracy" in result.output


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["missing.pt"], "missing.pt: no such file"),
        (["net.pt", "--orders", "x"], "--orders: 'x' is not a list of numbers"),
        (["net.pt", "--samples", "0"], "--samples: should be greater than 0; got 0"),
        (["net.pt", "--measures", "trac"], "--measures: unknown measure 'trac'; did you mean trace"),
        (
            ["net.pt"],
            "net.pt: holds the weights 0.weight, 0.bias, 2.weight, …, but is no checkpoint of a trial; say how",
        ),
        (["net.safetensors"], "--model my_module:build --data samples.npz"),
        (["damaged.pt"], "damaged.pt is not a readable checkpoint"),
        (["net.pt", "--model", "users_own_net:build"], "--data: is needed with --model"),
        (["net.pt", "--data", "samples.npz"], "--model: is needed with --data"),
        (["net.pt", "--model", "build", "--data", "samples.npz"], "'build' is not of the form my_module:name"),
        (["net.pt", "--model", "no_such:build", "--data", "samples.npz"], "no_such:build can't be imported"),
        (["net.pt", "--model", "users_own_net:number", "--data", "samples.npz"], "it returned int"),
        (["net.pt", "--model", "users_own_net:loss", "--data", "samples.npz"], "callable without arguments"),
        (
            ["net.pt", "--model", "users_own_net:build", "--data", "samples.csv"],
            "neither an .npz archive nor a Parquet",
        ),
        (["net.pt", "--model", "users_own_net:build", "--data", "x.parquet"], "there is no such file"),
        (["net.pt", "--loss", "hinge"], "'hinge' is not of the form my_module:name, nor one of cross_entropy"),
    ],
)
def test_what_it_cannot_measure_is_refused(folder: Path, words: list[str], expected: str) -> None:
    (folder / "damaged.pt").write_bytes(b"damaged")
    result = runner.invoke(app, ["measure", *words], env={"COLUMNS": "250"})
    assert result.exit_code == 2, result.output
    assert expected in " ".join(result.output.split())


def test_the_help_shows_no_broken_path() -> None:
    text = runner.invoke(app, ["measure", "--help"], env={"COLUMNS": "250"}).output
    assert "//" not in text
    assert "safetensors" in text
