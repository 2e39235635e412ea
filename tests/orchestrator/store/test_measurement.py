"""A measurement in the store: whole, or in parts that become the same whole."""

import json
from dataclasses import replace

import pytest

from analysis.schema import ALL_LAYERS, MEASUREMENTS_FILE, SPECTRA_FILE
from analysis.settings import SharpnessSettings, SpectraOf
from orchestrator.config.sweep_config import SweepConfig
from orchestrator.store.measurement import (
    Measured,
    assemble,
    missing_parts,
    read_measured,
    read_settings,
    write_measured,
    write_part,
)
from orchestrator.store.tasks import MeasuringTask
from orchestrator.store.trial_store import MEASURED_FILE, TrialState, TrialStore
from tests.orchestrator.made_up import measured, outcome
from trainables.errors import DamagedError
from trainables.trial.folder import INITIAL_CHECKPOINT, INPUTS, LAST_CHECKPOINT, WEIGHTS, Failure, write_failure
from trainables.trial.specs import TrialSpec
from trainables.trial.storage import Folder


@pytest.fixture
def settings(config: SweepConfig) -> SharpnessSettings:
    return config.sharpness


@pytest.fixture
def folder(store: TrialStore, specs: list[TrialSpec]) -> Folder:
    store.trial(specs[0].trial_id).write_trained(outcome())
    return store.measurement(specs[0].trial_id)


def test_what_is_written_is_read(folder: Folder, settings: SharpnessSettings) -> None:
    assert read_settings(folder) is None
    write_measured(folder, measured(settings), settings)
    found = read_measured(folder)
    assert found.rows == measured(settings).rows
    assert found.spectra["fc.weight"].renyi_entropy(2) == measured(settings).spectra["fc.weight"].renyi_entropy(2)
    assert set(found.gauss_newton_spectra) == {ALL_LAYERS}
    assert found.indices == [0, 2, 4]
    assert found.record["seconds"] == 2.5
    assert read_settings(folder) == settings


def test_a_new_measurement_ends_an_earlier_failure(
    folder: Folder, settings: SharpnessSettings, store: TrialStore, specs: list[TrialSpec]
) -> None:
    write_failure(folder, Failure("measuring", "ValueError: no"))
    assert store.state(specs[0].trial_id) is TrialState.FAILED
    write_measured(folder, measured(settings), settings)
    assert store.state(specs[0].trial_id) is TrialState.MEASURED


def test_settings_of_another_version_are_none(folder: Folder, settings: SharpnessSettings) -> None:
    record = {"settings": {**settings.model_dump(mode="json"), "from_the_future": 1}}
    folder.write(MEASURED_FILE, json.dumps(record).encode())
    assert read_settings(folder) is None


def test_parts_become_the_measurement_that_one_task_makes(folder: Folder, settings: SharpnessSettings) -> None:
    whole = measured(settings)
    tasks = [  # longest first, which is not the order of the rows
        MeasuringTask("all_layers", settings.measures, SpectraOf.WHOLE, 9),
        MeasuringTask("layers", settings.measures, SpectraOf.LAYERS, 1),
    ]
    for task in tasks:
        assert missing_parts(folder, tasks)[0] == task
        of_whole = task.name == "all_layers"
        part = Measured(
            [row for row in whole.rows if (row.layer == ALL_LAYERS) == of_whole],
            {layer: spectrum for layer, spectrum in whole.spectra.items() if (layer == ALL_LAYERS) == of_whole},
            dict(whole.gauss_newton_spectra) if of_whole else {},
            whole.indices,
            whole.record,
        )
        write_part(folder, task, part)
    assert missing_parts(folder, tasks) == []
    assemble(folder, tasks, settings)
    found = read_measured(folder)
    assert found.rows == whole.rows
    assert list(found.spectra) == list(whole.spectra)
    assert found.record["seconds"] == 5.0
    assert found.record["task_seconds"] == {"all_layers": 2.5, "layers": 2.5}
    assert not [name for name in folder.names() if name.startswith("part-")]
    assemble(folder, tasks, settings)  # as another process would that was slower
    assert {MEASURED_FILE, MEASUREMENTS_FILE, SPECTRA_FILE} <= set(folder.names())


def test_a_missing_part_is_no_measurement(folder: Folder, settings: SharpnessSettings) -> None:
    with pytest.raises(FileNotFoundError):
        assemble(folder, [MeasuringTask("layers", settings.measures, SpectraOf.LAYERS)], settings)


@pytest.mark.parametrize("of_other", [LAST_CHECKPOINT, WEIGHTS])
def test_parts_are_of_one_network_though_not_all_need_its_initial_weights(
    folder: Folder, settings: SharpnessSettings, of_other: str
) -> None:
    tasks = [MeasuringTask(name, settings.measures, SpectraOf.LAYERS) for name in ("a", "b")]
    inputs = [{WEIGHTS: "w", LAST_CHECKPOINT: "l"}, {WEIGHTS: "w", LAST_CHECKPOINT: "l", INITIAL_CHECKPOINT: "i"}]

    def write() -> None:
        for task, of_part in zip(tasks, inputs, strict=True):
            part = measured(settings)
            write_part(folder, task, replace(part, record={**part.record, INPUTS: of_part}))

    write()
    assemble(folder, tasks, settings)
    assert read_measured(folder).record[INPUTS] == inputs[1]
    inputs[1][of_other] = "another"
    write()
    with pytest.raises(DamagedError, match="was made from another checkpoint than the other parts"):
        assemble(folder, tasks, settings)
