"""A divided measurement gives the same rows and spectra as an undivided one, and repeats no pass."""

import shutil
from pathlib import Path

import pytest
import torch

from analysis.measures import MEASURES
from analysis.settings import SharpnessSettings, SpectraOf
from orchestrator.config.load import load
from orchestrator.executors.actor import SharpnessActor
from orchestrator.store import tasks as measuring_tasks
from orchestrator.store.measurement import PART, missing_parts, read_measured
from orchestrator.store.tasks import divide, whole
from orchestrator.store.trial_store import TrialState, TrialStore
from trainables.training.loop import train
from trainables.trial.folder import LAST_CHECKPOINT
from trainables.trial.specs import TrialSpec

SETTINGS = SharpnessSettings.model_validate(
    {
        "samples": 50,
        "orders": [0.5, 1.5],
        "num_probes": 2,
        "num_matvecs": 5,
        "measures": "all",
        "worst_case": {"num_steps": 2, "sam": [0.05], "asam": [0.5], "sam_linf": [0.001], "asam_linf": [0.002]},
        "average": {"num_draws": 2},
        "haar": {"num_draws": 2},
        "pac_bayes": {"num_draws": 2},
    }
)


def spec(model: str, dataset: str = "digits") -> TrialSpec:
    return TrialSpec.model_validate(
        {
            "data": {"dataset": dataset},
            "model": model,
            "optimizer": {"name": "adam", "learning_rate": 0.01},
            "training": {"epochs": 2, "batch_size": 64},
        }
    )


def trained_twins(trial: TrialSpec, folder: Path, settings: SharpnessSettings) -> tuple[TrialStore, TrialStore]:
    """Two stores with the same trained trial: one to measure it whole, one in parts."""
    one, divided = (TrialStore(str(folder / name), settings.measurement_id) for name in ("one", "divided"))
    for _ in train(trial, one.trial(trial.trial_id), torch.device("cpu")):
        pass
    shutil.copytree(folder / "one", folder / "divided")
    return one, divided


@pytest.fixture
def all_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measuring_tasks, "LEAST_SECONDS", 0.0)


@pytest.mark.usefixtures("all_apart")
def test_parts_make_the_same_measurement_bit_for_bit(tmp_path: Path) -> None:
    trial = spec("digits_cnn_bn")
    tasks = divide(trial, SETTINGS)
    assert len(tasks) == 12
    one, divided = stores = trained_twins(trial, tmp_path, SETTINGS)
    assert SharpnessActor(one.folder.uri, SETTINGS, 1, shifts=("noise_3",)).measure(trial)
    actor = SharpnessActor(divided.folder.uri, SETTINGS, 1, shifts=("noise_3",))
    for task in tasks:
        assert divided.state(trial.trial_id) is TrialState.TRAINED
        assert actor.measure_part(trial, task), divided.failure(trial.trial_id).reason
    for _ in range(2):  # a second call changes nothing
        assert actor.assemble(trial, tasks)
    assert divided.state(trial.trial_id) is TrialState.MEASURED
    first, second = (read_measured(store.measurement(trial.trial_id)) for store in stores)
    assert first.files() == second.files()
    losses = [store.trial(trial.trial_id).read_shifts()["noise_3"].test_loss for store in stores]
    assert losses[0] == losses[1]
    assert {row.measure for row in first.rows} == set(MEASURES)
    assert not [name for name in divided.measurement(trial.trial_id).names() if name.startswith(PART)]


