"""Every script in `examples/` runs without a network, says what it should, and draws its picture."""

import re
import runpy
import socket
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "examples"
SAYS = {
    "torchvision_spectrum": r"layer1\.0\.conv1\.weight +3\.686e\+04 .*gauss_newton_factor\n",
    "gpt2_text": r"with a loss of [01]\.\d\d nats a letter\n",  # from log 25 = 3.2
    "rsam_loop": r"epoch 6, loss 0\.\d+, 0\.weight/entropy_2 \d",
    "rsam_lightning": r"after epoch 4\n",
    "rsam_trainer": r"after epoch 6\n",
    "regression": r"squared error 0\.[34]\d\d of a variance of 1\n",
}
DRAW = ("torchvision_spectrum", "gpt2_text", "rsam_loop", "regression")


def test_every_script_is_here() -> None:
    assert {path.stem for path in FOLDER.glob("*.py")} == set(SAYS)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", SAYS)
def test_a_script_runs(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("an example must not use the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [f"{name}.py", *(["picture.png"] if name in DRAW else [])])
    runpy.run_path(str(FOLDER / f"{name}.py"), run_name="__main__")
    assert re.search(SAYS[name], capsys.readouterr().out)
    assert [path.name for path in tmp_path.iterdir()] == (["picture.png"] if name in DRAW else [])
