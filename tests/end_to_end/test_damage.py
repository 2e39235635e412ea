"""Damage at rest in a real sweep: named by the commands, never used, and made again with the same results."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import torch
from typer.testing import CliRunner, Result

from orchestrator.cli import app
from orchestrator.config.load import load
from orchestrator.store.plan import make_plan
from orchestrator.store.results import stored_sweep
from trainables.errors import DamagedError
from trainables.trial.folder import CODE_FILE, FAILED_FILE, LAST_CHECKPOINT, TRAINED_FILE
from trainables.trial.manifest import MANIFEST_FILE

SweepFile = Callable[..., Path]


def renyi(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def results(path: Path) -> pd.DataFrame:
    return stored_sweep(make_plan(load(str(path)))).table


def test_what_is_damaged_is_named_and_made_again_and_the_report_is_the_same(storage: Path, finished: Path) -> None:
    assert renyi("verify", finished).exit_code == 0
    before, report = results(finished), (storage / "small" / "report" / "tau.csv").read_bytes()
    first, second, third, fourth = sorted((storage / "small" / "trials").iterdir())
    damaged = [
        first / LAST_CHECKPOINT,
        second / TRAINED_FILE,
        next(third.rglob("measurements.parquet")),
        storage / "small" / "report" / "tau.csv",
        storage / "small" / "layout.json",
    ]
    untouched = {file: file.read_bytes() for file in fourth.rglob("*") if file.is_file()}
    measured = next(first.rglob("measured.json")).read_bytes()
    for path in damaged:
        flip(path)
    found = renyi("verify", finished)
    assert found.exit_code == 1
    for path in damaged:
        assert f"{path} is damaged: " in found.output
    assert "renyi verify" in found.output
    with pytest.raises(DamagedError):
        results(finished)

    mended = renyi("verify", finished, "--repair", "--executor", "inline")
    assert mended.exit_code == 0, mended.output
    assert "2 trained, 3 measured; 4 trials in all" in mended.output
    assert renyi("verify", finished).exit_code == 0
    pd.testing.assert_frame_equal(results(finished), before)
    assert (storage / "small" / "report" / "tau.csv").read_bytes() == report
    assert {file: file.read_bytes() for file in untouched} == untouched
    assert next(first.rglob("measured.json")).read_bytes() == measured  # the same weights: no need to measure again


def test_a_folder_is_checked_and_cleared_without_a_sweep_file(storage: Path, finished: Path) -> None:
    flip(next(storage.rglob("spectra.parquet")))
    assert renyi("verify", storage).exit_code == 1
    assert renyi("verify", storage / "small", "--fast").exit_code == 1
    assert renyi("verify", storage / "small", "--repair").exit_code == 0
    assert "1 trained" in renyi("status", finished).output
    assert renyi("verify", storage / "small" / "trials").exit_code == 2


def test_retry_gets_rid_of_what_made_a_trial_fail(storage: Path, finished: Path, sweep_file: SweepFile) -> None:
    other = sweep_file(("samples: 20", "samples: 21"))
    trial = next((storage / "small" / "trials").iterdir())
    flip(trial / LAST_CHECKPOINT)
    assert renyi("remeasure", other, "--executor", "inline").exit_code == 1
    assert f"{LAST_CHECKPOINT} is damaged: expected SHA-256" in renyi("status", other).output
    flip(next(trial.rglob(FAILED_FILE)))  # and the reason, too
    assert "failed.json is damaged" in renyi("status", other).output
    result = renyi("retry", other, "--executor", "inline")
    assert result.exit_code == 0, result.output
    assert "removed, and made again" in result.output


def test_an_interrupted_trial_with_a_damaged_checkpoint_starts_again_and_says_so(storage: Path, finished: Path) -> None:
    trial, another = sorted((storage / "small" / "trials").iterdir())[:2]
    weights = torch.load(trial / LAST_CHECKPOINT)["model"]
    for name in (TRAINED_FILE, MANIFEST_FILE):
        (trial / name).unlink()
    (trial / LAST_CHECKPOINT).write_bytes((another / LAST_CHECKPOINT).read_bytes())
    result = renyi("run", finished, "--executor", "inline")
    assert result.exit_code == 0, result.output
    assert f"{trial / LAST_CHECKPOINT} is damaged: expected a checkpoint of trial {trial.name}" in result.output
    again = torch.load(trial / LAST_CHECKPOINT)["model"]
    assert all(torch.equal(again[name], weights[name]) for name in weights)


def test_damaged_code_is_named_by_every_command_that_would_use_it(storage: Path, finished: Path) -> None:
    code = min((storage / "small" / "trials").iterdir()) / CODE_FILE
    sound = code.read_bytes()
    for data in (sound[: len(sound) // 2], b"[]", None):
        code.unlink() if data is None else code.write_bytes(data)
        for words in (("plan",), ("report", "--source", "store"), ("run", "--executor", "inline")):
            result = renyi(words[0], finished, *words[1:])
            assert result.exit_code == 2, (words, result.output)
            assert f"{code} is damaged: " in result.output
            assert "--repair` removes what is damaged" in result.output
        assert renyi("status", finished).exit_code == 0
        assert f"{code} is damaged: " in renyi("verify", finished).output
    mended = renyi("verify", finished, "--repair", "--executor", "inline")
    assert "1 trained, 1 measured; 4 trials in all" in mended.output
    assert code.read_bytes() == sound
