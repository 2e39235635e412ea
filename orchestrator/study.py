"""What a report says about the sweep itself: data with sizes, grid, networks, settings, file, version, machine."""

import platform
import re
from collections.abc import Sequence
from datetime import datetime
from importlib.metadata import version

from analysis.results.study import Study
from orchestrator.config.grid import SubGrid
from orchestrator.config.sweep_config import SweepConfig
from orchestrator.store.known_sets import read_sets
from trainables.catalogue import DATA_SETS, NETWORKS, size_of
from trainables.layer_names import layers_in_words
from trainables.trial.code import commit
from trainables.trial.folder import LAST_CHECKPOINT
from trainables.trial.manifest import TRIALS_FOLDER
from trainables.trial.specs import TrainingOptions, TrialSpec
from trainables.trial.storage import join, open_folder

LOCAL_INTERFACE = "http://127.0.0.1:5000"  # where `renyi ui` serves a database of this machine


def study_of(config: SweepConfig, specs: Sequence[TrialSpec]) -> Study:
    """The study of a sweep, from its file, its catalogue and this machine; reads nothing of its results."""
    made_by = version("renyi-sharpness")
    found = commit()
    server = re.sub(r"//[^/@]*@", "//", config.shown_tracking).rstrip("/")
    return Study(
        data=_data(config),
        networks="; ".join(_network(name, config) for name in _networks(specs)),
        grid=tuple(_sub_grid(sub_grid) for sub_grid in config.grid) + _seeds_and_sample(config),
        training=_training(config),
        settings=config.sharpness,
        resources=f"a trial {_process(config.resources.trial.cpus, config.resources.trial.gpus)}, a measuring process "
        f"{_process(config.resources.pool.cpus, config.resources.pool.gpus)}",
        file_name=config.file.name if config.file is not None else f"{config.name}.yaml",
        file_text=config.shared_text,
        version=made_by if found is None else f"{made_by}, commit {found[:12]}",
        machine=f"{platform.node()} ({platform.system()} {platform.machine()}, Python {platform.python_version()})",
        written=datetime.now().astimezone().isoformat(sep=" ", timespec="minutes"),
        command=f"renyi run {config.typed}",
        layers={name: words for network in _networks(specs) for name, words in layers_in_words(network).items()}
        if len(_networks(specs)) == 1
        else {},
        checkpoints={
            spec.trial_id: join(config.folder, f"{TRIALS_FOLDER}/{spec.trial_id}/{LAST_CHECKPOINT}") for spec in specs
        },
        labels={spec.trial_id: spec.label for spec in specs},
        interface=server if server.startswith("http") else LOCAL_INTERFACE,
    )


def _data(config: SweepConfig) -> str:
    data, known = config.data, DATA_SETS[config.data.dataset]
    name = data.name or data.dataset
    parts = [f"{known.train_images:,} training images".replace(",", " ")] if known.train_images else []
    if known.test_images:
        parts.append(f"{known.test_images:,} test images".replace(",", " "))
    for fingerprint, recorded in read_sets(open_folder(config.folder)).items() if data.dataset == "parquet" else ():
        if fingerprint == data.fingerprint:
            parts = [f"{sum(counts):,} {split} images".replace(",", " ") for split, counts in recorded.counts.items()]
            parts.append(f"{len(recorded.classes)} classes")
    if known.side:
        parts.append(f"{known.side}×{known.side} pixels")
    if data.validation:
        parts.append(f"{data.validation} of the training images held out for validation")
    if data.fingerprint:
        parts.append(f"fingerprint {data.fingerprint[:16]}")
    return f"{name}: {', '.join(parts)}" if parts else name


def _networks(specs: Sequence[TrialSpec]) -> list[str]:
    return list(dict.fromkeys(spec.model for spec in specs))


def _network(name: str, config: SweepConfig) -> str:
    size = size_of(name, config.data.dataset)
    if size is None:
        return name if name in NETWORKS else f"{name} (of your own code)"
    counts = f"{size.parameters:,} parameters, {size.flops:,} floating-point operations an image".replace(",", " ")
    return f"{name}: {counts}".replace("  ", ", ")


def _sub_grid(sub_grid: SubGrid) -> str:
    parts = [sub_grid.optimizer]
    for axis in sub_grid.axes:
        points = [point[0] if len(point) == 1 else f"({', '.join(map(_short, point))})" for point in axis.values]
        names = axis.names[0] if len(axis.names) == 1 else f"({', '.join(axis.names)})"
        values = ", ".join(map(_short, points))
        parts.append(f"{names} {values}" if len(points) == 1 else f"{names} in {{{values}}}")
    return " × ".join(parts)


def _short(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _seeds_and_sample(config: SweepConfig) -> tuple[str, ...]:
    parts = (f"seeds {', '.join(map(str, config.seeds))}",)
    if config.sample is None:
        return parts
    return (*parts, f"a random sample of {config.sample.trials} combinations, seed {config.sample.seed}")


def _training(config: SweepConfig) -> str:
    """The options that differ from their defaults, and the length of training."""
    given = config.training.model_dump(exclude_defaults=True, exclude=set(TrainingOptions.NOT_IDENTITY))
    shown = {"epochs": config.training.epochs, "schedule": config.training.schedule, **given}
    return ", ".join(f"{name.replace('_', ' ')} {_short(value)}" for name, value in shown.items())


def _process(cpus: float, gpus: float) -> str:
    return f"{cpus:g} CPU" + (f" and {gpus:g} GPU" if gpus else "")