@pytest.mark.usefixtures("all_apart")
def test_a_measure_that_is_cut_by_its_parameter_has_the_same_rows(tmp_path: Path) -> None:
    """In each layer too, and where the loss overflows at one ρ alone."""
    rhos = [0.5, 1e300, 0.05]
    settings = SharpnessSettings.model_validate(
        {
            "samples": 10,
            "layers": ["classifier.weight"],
            "measures": ["l2", "sam_n", "asam_n", "haar_loss"],
            "haar": {"rhos": [0.2, 0.1], "num_draws": 2},
            "all_layers_only": ["asam_n"],
            "worst_case": {"num_steps": 1, "sam": rhos, "asam": [0.5]},
        }
    )
    trial = spec("digits_cnn")
    tasks = divide(trial, settings)
    assert [task.rho for task in tasks if task.measures == ("sam_n",)] == rhos
    assert [task.rho for task in tasks if task.measures == ("haar_loss",)] == [0.2, 0.1]
    assert len({task.key for task in tasks}) == len({task.name for task in tasks}) == len(tasks)
    first, second = trained_twins(trial, tmp_path, settings)
    assert SharpnessActor(first.folder.uri, settings, 1).measure(trial)
    actor = SharpnessActor(second.folder.uri, settings, 1)
    assert all(actor.measure_part(trial, task) for task in tasks)
    assert actor.assemble(trial, tasks)
    one, divided = (read_measured(store.measurement(trial.trial_id)) for store in (first, second))
    assert divided.files() == one.files()
    missing = {row.parameter for row in one.rows if row.value is None}
    assert missing == {1e300}


def test_what_can_be_cut_is_at_most_a_tenth_of_a_trial() -> None:
    """Of the shipped networks, whatever is measured; what can't be cut is named."""
    whole_only = {"all_layers", "layers", "avg", "avg_adaptive"}
    for measures in ("all", ["sam_n", "asam_n"], ["sam_n", "asam_n", "sam_linf_n", "asam_linf_n", "l2"]):
        settings = SharpnessSettings.model_validate({"measures": measures})
        tasks = divide(spec("resnet18", "cifar10"), settings)
        total = sum(task.seconds for task in tasks)
        for task in tasks:
            assert task.rho is not None or task.name in whole_only or task.seconds <= 0.1 * total, task.name


@pytest.mark.usefixtures("all_apart")
def test_parts_that_are_there_are_not_missing(tmp_path: Path) -> None:
    trial = spec("digits_cnn")
    store = TrialStore(str(tmp_path), SETTINGS.measurement_id)
    for _ in train(trial, store.trial(trial.trial_id), torch.device("cpu")):
        pass
    tasks = divide(trial, SETTINGS)
    actor = SharpnessActor(store.folder.uri, SETTINGS, threads=1)
    folder = store.measurement(trial.trial_id)
    for task in tasks[:3]:
        assert actor.measure_part(trial, task)
    assert missing_parts(folder, tasks) == tasks[3:]
    store.trial(trial.trial_id).folder.delete(LAST_CHECKPOINT)
    assert not actor.measure_part(trial, tasks[3])
    assert store.state(trial.trial_id) is TrialState.FAILED
    assert missing_parts(folder, tasks) == tasks[3:]
    assert not actor.assemble(trial, tasks)


@pytest.mark.usefixtures("all_apart")
def test_every_measure_and_every_block_is_in_one_task() -> None:
    tasks = divide(spec("digits_cnn"), SETTINGS)
    assert [task.seconds for task in tasks] == sorted((task.seconds for task in tasks), reverse=True)
    for name in tuple(MEASURES):
        blocks = sorted(task.spectra_of.value for task in tasks if name in task.measures)
        spectral = MEASURES[name].spectra == "hessian"
        assert blocks in ([["layers", "whole"]] if spectral else [["every"], ["layers"]]), name
    assert len({task.key for task in tasks}) == len(tasks)


def test_a_small_network_and_one_of_unknown_size_are_one_task() -> None:
    settings = load("digits").sharpness
    assert divide(spec("digits_cnn"), settings) == [whole(settings)]
    assert divide(spec("torchvision.models.resnet18"), SharpnessSettings()) == [whole(SharpnessSettings())]


def test_a_large_network_is_divided_with_the_longest_task_first() -> None:
    settings = SharpnessSettings.model_validate({"measures": "all"})
    tasks = divide(spec("resnet18", "cifar10"), settings, gpu=True)
    assert {"all_layers", "layers", "sam_n", "avg", "pacbayes_flat"} <= {task.name for task in tasks}
    assert tasks[0].spectra_of in (SpectraOf.WHOLE, SpectraOf.LAYERS)
