"""`renyi report --watch` beside a sweep that goes on, made up step by step in a real store."""

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from orchestrator.cli import app
from orchestrator.config.load import load
from orchestrator.store.trial_store import TrialStore
from orchestrator.watch import INTERVAL, watch
from tests.orchestrator.made_up import ONE_MEASURE, fail, finish
from trainables.trial.specs import TrialSpec

pytestmark = pytest.mark.usefixtures("one_kind_of_picture")


def test_the_page_follows_the_sweep_and_ends_with_it(
    specs: list[TrialSpec], storage: Path, sweep_file: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    config = load(str(sweep_file(ONE_MEASURE)))
    store = TrialStore(config.folder, config.sharpness.measurement_id)
    page = storage / "small" / "report" / "report.html"
    seen: list[str] = []

    def minute(seconds: float) -> None:
        """What happens in the sweep between two looks at it."""
        assert seconds == INTERVAL
        seen.append(page.read_text() if page.exists() else "")
        if len(seen) == 1:
            finish(store, specs[:2], config.sharpness)
        if len(seen) == 3:
            finish(store, specs[:3], config.sharpness)
            fail(store, specs[3])

    watch([config], wait=minute)
    assert seen[0] == ""
    assert "2 of 4 trials are measured, 2 are not finished" in seen[1]
    assert seen[2] == seen[1]  # nothing had changed, so nothing was written
    assert "Partial results" not in page.read_text()
    assert "3 trials measured, 1 failed" in page.read_text()
    output = capsys.readouterr().out
    assert output.count("the whole report") == 2
    assert "0 of 4 measured; the page is written when the first is" in output


def test_it_is_for_a_sweep_whose_storage_is_read_from_here(sweep_file: Callable[..., Path], tmp_path: Path) -> None:
    table = tmp_path / "models.csv"
    table.write_text("a,b\n1,2\n")
    result = CliRunner().invoke(app, ["report", "--watch", "--table", str(table)])
    assert result.exit_code == 2
    assert "--watch: is for a sweep" in result.output
    result = CliRunner().invoke(app, ["report", "--watch", str(sweep_file()), "--cluster", "cluster.yaml"])
    assert result.exit_code == 2
    assert "--watch: reads the storage from here" in result.output
