"""Every legal value of every axis, null too: from the sweep file to MLflow, and from there to the report's axes."""

import itertools
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, get_args

import pandas as pd
import pytest
import yaml
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from analysis.report.grid_axes import grid_axes
from analysis.results.mlflow import load_sweep
from orchestrator.config.expand import expand
from orchestrator.config.grid import Axis, SubGrid, parse_grid
from orchestrator.config.load import load
from orchestrator.config.sweep_config import SweepConfig, TrainingConfig
from orchestrator.errors import UsageError
from orchestrator.store.plan import make_plan
from orchestrator.store.results import stored_sweep
from orchestrator.store.trial_store import TrialStore
from orchestrator.tracking.description import trial_tags
from orchestrator.tracking.experiment import open_experiment
from orchestrator.tracking.run import TrialRuns
from tests.orchestrator.made_up import finish
from trainables.trial.specs import OPTIMIZER_SPECS, TrainingSpec, TrialSpec

NUMBERS = [0, 1, 2, 7, 0.0, 1e-4, 0.05, 0.3, 0.9, 1.2, 30.5, 1e22]
WORDS = [
    "constant",
    "cosine",
    "multi_step",
    "float32",
    "bfloat16",
    "float16",
    "freeze",
    "update",
    "paper",
    "power",
    "exact",
]
POOL = [None, *NUMBERS, *WORDS, "per_tensor", "digits_cnn", "my_models.Net", "7.5", False, True, [7], [7, 30]]
TRAINING = {"epochs": 40, "batch_size": 64, "augment": True}


def names_of_axes(optimizer: str) -> list[str]:
    fields = [*OPTIMIZER_SPECS[optimizer].model_fields, *TrainingSpec.model_fields, "model"]
    return [name for name in fields if name != "name"]


@cache
def legal(optimizer: str, name: str) -> list[Any]:
    """The values of the pool that a sweep file may give on an axis."""
    values: dict[str, Any] = {}
    for value in POOL:
        sub_grids, problems = parse_grid([{"optimizer": optimizer, name: [value]}])
        if not problems:
            ((found,),) = sub_grids[0].axes[0].values
            values.setdefault(repr(found), value)
    return list(values.values())


def value_of(spec: TrialSpec, name: str) -> Any:
    if name == "model":
        return spec.model
    return getattr(spec.optimizer if name in type(spec.optimizer).model_fields else spec.training, name)


@pytest.mark.parametrize("optimizer", OPTIMIZER_SPECS)
def test_every_legal_value_of_every_axis_has_a_tag(config: SweepConfig, optimizer: str) -> None:
    for name in names_of_axes(optimizer):
        raw = {"optimizer": optimizer, "learning_rate": [0.1], "epochs": [40], "batch_size": [8], "augment": [True]}
        found = []
        for value in legal(optimizer, name):
            grid, problems = parse_grid([raw | {name: [value]}])
            assert not problems
            try:
                (spec,) = expand(config.model_copy(update={"grid": grid, "training": TrainingConfig(epochs=40)}))
            except ValidationError:  # not with the defaults of the others: rho_min above rho
                continue
            axis = Axis((name,), ((value_of(spec, name),), ("another",)))
            tags = trial_tags(spec, config.model_copy(update={"grid": (SubGrid(optimizer, (axis,)),)}))
            found.append(tags[f"axis.{name}"])
            assert found[-1] == str(value_of(spec, name))
        assert len(set(found)) == len(found) > 0


def test_a_null_is_tried_on_every_axis_that_takes_one() -> None:
    for optimizer, spec in OPTIMIZER_SPECS.items():
        fields = {**spec.model_fields, **TrainingSpec.model_fields}
        taking = {
            name for name, field in fields.items() if field.default is None or type(None) in get_args(field.annotation)
        }
        assert taking <= {name for name in names_of_axes(optimizer) if None in legal(optimizer, name)}
        assert "gradient_clip" in taking


@st.composite
def sub_grids(draw: st.DrawFn) -> list[dict[str, Any]]:
    """One or two optimizers, each with a learning rate and up to two other axes of up to two values."""
    optimizers = draw(st.lists(st.sampled_from(sorted(OPTIMIZER_SPECS)), min_size=1, max_size=2, unique=True))
    grid = []
    for optimizer in optimizers:
        settled = {"learning_rate", "epochs", "augment", *TrainingSpec.NOT_IDENTITY}
        others = [name for name in names_of_axes(optimizer) if name not in settled]
        nullable = [name for name in others if None in legal(optimizer, name)]
        names = draw(st.lists(st.sampled_from(nullable or others) | st.sampled_from(others), max_size=2, unique=True))
        entry: dict[str, Any] = {"optimizer": optimizer, "learning_rate": [0.05]}
        for name in names:
            value = st.sampled_from(legal(optimizer, name))
            entry[name] = draw(st.lists(value, min_size=1, max_size=2, unique_by=repr))
        grid.append(entry)
    return grid


def drawn_sweep(folder: Path, name: str, grid: Sequence[Mapping[str, Any]]) -> SweepConfig | None:
    """The sweep of a drawn grid, through a file; None if its values do not go together."""
    content = {
        "name": name,
        "data": {"dataset": "digits"},
        "model": "digits_cnn",
        "training": TRAINING,
        "grid": list(grid),
        "sharpness": {"samples": 20, "measures": ["l2"]},
    }
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    try:
        return load(str(path))
    except UsageError:
        return None


NUMBERED = itertools.count()


@settings(max_examples=3, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sub_grids())
@example([{"optimizer": "sgd", "learning_rate": [0.05], "gradient_clip": [None, 1.0], "model": ["digits_cnn", "7.5"]}])
def test_what_a_grid_says_is_what_the_report_ranks_over(
    storage_with_database: Path, grid: list[dict[str, Any]]
) -> None:
    config = drawn_sweep(storage_with_database, f"drawn-{next(NUMBERED)}", grid)
    assume(config is not None)
    assert config is not None
    specs = expand(config)
    store = TrialStore(config.folder, config.sharpness.measurement_id)
    finish(store, specs, config.sharpness)
    runs = TrialRuns(open_experiment(config), config, store, specs)
    for spec in specs:
        runs.sync(spec.trial_id)
    logged, stored = load_sweep(config.tracking_uri, config.name), stored_sweep(make_plan(config))
    pd.testing.assert_frame_equal(logged.table[list(stored.table)], stored.table, check_dtype=False)
    for found in (logged, stored):
        trials = found.table.drop_duplicates("trial_id").set_index("trial_id").loc[[spec.trial_id for spec in specs]]
        axes = grid_axes(trials.reset_index())
        assert len(set(axes.cells)) == len(specs)  # every trial is a configuration of its own
        labels = {name: codes for joined, codes in axes.labels.items() for name in joined.split(" & ")}
        for sub_grid in config.grid:
            own = [index for index, spec in enumerate(specs) if spec.optimizer.name == sub_grid.optimizer]
            for axis in sub_grid.axes:
                (name,) = axis.names
                values = [repr(value_of(specs[index], name)) for index in own]
                codes = labels[name][own] if name in labels else [0] * len(own)
                assert len(set(zip(values, codes, strict=True))) == len(set(values)) == len(set(codes))
