"""What a sweep's configuration makes of its own keys and of the machine's environment."""

from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.config.expand import expand
from orchestrator.config.load import load
from orchestrator.config.sweep_config import MemoryShare, PoolResources, ProcessResources

SweepFile = Callable[..., Path]


def test_system_metrics_are_off_until_asked_for(sweep_file: SweepFile, monkeypatch: pytest.MonkeyPatch) -> None:
    plain, asked = sweep_file(), sweep_file(("name: small", "name: small\nsystem_metrics: true"), name="asked.yaml")
    assert not load(str(plain)).system_metrics
    assert load(str(asked)).system_metrics
    assert [spec.trial_id for spec in expand(load(str(asked)))] == [spec.trial_id for spec in expand(load(str(plain)))]
    monkeypatch.setenv("MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING", "true")
    assert load(str(plain)).system_metrics


def test_addresses_are_absolute(sweep_file: SweepFile, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    config = load(str(sweep_file()), storage="results")
    assert config.folder == f"{tmp_path}/results/small"
    assert config.tracking_uri == f"sqlite:///{tmp_path}/results/mlflow.db"


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg"])
def test_postgresql_is_reached_by_any_of_its_names_and_its_password_is_not_shown(
    sweep_file: SweepFile, scheme: str
) -> None:
    config = load(str(sweep_file()), tracking=f"{scheme}://me:secret@host/mlflow")
    assert config.tracking_uri == "postgresql+psycopg://me:secret@host/mlflow"
    assert config.shown_tracking == "postgresql+psycopg://***@host/mlflow"


def test_a_sweep_in_an_object_store_keeps_the_options_of_its_address(sweep_file: SweepFile) -> None:
    config = load(str(sweep_file()), storage="s3://bucket/renyi?scheme=http", tracking="http://host:5000")
    assert config.folder == "s3://bucket/renyi/small?scheme=http"


def test_a_machine_may_name_storage_and_tracking_and_the_file_wins(
    sweep_file: SweepFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RENYI_STORAGE", "/of/the/machine")
    monkeypatch.setenv("RENYI_TRACKING", "http://machine:5000")
    config = load(str(sweep_file()))
    assert (config.folder, config.tracking_uri) == ("/of/the/machine/small", "http://machine:5000")
    own = sweep_file(("name: small", "name: small\nstorage: /own\ntracking: http://own:5000"), name="own.yaml")
    config = load(str(own))
    assert (config.folder, config.tracking_uri) == ("/own/small", "http://own:5000")


@pytest.mark.parametrize(("cpus", "threads"), [(0.25, 1), (1, 1), (3.5, 3)])
def test_a_process_has_a_thread_a_whole_core_and_at_least_one(cpus: float, threads: int) -> None:
    assert ProcessResources(cpus=cpus).threads == threads


def test_shifts_change_no_identity(sweep_file: SweepFile) -> None:
    plain = load(str(sweep_file()))
    asked = load(str(sweep_file(("name: small", "name: small\nshifts: [noise_3, blur_2]"), name="asked.yaml")))
    assert (plain.shifts, asked.shifts) == ((), ("noise_3", "blur_2"))
    assert asked.sharpness.measurement_id == plain.sharpness.measurement_id
    assert [spec.trial_id for spec in expand(asked)] == [spec.trial_id for spec in expand(plain)]


@pytest.mark.parametrize(
    ("pool", "share"),
    [
        (PoolResources(), MemoryShare(None, 1 / 8)),
        (PoolResources(cpus=2), MemoryShare(None, 1 / 4)),
        (PoolResources(cpus=16), MemoryShare(None, 1.0)),
        (PoolResources(actors=4), MemoryShare(None, 1 / 4)),
        (PoolResources(gpus=0.25), MemoryShare(None, 0.25)),
        (PoolResources(gpus=2, memory_gib=16), MemoryShare(16, 1.0)),
    ],
)
def test_actors_share_the_memory_of_their_machine_or_gpu(pool: PoolResources, share: MemoryShare) -> None:
    assert pool.memory(cores=8) == share
