"""Reports of sweeps with made-up results, from the store and through a tracker; real sweeps are in tests/end_to_end."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from orchestrator.config.load import load
from orchestrator.config.sweep_config import SweepConfig
from orchestrator.errors import UsageError
from orchestrator.report import _folder, report_sweeps
from orchestrator.store.trial_store import TrialState, TrialStore
from orchestrator.tracking.protocol import LoggedReport, Stopped, Tracker
from tests.orchestrator.made_up import ONE_MEASURE, finish
from trainables.trial.manifest import MANIFEST_FILE
from trainables.trial.specs import TrialSpec

pytestmark = pytest.mark.usefixtures("one_kind_of_picture")


@pytest.fixture
def config(storage: Path, sweep_file: Callable[..., Path]) -> SweepConfig:
    """With one measure, since figures take the time."""
    return load(str(sweep_file(ONE_MEASURE)))


class Remembering:
    """A tracker that keeps what it is given: whatever is one by the protocol will do."""

    trouble = ""

    def __init__(self) -> None:
        self.reports: list[tuple[set[str], str]] = []

    def reconcile(self, states: Mapping[str, TrialState], progress: Callable[[str], None]) -> None:
        """As the protocol says."""

    def record(self, event: object) -> None:
        """As the protocol says."""

    def log_report(self, report: LoggedReport) -> None:
        """As the protocol says."""
        self.reports.append((set(report.files), report.note))

    def wait(self) -> int:
        """As the protocol says."""
        return 0

    def finish(self, stopped: Stopped | None = None) -> int:
        """As the protocol says."""
        return 0


def test_a_report_goes_to_the_folder_and_to_the_tracker(
    config: SweepConfig,
    specs: list[TrialSpec],
    store: TrialStore,
    storage: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    finish(store, specs, config.sharpness)
    tracker = Remembering()
    opened: Tracker = tracker
    report_sweeps([config], "store", opened)
    files = {file.name for file in (storage / "small" / "report").iterdir()} - {MANIFEST_FILE}
    assert {"report.html", "verdict.md", "tau.csv"} <= files
    ((logged, note),) = tracker.reports
    assert logged == files
    assert "verdict" in note
    assert f"renyi run {config.typed}" in (storage / "small" / "report" / "report.html").read_text()
    assert str(storage / "small" / "report" / "report.html") in capsys.readouterr().out


def test_several_sweeps_share_a_report_under_all_their_names(
    config: SweepConfig, specs: list[TrialSpec], store: TrialStore, storage: Path, sweep_file: Callable[..., Path]
) -> None:
    other = load(str(sweep_file(("name: small", "name: other"), ONE_MEASURE, name="other.yaml")))
    for each in (config, other):
        finish(TrialStore(each.folder, each.sharpness.measurement_id), specs, each.sharpness)
    report = report_sweeps([config, other], source="store")
    assert set(report.lines) == {"small", "other"}
    assert (storage / "small" / "report-small-other" / "report.html").exists()
    assert not (storage / "other" / "report-small-other").exists()


def test_a_report_of_a_part_says_so_and_stands_beside_that_of_the_whole(
    config: SweepConfig, specs: list[TrialSpec], store: TrialStore, capsys: pytest.CaptureFixture[str]
) -> None:
    finish(store, specs, config.sharpness)
    whole = store.folder / "report"
    whole.write("report.html", b"of the whole sweep")
    only = "learning_rate>0.05"
    report = report_sweeps([config], source="store", only=only)
    ((name, lines),) = report.lines.items()
    assert name == f"small ({only})"
    assert "2 trials measured; only those with learning_rate>0.05, 2 of the sweep's 4 trials" in lines[1].text
    assert whole.read("report.html") == b"of the whole sweep"
    (folder,) = [each for each in store.folder.names() if each.startswith("report-only-learning_rate-0.05-")]
    page = (store.folder / folder).read("report.html").decode()
    assert "--only &#39;learning_rate&gt;0.05&#39;" in page or "--only 'learning_rate&gt;0.05'" in page
    with pytest.raises(UsageError, match="did you mean learning_rate"):
        report_sweeps([config], source="store", only="learning_rates>0")


def test_conditions_have_folders_of_their_own() -> None:
    conditions = ("learning_rate>0.1", "learning_rate<0.1", "learning_rate<=0.1", "a=b|c", "a=b,c=d", "a" * 500)
    folders = {_folder(["small"], only) for only in conditions}
    assert len(folders) == len(conditions)
    assert all(re.fullmatch(r"report-only-[\w.-]{1,80}", folder) for folder in folders)
    assert _folder(["a", "b"], None) == "report-a-b"


def test_a_report_of_a_sample_says_so(
    specs: list[TrialSpec], store: TrialStore, sweep_file: Callable[..., Path], config: SweepConfig
) -> None:
    finish(store, specs, config.sharpness)
    sampled = load(str(sweep_file(ONE_MEASURE, ("name: small", "name: small\nsample: {trials: 3}"), name="s.yaml")))
    (lines,) = report_sweeps([sampled], source="store").lines.values()
    assert "3 trials measured; a random sample of 3 of the grid's 4 combinations, seed 0" in lines[1].text
