"""A dress rehearsal: what would go wrong in a trial, found in seconds on a few images. Runs in a worker.

Each function is a task whose values are problems, a line each; no value means that there is none.
"""

import hashlib
import math
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.nn.parameter import is_lazy

from analysis.errors import AnalysisError
from analysis.life import alive
from analysis.one_line import one_line, plain_text
from analysis.settings import SharpnessSettings
from analysis.sharpness.layers import select_parameters
from analysis.sharpness.loss.given import loss_in
from analysis.sharpness.measures.own import load_measure
from trainables.data import Dataset, load_dataset, stratified_indices
from trainables.errors import DivergedError, TrainingError
from trainables.models import model_factory
from trainables.processes.ending import innermost_own_frame
from trainables.training.checkpoints import save_checkpoint, why_unreadable
from trainables.training.device import default_device
from trainables.training.loop import check_images, check_validation, checkpoint_of, initial_model, resume
from trainables.training.trainer import Trainer, determinism, memory_format
from trainables.trial.cases import Case
from trainables.trial.folder import LAST_CHECKPOINT, EpochMetrics, TrialFolder
from trainables.trial.specs import DataSpec, RSAMSpec, TrialSpec
from trainables.trial.storage import LocalFolder

MOST_IMAGES = 8  # in the batch; more would find no more
MOST_SHOWN = 300  # characters of an error's text


class ProblemError(Exception):
    """What went wrong, in one line."""


def check_model(model: str) -> Iterator[str]:
    """Import a network's factory."""
    yield from _problem_of(lambda: model_factory(model))


def check_import(path: str, settings: SharpnessSettings) -> Iterator[str]:
    """Import the loss, or a measure of the user's own."""
    yield from _problem_of(lambda: loss_in(settings.loss) if path == settings.loss.name else load_measure(path))


