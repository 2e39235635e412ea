"""Trials are of the set they were trained on: other images in a folder of the same name are other trials."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from orchestrator.cli import app
from orchestrator.config.load import load
from orchestrator.config.sweep_config import SweepConfig
from orchestrator.errors import UsageError
from orchestrator.store.known_sets import SETS_FILE, read_sets, record_set
from orchestrator.store.plan import Plan, make_plan
from orchestrator.store.trial_store import TrialState
from tests.trainables.data.images import draw, encode, write_parquet
from trainables.data import load_dataset
from trainables.errors import DamagedError, TrainingError
from trainables.trial.folder import EpochMetrics, Generalization, Trained

Sweep = Callable[..., SweepConfig]
LABELS = [k % 3 for k in range(12)]


def write_set(folder: Path, seed: int = 0, names: list[str] | None = None) -> Path:
    """A set as hubs lay them out: the folder of the files is called data."""
    images = [encode(pixels) for pixels in draw(12, size=8, seed=seed)]
    for split in ("train", "test"):
        write_parquet(folder / "data" / f"{split}.parquet", images, LABELS, names)
    return folder / "data"


@pytest.fixture
def sweep(tmp_path: Path) -> Sweep:
    def make(data: Path, **keys: str) -> SweepConfig:
        extra = "".join(f", {key}: {value}" for key, value in keys.items())
        path = tmp_path / "beans.yaml"
        path.write_text(
            f"name: beans\nstorage: {tmp_path}/store\n"
            f"data: {{dataset: parquet, train: {data}/train.parquet, test: {data}/test.parquet{extra}}}\n"
            "model: digits_cnn\ntraining: {epochs: 1, batch_size: 4}\n"
            "grid: [{optimizer: sgd, learning_rate: [0.1, 0.2]}]\n"
        )
        return load(str(path))

    return make


def finish(plan: Plan, known_by_content: bool = True) -> list[str]:
    """Mark all trials as trained; as a version that took no fingerprints did, if asked."""
    done = []
    for spec in plan.specs:
        if not known_by_content:
            data = spec.data.model_copy(update={"fingerprint": None, "known_by": None})
            spec = spec.model_copy(update={"data": data})
            spec.__dict__.pop("trial_id", None)
        trial = plan.store.trial(spec.trial_id)
        trial.write_spec(spec)
        stamp = Path(spec.data.train[0]).stat().st_mtime + 60
        trial.write_trained(Trained([EpochMetrics(0, 0.1, 1, 1, 0.5, 1.0, stamp)], Generalization(*[0.5] * 8)))
        done.append(spec.trial_id)
    return done


def states(config: SweepConfig) -> list[TrialState]:
    return list(make_plan(config).states.values())


def said(plan: Plan) -> str:
    return "\n".join(plan.data.notes)


def test_the_same_images_elsewhere_are_the_same_trials_and_others_are_not(tmp_path: Path, sweep: Sweep) -> None:
    beans, food = write_set(tmp_path / "hub" / "beans"), write_set(tmp_path / "hub" / "food", seed=1)
    copied = write_set(tmp_path / "copies" / "of-beans").rename(tmp_path / "copies" / "elsewhere")
    first = make_plan(sweep(beans))
    finish(first)
    record_set(first.data, first.store.folder)
    assert states(sweep(beans)) == states(sweep(copied)) == [TrialState.TRAINED] * 2
    assert states(sweep(food)) == [TrialState.PENDING] * 2
    assert first.specs[0].parameters()["fingerprint"] == first.config.data.fingerprint
    assert first.specs[0].parameters()["dataset"] == "data"
    assert states(sweep(copied, name="beans")) == [TrialState.TRAINED] * 2, "the name is for people"


def test_plan_shows_the_set_and_its_classes(tmp_path: Path, sweep: Sweep) -> None:
    config = sweep(write_set(tmp_path / "beans", names=["ant", "bee", "cow"]))
    plan = make_plan(config)
    fingerprint = plan.config.data.fingerprint
    result = CliRunner().invoke(app, ["plan", str(tmp_path / "beans.yaml")])
    assert result.exit_code == 0, result.output
    expected = f"data ({fingerprint}): 12 training and 12 test images; 3 classes with images: ant 4+4, bee 4+4, cow 4+4"
    assert expected in result.output
    load_dataset(plan.config.data)
    assert said(make_plan(config)) == expected.replace(" images;", " images, 8×8 in colour (RGB PNG);")
    record_set(plan.data, plan.store.folder)
    kept = json.loads((tmp_path / "store" / "beans" / SETS_FILE).read_text())["sets"]
    assert [each["classes"] for each in kept] == [["ant", "bee", "cow"]]


def test_trials_of_before_stay_done_and_gain_the_fingerprint(tmp_path: Path, sweep: Sweep) -> None:
    beans = write_set(tmp_path / "hub" / "beans")
    before = make_plan(sweep(beans))
    ids = finish(before, known_by_content=False)
    assert not set(ids) & set(before.states)
    plan = make_plan(sweep(beans))
    assert list(plan.states) == ids
    assert list(plan.states.values()) == [TrialState.TRAINED] * 2
    assert "2 trials of before are matched by the name 'data'" in said(plan)
    record_set(plan.data, plan.store.folder)
    again = make_plan(sweep(beans))
    assert "of before" not in said(again)
    assert again.config.data.fingerprint == plan.config.data.fingerprint
    moved = beans.parent.rename(tmp_path / "moved") / "data"
    renamed = moved.rename(tmp_path / "moved" / "parquet")
    assert list(make_plan(sweep(renamed)).states) == ids, "the record knows their name"
    food = write_set(tmp_path / "hub" / "food", seed=1)
    assert states(sweep(food)) == [TrialState.PENDING] * 2
    with pytest.raises(
        UsageError, match=r"data\.known_by: trials of 'data' in this store are of the set .* give this set"
    ):
        make_plan(sweep(food, known_by="name"))


def test_what_can_not_be_matched_is_refused_with_the_choice(tmp_path: Path, sweep: Sweep) -> None:
    beans, food = write_set(tmp_path / "hub" / "beans"), write_set(tmp_path / "hub" / "food", seed=1)
    ids = finish(make_plan(sweep(beans)), known_by_content=False)
    with pytest.raises(
        UsageError, match=r"data\.train was .*beans/data/train\.parquet then and is .*food/data.*now"
    ) as refused:
        make_plan(sweep(food))
    assert "`known_by: name`" in str(refused.value)
    assert "`known_by: content`" in str(refused.value)
    assert list(make_plan(sweep(food, known_by="name")).states) == ids
    other = make_plan(sweep(food, known_by="content"))
    assert list(other.states.values()) == [TrialState.PENDING] * 2
    record_set(other.data, other.store.folder)
    assert states(sweep(food)) == [TrialState.PENDING] * 2, "the choice is kept"
    with pytest.raises(UsageError, match=r"another one \(data\).*`name: data, known_by: name`"):
        make_plan(sweep(beans, name="renamed"))


def test_files_that_changed_after_the_training_are_not_taken_for_the_same(tmp_path: Path, sweep: Sweep) -> None:
    beans = write_set(tmp_path / "beans")
    finish(make_plan(sweep(beans)), known_by_content=False)
    later = (beans / "test.parquet").stat().st_mtime + 3600
    write_set(tmp_path / "beans", seed=1)
    os.utime(beans / "test.parquet", (later, later))
    with pytest.raises(UsageError, match=r"test\.parquet has changed since they were trained"):
        make_plan(sweep(beans))


def test_a_part_of_a_sweep_is_chosen_among_its_own_trials(tmp_path: Path, sweep: Sweep) -> None:
    sweep(write_set(tmp_path / "beans"))
    result = CliRunner().invoke(app, ["plan", str(tmp_path / "beans.yaml"), "--only", "learning_rate=0.1"])
    assert result.exit_code == 0, result.output
    assert "beans: 1 of 2 trials" in result.output


def test_without_the_files_the_recorded_set_is_meant(tmp_path: Path, sweep: Sweep) -> None:
    beans = write_set(tmp_path / "beans")
    plan = make_plan(sweep(beans))
    finish(plan)
    record_set(plan.data, plan.store.folder)
    beans.rename(tmp_path / "gone")
    there = make_plan(sweep(beans))
    assert there.states == plan.states | dict.fromkeys(plan.states, TrialState.TRAINED)
    assert there.data.problem is not None
    assert "the trials are those of the recorded set" in said(there)
    (tmp_path / "store" / "beans" / SETS_FILE).unlink()
    result = CliRunner().invoke(app, ["plan", str(tmp_path / "beans.yaml")])
    assert result.exit_code == 2
    assert "train.parquet: there is no such file" in result.output


def run(path: Path) -> Result:
    return CliRunner().invoke(app, ["run", str(path), "--executor", "inline"])


def test_a_set_that_can_not_be_trained_on_ends_the_run_before_it_begins(tmp_path: Path, sweep: Sweep) -> None:
    beans = write_set(tmp_path / "beans")
    write_parquet(beans / "test.parquet", [b""] * 2, [0, 7])
    sweep(beans)
    result = run(tmp_path / "beans.yaml")
    assert result.exit_code == 2, result.output
    assert "data.test has the class 7" in result.output
    assert "Traceback" not in result.output


def test_other_files_at_the_paths_of_a_worker_are_refused(tmp_path: Path, sweep: Sweep) -> None:
    beans = write_set(tmp_path / "beans")
    config = make_plan(sweep(beans)).config
    write_set(tmp_path / "beans", seed=1)
    with pytest.raises(
        TrainingError, match=rf"the files here hold another set .* than the trial's .{config.data.fingerprint}"
    ):
        load_dataset(config.data)
    with pytest.raises(UsageError, match=r"data\.fingerprint: the file says 0123456789abcdef"):
        make_plan(sweep(beans, fingerprint="'0123456789abcdef'"))


def test_what_trials_of_before_saw_otherwise_is_refused(tmp_path: Path, sweep: Sweep) -> None:
    beans = write_set(tmp_path / "beans")
    for split in ("train", "test"):
        images = [encode(pixels[..., 0] if k == 0 else pixels) for k, pixels in enumerate(draw(12, size=8))]
        write_parquet(beans / f"{split}.parquet", images, [label + 1 for label in LABELS])
    config = make_plan(sweep(beans)).config
    assert load_dataset(config.data).in_channels == 3
    with pytest.raises(
        TrainingError, match=r"decoded this set otherwise: it has 3 channels; its labels are numbered from 0"
    ):
        load_dataset(config.data.model_copy(update={"known_by": "name"}))


@pytest.mark.parametrize("content", ["", "[]", '{"sets": [{}]}', '{"sets": 3}'])
def test_a_damaged_record_is_named(tmp_path: Path, sweep: Sweep, content: str) -> None:
    plan = make_plan(sweep(write_set(tmp_path / "beans")))
    plan.store.folder.write(SETS_FILE, content.encode())
    with pytest.raises(DamagedError, match=r"data\.json is damaged: .*renyi verify .* --repair"):
        read_sets(plan.store.folder)
