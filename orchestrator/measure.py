"""`renyi measure`: every measure of one network, without a sweep."""

import importlib
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from rich.table import Table
from torch import nn

from analysis.address import without_secrets
from analysis.one_line import plain_text
from analysis.progress import progress_bar
from analysis.schema import ALL_LAYERS, Measurement
from analysis.settings import PAPER_ORDERS, SharpnessSettings
from analysis.sharpness.loss import LOSSES, LossLike
from analysis.sharpness.measure import measure_subject
from analysis.sharpness.subject import Subject
from orchestrator.config.problems import say
from orchestrator.display import announced, console
from orchestrator.errors import UsageError
from orchestrator.executors.actor import subject_of
from trainables.catalogue import NETWORKS
from trainables.data import load_dataset, stratified_indices
from trainables.data.arrays import load_arrays
from trainables.errors import TrainingError
from trainables.training.checkpoints import load_checkpoint
from trainables.training.device import default_device
from trainables.training.weights import load_weights, read_weights
from trainables.trial.folder import TrialFolder
from trainables.trial.specs import DataSpec, TrialSpec
from trainables.trial.storage import is_remote, open_folder


@dataclass(frozen=True)
class Request:
    """The words of the command."""

    file: Path
    model: str | None = None
    data: str | None = None
    loss: str = "cross_entropy"
    measures: str | None = None  # separated by commas
    samples: int = 200
    orders: str = "0.5,1.5"
    trust: bool = False  # what the file names: code and addresses


def measure_file(request: Request) -> None:
    """Measure the network of a file, and print a row for every measurement.

    Raises:
        UsageError: there is no such file, or an option is not valid.
        TrainingError: the file or the samples can't be read, or do not fit the network.
    """
    if not request.file.is_file():
        raise UsageError(
            f"{request.file}: no such file; a trial's checkpoints lie in <storage>/<sweep>/trials/<trial_id>"
        )
    settings = _settings(request)
    loss: LossLike = request.loss if request.loss in LOSSES else _imported(request.loss, "--loss")
    if (request.model is None) != (request.data is None):
        lacking, there = ("--data", "--model") if request.data is None else ("--model", "--data")
        raise UsageError(f"{lacking}: is needed with {there}: a state dict says neither what network nor what data")
    with announced("loading the network and its samples"):
        subject = _of_trial(request, settings) if request.model is None else _of_weights(request, settings)
    with progress_bar() as bar:
        rows = measure_subject(replace(subject, loss=loss, bar=bar))
    _show(rows, request)


def _settings(request: Request) -> SharpnessSettings:
    options: dict[str, Any] = {"samples": request.samples}
    try:
        options["orders"] = PAPER_ORDERS if request.orders == "paper" else tuple(map(float, request.orders.split(",")))
    except ValueError as error:
        raise UsageError(f"--orders: {request.orders!r} is not a list of numbers such as 0.5,1.5") from error
    if request.measures is not None:
        options["measures"] = "all" if request.measures == "all" else tuple(request.measures.split(","))
    try:
        return SharpnessSettings.model_validate(options)
    except ValidationError as error:
        raise UsageError(*(f"--{detail['loc'][0]}: {say(detail)}" for detail in error.errors())) from error


def _of_trial(request: Request, settings: SharpnessSettings) -> Subject:
    trial = TrialFolder(open_folder(str(request.file.parent.absolute())))
    device = default_device()
    try:
        checkpoint = load_checkpoint(trial.folder, request.file.name, device, trial.trial_id)
    except TrainingError as error:
        try:
            names = list(read_weights(request.file))
        except TrainingError:
            raise error from None
        if "spec" in str(error) or request.file.suffix == ".safetensors":
            raise UsageError(
                f"{request.file}: holds the weights {', '.join(names[:3])}, …, but is no checkpoint of a trial; say "
                "how to build its network, and on what to measure it: --model my_module:build --data samples.npz"
            ) from error
        raise
    if not request.trust:
        _refuse_what_it_names(request.file, checkpoint.spec)
    return subject_of(checkpoint, checkpoint.spec, trial, settings, device)[0]


