"""`renyi measure` on what it can't measure; real checkpoints are measured in tests/end_to_end."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from orchestrator.cli import app

runner = CliRunner()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["missing.pt"], "missing.pt: no such file"),
        (["FILE", "--orders", "x"], "--orders: 'x' is not a list of numbers"),
        (["FILE", "--samples", "0"], "--samples: should be greater than 0; got 0"),
        (["FILE"], "FILE is not a readable checkpoint"),
    ],
)
def test_measure_refuses_what_it_cannot_read(tmp_path: Path, arguments: list[str], expected: str) -> None:
    damaged = tmp_path / "last.pt"
    damaged.write_bytes(b"damaged")
    result = runner.invoke(app, ["measure", *(word.replace("FILE", str(damaged)) for word in arguments)])
    assert result.exit_code == 2
    assert expected.replace("FILE", str(damaged)) in result.output
