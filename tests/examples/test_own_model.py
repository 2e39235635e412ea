"""The example of a sweep with a network of one's own runs from any folder, and notices that its code has changed."""

import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from analysis.dotted import PATH_VARIABLE
from orchestrator.cli import app
from orchestrator.config.load import load
from orchestrator.exit_codes import ExitCode
from orchestrator.store.plan import make_plan
from tests.examples.test_scripts import FOLDER


def renyi(*words: object) -> Result:
    return CliRunner().invoke(app, [*map(str, words)], catch_exceptions=False)


@pytest.fixture
def example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The two files in a folder of their own, with a smaller grid."""
    folder = tmp_path / "somebody" / "own_model"
    shutil.copytree(FOLDER / "own_model", folder, ignore=shutil.ignore_patterns("__pycache__"))
    text = (folder / "sweep.yaml").read_text()
    for old, new in (
        ("epochs: 3", "epochs: 1"),
        ("samples: 100", "samples: 10"),
        ("renyi, trace, lambda_max, l2", "l2"),
    ):
        assert old in text
        text = text.replace(old, new)
    (folder / "sweep.yaml").write_text(text)
    monkeypatch.setenv(PATH_VARIABLE, "")
    return folder / "sweep.yaml"


@pytest.mark.usefixtures("storage_with_database", "one_kind_of_picture")
def test_it_runs_from_any_folder_and_changed_code_is_not_mixed_silently(
    example: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    result = renyi("run", example, "--executor", "inline", "--limit", 1)
    assert result.exit_code == 0, result.output
    assert "1 trained, 1 measured" in result.output

    module = example.with_name("small_net.py")
    module.write_text(module.read_text().replace("torch.tanh(self.hidden", "torch.relu(self.hidden"))
    shown = renyi("plan", example)
    assert shown.exit_code == 0
    assert "small_net.SmallNet: trials made with other code than is here now: 1 (changed: small_net)" in shown.output
    refused = renyi("run", example, "--executor", "inline")
    assert refused.exit_code == ExitCode.BAD_INPUT
    assert "other code than is here now: 1 (changed: small_net)" in refused.output
    assert "--accept-changed-code mixes both" in refused.output
    assert "identity: code" in refused.output

    example.write_text(example.read_text() + "identity: code\n")
    plan = make_plan(load(str(example)))
    assert set(plan.states.values()) == {"pending"}