def imported_code(installed: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Each file of code that this process imported from outside the given folders, with its SHA-256."""
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None)
        if isinstance(file, str) and file.endswith(".py") and not file.startswith(installed) and Path(file).is_file():
            yield file, hashlib.sha256(Path(file).read_bytes()).hexdigest()


def check_data(spec: DataSpec, settings: SharpnessSettings) -> Iterator[str]:
    """Load the data; check their labels, and that the samples of the measurements can be drawn."""
    try:
        data = load_dataset(spec)
    except TrainingError as error:
        yield str(error)
        return
    alive()
    name = spec.name or spec.dataset
    problems = [*_label_problems(name, data)]
    yield from problems
    if not problems:
        yield from _problem_of(lambda: stratified_indices(data.train.targets, settings.samples, settings.sample_seed))


def rehearse(case: Case, settings: SharpnessSettings, threads: int) -> Iterator[str]:
    """Take a step with a network and its optimizer, write a checkpoint, read it back, and take another step with it."""
    torch.set_num_threads(threads)
    spec = case.spec
    name = f"model {spec.model!r} with {spec.optimizer.name}"
    data = load_dataset(spec.data)
    with determinism(spec.training.deterministic):
        try:
            _check_outputs(spec, data, settings)
            _check_steps(spec, data)
        except ProblemError as problem:
            yield f"{name}: {problem}"
            return
        yield from (f"model {spec.model!r}: {problem}" for problem in _last_batches(case, data))


def _check_outputs(spec: TrialSpec, data: Dataset, settings: SharpnessSettings) -> None:
    """One batch through a new network and the loss, in training mode and in eval mode."""
    images, targets = _batch(spec, data)
    with _stage("it can't be built"):
        check_validation(spec, data)
        check_images(spec, data)
        model = initial_model(spec, data)
    lazy = [name for name, tensor in [*model.named_parameters(), *model.named_buffers()] if is_lazy(tensor)]
    if lazy:
        raise ProblemError(
            f"its {_few(lazy)} have no size before the first batch (lazy layers); give their sizes, or pass a batch of "
            "zeros through the network before you return it"
        )
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise ProblemError("it has nothing to train: no parameter requires a gradient")
    model.to(images.device, memory_format=memory_format(spec.training))  # type: ignore[call-overload]
    for training in (True, False):
        model.train(training)
        with _stage(f"fails on {_shape(images)} in {'training' if training else 'eval'} mode"):
            outputs = model(images)
        _check_shape(outputs, len(images), data.num_classes)
        alive()
        loss = cross_entropy(outputs.float(), targets).item()
        if not math.isfinite(loss):
            raise ProblemError(
                f"the loss of its first batch is {loss}, before any step; look for 0/0 or log 0 in its forward"
            )
    for layer in settings.layers if settings.layers != "all" else ():
        try:
            select_parameters(model, layer)
        except AnalysisError as error:
            raise ProblemError(f"sharpness.layers: {error}") from error


def _check_shape(outputs: object, count: int, num_classes: int) -> None:
    wanted = f"training needs a tensor of logits, ({count}, {num_classes}) for {count} images of {num_classes} classes"
    if not isinstance(outputs, Tensor):
        raise ProblemError(f"it returns {type(outputs).__name__}; {wanted}. Return the logits alone")
    if tuple(outputs.shape) != (count, num_classes):
        raise ProblemError(
            f"it returns {tuple(outputs.shape)}; {wanted}. Its factory is called with num_classes={num_classes}"
        )


def _check_steps(spec: TrialSpec, data: Dataset) -> None:
    """A step, a checkpoint, and another step that begins with it."""
    images = _indices(spec, data)
    small = replace(data, train=data.train[images]).to(default_device())
    spec = _at_once(spec)
    with tempfile.TemporaryDirectory(prefix="renyi-rehearsal-") as scratch:
        trial = TrialFolder(LocalFolder(Path(scratch)))
        trial.claim()  # without which no worker writes a checkpoint
        trainer = Trainer(spec, initial_model(spec, data), small)
        with _stage("its initial state can't be written to a checkpoint", _unreadable):
            resume(trainer, trial)
        with _stage("a training step fails"):
            loss = trainer.train_epoch(0, max_steps=1)
        alive()
        done = EpochMetrics(0, 0.0, loss, 0.0, 0.0, 0.0, 0.0)
        with _stage("its state can't be written to a checkpoint", _unreadable):
            save_checkpoint(trial.folder, LAST_CHECKPOINT, checkpoint_of(trainer, [done], done=False))
        resumed = Trainer(spec, initial_model(spec, data), small)
        with _stage("its checkpoint can't be used", _unreadable):
            resume(resumed, trial)
        alive()
        try:
            with _stage("a training step from its checkpoint fails"):
                resumed.train_epoch(1, max_steps=1)
        except ProblemError as problem:
            if not isinstance(problem.__cause__, DivergedError):  # too high a learning rate is a trial's result
                raise


def _at_once(spec: TrialSpec) -> TrialSpec:
    """The trial without what would delay its costly steps, and without compilation."""
    training = spec.training.model_copy(update={"compile": False, "drop_last": False})
    optimizer = spec.optimizer
    if isinstance(optimizer, RSAMSpec):
        optimizer = optimizer.model_copy(update={"plain_epochs": 0, "plain_until_accuracy": None})
    return spec.model_copy(update={"training": training, "optimizer": optimizer})


def _last_batches(case: Case, data: Dataset) -> Iterator[str]:
    """Of batch sizes that leave one image for the last batch of an epoch: those whose trials would fail on it."""
    count = len(data.train)
    for size in case.batch_sizes:
        if (count % size or size) != 1:
            continue
        model = initial_model(case.spec, data).to(default_device()).train()
        try:
            with _stage("fails"):
                model(data.normalize(data.train.images[:1].to(default_device())))
        except ProblemError as problem:
            yield (
                f"training.batch_size {size}: the last batch of the {count} training images is a single one, and there "
                f"it {problem}; choose another batch size"
            )


def _label_problems(name: str, data: Dataset) -> Iterator[str]:
    for split, targets in (("training", data.train.targets), ("test", data.test.targets)):
        if targets.dtype != torch.int64:
            yield f"data {name}: {split} labels must be int64; they are {targets.dtype}"
            return
        if len(targets) and not 0 <= int(targets.min()) <= int(targets.max()) < data.num_classes:
            yield (
                f"data {name}: {split} labels go from {int(targets.min())} to {int(targets.max())}; with "
                f"{data.num_classes} classes they must be 0 to {data.num_classes - 1}"
            )
            return
    counts = torch.bincount(data.train.targets, minlength=data.num_classes)
    missing = [str(each) for each in (counts == 0).nonzero().flatten().tolist()]
    if missing:
        yield f"data {name}: no training image has class {_few(missing)} of {data.num_classes}; renumber the classes"


def _indices(spec: TrialSpec, data: Dataset) -> Tensor:
    return torch.arange(min(MOST_IMAGES, max(2, spec.training.batch_size), len(data.train)))


def _batch(spec: TrialSpec, data: Dataset) -> tuple[Tensor, Tensor]:
    images, targets = data.train_samples(_indices(spec, data))
    device = default_device()
    return images.to(device).contiguous(memory_format=memory_format(spec.training)), targets.to(device)


def _shape(images: Tensor) -> str:
    return f"{len(images)} images of {'×'.join(map(str, images.shape[1:]))}"


def _few(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


@contextmanager
def _stage(what: str, explain: Any = None) -> Iterator[None]:
    """Turn whatever is raised into a problem; `explain` makes its text."""
    try:
        yield
    except (Exception, SystemExit, KeyboardInterrupt) as error:
        place = innermost_own_frame(error)
        text = (explain or _text)(error)
        raise ProblemError(f"{what}: {text}{f' ({place})' if place else ''}") from error


def _text(error: BaseException) -> str:
    """The type and the whole text of an error, on one line."""
    if isinstance(error, TrainingError):
        return str(error)
    text = " ".join(plain_text(str(error)).split())
    text = text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}…"
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _unreadable(error: BaseException) -> str:
    """Why a state can't be kept: what it holds that no checkpoint may, or what is missing in a new network."""
    if isinstance(error, TrainingError) and error.__cause__ is not None:
        return why_unreadable(error.__cause__)
    text = _text(error)
    if "state_dict" in text:
        text += "; make every parameter and buffer in __init__, not in the first forward"
    return text


def _problem_of(action: Any) -> Iterator[str]:
    try:
        action()
    except (TrainingError, AnalysisError) as error:
        yield str(error)
    except (Exception, SystemExit, KeyboardInterrupt) as error:  # noqa: BLE001 - the user's code
        yield one_line(error)