def _refuse_what_it_names(file: Path, spec: TrialSpec) -> None:
    """Refuse to run code, to ask addresses or to make folders that a checkpoint alone names.

    Raises:
        UsageError: a line for each.
    """
    remedy = "if you trust whoever made the file as you would trust a script of theirs, add --trust"
    problems = []
    if spec.model not in NETWORKS:
        problems.append(f"its network is the code {plain_text(spec.model)}, which would be imported and run; {remedy}")
    places = [*spec.data.train, *spec.data.test, *([spec.data.root] if spec.data.root else [])]
    problems += [
        f"its data are at {plain_text(without_secrets(place))}, which would be asked with your credentials; {remedy}"
        for place in places
        if is_remote(place)
    ]
    if spec.data.root and not is_remote(spec.data.root) and not Path(spec.data.root).is_dir():
        problems.append(f"its data belong into the folder {plain_text(spec.data.root)}, which is not there; {remedy}")
    if problems:
        raise UsageError(*(f"{file}: {problem}" for problem in problems))


def _of_weights(request: Request, settings: SharpnessSettings) -> Subject:
    assert request.model is not None
    assert request.data is not None
    build = _imported(request.model, "--model")
    try:
        model = build if isinstance(build, nn.Module) else build()
    except TypeError as error:
        raise UsageError(f"--model: {request.model} must be callable without arguments: {error}") from error
    if not isinstance(model, nn.Module):
        raise UsageError(f"--model: {request.model} must return a torch.nn.Module; it returned {type(model).__name__}")
    load_weights(model, read_weights(request.file), request.file)
    inputs, targets = _samples(request.data, settings)
    return Subject(model.to(default_device()), inputs, targets, settings)


def _samples(data: str, settings: SharpnessSettings) -> tuple[Any, Any]:
    if data.endswith(".npz"):
        return load_arrays(Path(data), settings.samples, settings.sample_seed)
    if not data.endswith(".parquet"):
        raise UsageError(f"--data: {data} is neither an .npz archive nor a Parquet file or glob (*.parquet)")
    found = load_dataset(DataSpec(dataset="parquet", train=(data,), test=(data,)))
    count = min(settings.samples, len(found.train))
    inputs, targets = found.train_samples(stratified_indices(found.train.targets, count, settings.sample_seed))
    return inputs.numpy(), targets.numpy()  # arrays are brought to the network's device and precision


def _imported(path: str, option: str) -> Callable[..., Any]:
    """What `module:name` or `module.name` names; modules of the current folder are found too."""
    module, _, name = path.partition(":") if ":" in path else path.rpartition(".")
    if not module or not name:
        known = f", nor one of {', '.join(LOSSES)}" if option == "--loss" else ""
        raise UsageError(f"{option}: {path!r} is not of the form my_module:name{known}")
    if "" not in sys.path and str(Path.cwd()) not in sys.path:
        sys.path.append(str(Path.cwd()))
    try:
        found: Callable[..., Any] = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise UsageError(f"{option}: {path} can't be imported: {error}; its folder must be on PYTHONPATH") from error
    if not callable(found):
        raise UsageError(f"{option}: {path} must be callable; it is {type(found).__name__}")
    return found


def _show(rows: list[Measurement], request: Request) -> None:
    table = Table(title=f"{request.file}: at most {request.samples} samples, {request.loss}")
    for name in ("measure", "layer"):
        table.add_column(name, no_wrap=True)
    for name in ("parameter", "value", "stderr"):
        table.add_column(name, justify="right")
    for row in rows:
        layer = "all layers" if row.layer == ALL_LAYERS else row.layer
        parameter = "" if row.parameter is None else f"{row.parameter:g}"
        value = row.reason if row.value is None else f"{row.value:.6g}"
        stderr = "" if row.stderr is None else f"{row.stderr:.2g}"
        table.add_row(row.measure, layer, parameter, value, stderr)
    console.print(table)
