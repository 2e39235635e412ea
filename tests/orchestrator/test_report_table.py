"""`renyi report --table`, as a user types it."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from orchestrator.cli import app
from tests.analysis.report.test_judge import models

pytestmark = pytest.mark.usefixtures("one_kind_of_picture")


@pytest.fixture
def table(tmp_path: Path) -> Path:
    file = tmp_path / "models.csv"
    models(2).to_csv(file, index=False)
    return file


def report(*words: str | Path) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["report", *map(str, words)])
    return result.exit_code, result.output


def test_a_table_gets_a_verdict_and_a_page_beside_it(table: Path) -> None:
    code, output = report(
        "--table", table, "--axes", "lr,wd,optimizer", "--gap", "gap", "--training-loss", "ce", "--flip", "flat"
    )
    assert code == 0
    assert "36 models, of 18 configurations" in output
    page = (table.parent / "models-report" / "report.html").read_text()
    assert f"renyi report --table {table} --axes lr,wd,optimizer --flip flat --gap gap --training-loss ce" in page


def test_parquet_and_a_folder_of_one_s_own(table: Path, tmp_path: Path) -> None:
    file = tmp_path / "models.parquet"
    models().to_parquet(file)
    code, _ = report(
        "--table",
        file,
        "--axes",
        "lr",
        "--axes",
        "wd",
        "--gap",
        "gap",
        "--measures",
        "sharp",
        "--output",
        tmp_path / "out",
    )
    assert code == 0
    assert (tmp_path / "out" / "report.html").exists()


def test_every_problem_of_a_table_ends_the_command_at_once(table: Path) -> None:
    code, output = report("--table", table, "--axes", "lrr,wd", "--gap", "optimizer", "--measures", "sharp,nope")
    assert code == 2
    assert len(output.splitlines()) == 3
    assert all(line.startswith(str(table)) for line in output.splitlines())


@pytest.mark.parametrize(
    ("words", "problems"),
    [
        ([], 1),
        (["digits", "--axes", "lr", "--flip", "b"], 2),
        (["digits", "--table", "models.csv", "--storage", "x"], 2),
        (["--table", "models.csv", "--cluster", "c.yaml"], 1),
        (["--output", "x"], 1),
        (["--sample", "20"], 2),
        (["--table", "models.csv", "--trust"], 1),
    ],
)
def test_options_that_do_not_fit_together_are_refused(words: list[str], problems: int) -> None:
    code, output = report(*words)
    assert code == 2
    assert len(output.splitlines()) == problems


def test_a_folder_that_can_t_be_made_is_said(table: Path, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    code, output = report(
        "--table", table, "--axes", "lr", "--gap", "gap", "--measures", "sharp", "--output", tmp_path / "taken"
    )
    assert code == 2
    assert "can't be written" in output
