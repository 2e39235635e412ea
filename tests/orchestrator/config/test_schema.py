"""The schema of sweep files: what it rejects, `load` rejects, and files that `load` takes it takes."""

import copy
import json
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from orchestrator.config.load import IGNORED, SHIPPED, load, shipped_sweeps
from orchestrator.config.schema import SCHEMA_FILE, schema_of_sweep_files
from orchestrator.config.sweep_text import read_mapping
from orchestrator.errors import UsageError

FULL = """\
name: full
data:
  {dataset: parquet, train: a.parquet, test: [b.parquet], channels: 3, resize: [8, 8], background: black,
   mean: [0.5, 0.5, 0.5]}
model: digits_cnn
training: {epochs: 2, augment: yes, milestones: null, label_smoothing: null, time_limit: 2h}
grid:
  - {optimizer: sgd, learning_rate: [0.1, 1e-2], milestones: [[1], [1, 2]], schedule: multi_step, batch_size: 8}
  - {optimizer: sam, coupled: {learning_rate: [0.1], rho: [0.05]}, nesterov: [true, off], batch_size: [8]}
seeds: [0, 1]
sample: {trials: 3}
sharpness: {samples: 20, orders: paper, measures: all, layers: [fc.weight], loss: cross_entropy, silence_limit: null}
shifts: [noise_3]
resources: {trial: {cpus: 0.5}, pool: {actors: auto}}
tags: {team: a}
notes: some
storage: null
system_metrics: true
x-shared: {a: 1}
"""
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 5),
    st.sampled_from([0.5, 1.0, -0.1, 1e9, float("inf"), float("nan")]),
    st.sampled_from(["", "a", "yes", "0.5", "2h", "-3 s", "auto", "all", "paper", "adam", "sgd", "digits", "a.b", "T"]),
    st.sampled_from([[], {}, [0.5], [1, 2], ["a"], [None], {"a": 1}, [[1]], [True], ["renyi", "trace"]]),
)


@cache
def validator() -> Any:
    return jsonschema.Draft7Validator(schema_of_sweep_files())


def places(value: Any, way: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to each value of a file, and to a key that is not there in each mapping."""
    if way:
        yield way
    if isinstance(value, dict):
        yield (*way, "other")
        for key, inside in value.items():
            yield from places(inside, (*way, key))
    if isinstance(value, list):
        for index, inside in enumerate(value):
            yield from places(inside, (*way, index))


def changed(content: Any, way: tuple[Any, ...], value: Any, remove: bool) -> Any:
    content = copy.deepcopy(content)
    inside = content
    for step in way[:-1]:
        inside = inside[step]
    if remove and (isinstance(inside, list) or way[-1] in inside):
        del inside[way[-1]]
    else:
        inside[way[-1]] = value
    return content


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("schema")


ALL_PLACES = list(places(yaml.safe_load(FULL)))


@settings(max_examples=250, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(ALL_PLACES), VALUES, st.booleans())
@example(("training", "augment"), "on", False)
@example(("sharpness", "measures"), ["renyi", "unknown"], False)
@example(("grid", 0, "optimizer"), "adamw", False)
@example(("data", "dataset"), "no", False)
def test_what_it_rejects_the_loader_rejects(files: Path, way: tuple[Any, ...], value: Any, remove: bool) -> None:
    path = files / "sweep.yaml"
    path.write_text(yaml.safe_dump(changed(yaml.safe_load(FULL), way, value, remove)))
    try:
        content = read_mapping(path)
    except UsageError:
        return
    if validator().is_valid(content):
        return
    with pytest.raises(UsageError):
        load(str(path), storage=str(files / "storage"))


def test_each_kind_of_mistake_is_seen_while_it_is_typed(sweep_file: Callable[..., Path]) -> None:
    for old, new in (
        ("epochs: 2", "epoch: 2"),
        ("epochs: 2", "epochs: two"),
        ("optimizer: sgd", "optimizer: sgdd"),
        ("weight_decay", "wheight_decay"),
        ("weight_decay: [1e-4, 1e-3]", "weight_decay: [fast]"),
        ("weight_decay: [1e-4, 1e-3]", "rho: 0.1"),
        ("dataset: digits", "dataset: digit"),
        ("measures: [renyi,", "measures: [reny,"),
        ("estimator: paired", "estimator: pared"),
        ("cpus: 0.5", "cpus: 0"),
    ):
        assert not validator().is_valid(read_mapping(sweep_file((old, new)))), new
    assert validator().is_valid(read_mapping(sweep_file()))


@pytest.mark.parametrize("name", shipped_sweeps())
def test_shipped_sweeps_are_valid_and_name_the_schema_beside_them(name: str) -> None:
    path = SHIPPED / f"{name}.yaml"
    validator().validate({key: value for key, value in read_mapping(path).items() if not key.startswith(IGNORED)})
    assert f"# yaml-language-server: $schema={SCHEMA_FILE}\n" in path.read_text()


def test_the_schema_beside_the_shipped_sweeps_is_the_one_that_is_printed() -> None:
    jsonschema.Draft7Validator.check_schema(schema_of_sweep_files())
    written = json.loads((SHIPPED / SCHEMA_FILE).read_text())
    assert written == json.loads(json.dumps(schema_of_sweep_files())), (
        f"renyi schema > orchestrator/sweeps/{SCHEMA_FILE}"
    )


def test_a_full_file_is_valid() -> None:
    validator().validate(yaml.safe_load(FULL.replace("1e-2", "0.01")))
