"""The training steps of an epoch: batches, augmentation, precision, clipping, and the optimizer's own passes."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.amp.grad_scaler import GradScaler
from torch.optim import Optimizer

from analysis.life import living
from analysis.seeding import derive_seed
from trainables.data import Augmentation, Dataset
from trainables.data.cutout import Cutout
from trainables.data.mixup import Mixture, draw_mixtures
from trainables.errors import DivergedError
from trainables.optimizers import SharpnessAware
from trainables.optimizers.build import base_optimizer, build_optimizer
from trainables.training.averaging import AveragedNetwork
from trainables.training.objective import objective
from trainables.trial.specs import TrainingOptions, TrialSpec

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


class Trainer:
    """A network with its optimizer and, for float16, its loss scaler; trains one epoch at a time.

    `network` is what is evaluated, kept and measured: `model`, or with `ema_decay` the average of its weights. Weights
    stay in float32. With `compile` the forward pass of training is compiled; evaluation, checkpoints and
    measurements use the network as it is.
    """

    def __init__(self, spec: TrialSpec, model: nn.Module, data: Dataset) -> None:
        self.spec = spec
        self.data = data
        self.device = data.train.targets.device
        self.format = memory_format(spec.training)
        self.model = model.to(self.device, memory_format=self.format)  # type: ignore[call-overload]
        self.optimizer = build_optimizer(spec.optimizer, self.model, spec.seed)
        self.scaler = GradScaler(self.device.type, enabled=spec.training.precision == "float16")
        decay = spec.training.ema_decay
        self.averaged = None if decay is None else AveragedNetwork(self.model, decay)
        self._base_rates: list[float] = [group["lr"] for group in self.optimizer.param_groups]
        self._forward: Callable[[Tensor], Tensor] = torch.compile(model) if spec.training.compile else self.model
        if spec.training.gradient_clip is not None:
            base_optimizer(self.optimizer).register_step_pre_hook(self._clip)

    @property
    def network(self) -> nn.Module:
        """The network that is evaluated, kept and measured."""
        return self.model if self.averaged is None else self.averaged.network

    @property
    def steps_per_epoch(self) -> int:
        """Batches of an epoch, the last incomplete one included unless `drop_last`."""
        count, size = len(self.data.train), self.spec.training.batch_size
        return count // size if self.spec.training.drop_last else -(-count // size)

    def set_learning_rate(self, factor: float) -> float:
        """Set and return the learning rate of an epoch; the factor applies to the base rate above the floor."""
        floor = self.spec.training.learning_rate_floor
        for group, base in zip(self.optimizer.param_groups, self._base_rates, strict=True):
            group["lr"] = floor + (base - floor) * factor
        return floor + (self._base_rates[0] - floor) * factor

    def train_epoch(self, epoch: int, max_steps: int | None = None) -> float:
        """Train for one pass over the training set in random batches; the mean loss, without label smoothing.

        Args:
            epoch: seeds the order of the images and all that changes them, together with the trial's seed.
            max_steps: end after this many steps; None for the whole epoch.

        Raises:
            DivergedError: the mean loss is not finite.
        """
        self.model.train()
        training, seed = self.spec.training, self.spec.seed
        count = len(self.data.train)
        generator = torch.Generator().manual_seed(derive_seed(seed, "batches", epoch))
        order = torch.randperm(count, generator=generator).to(self.device, non_blocking=True)
        augmentation = Augmentation.draw(training, count, seed, epoch).to(self.device) if training.augment else None
        cutout = self._draw_cutout(epoch)
        batches = order.split(training.batch_size)[: self.steps_per_epoch][:max_steps]
        total = torch.zeros((), dtype=torch.float64, device=self.device)
        seen = 0
        with seeded(derive_seed(seed, "dropout", epoch), self.device):
            for indices, mixture in living(zip(batches, self._draw_mixtures(batches, epoch), strict=True)):
                images = self.data.train.images[indices]
                if augmentation is not None:
                    images = augmentation.apply(images, indices)
                inputs = self.data.normalize(images)
                if cutout is not None:
                    inputs = cutout.apply(inputs, indices)
                if mixture is not None:
                    inputs = mixture.apply(inputs)
                inputs = inputs.contiguous(memory_format=self.format)
                total += self._step(inputs, self.data.train.targets[indices], mixture).double() * len(indices)
                seen += len(indices)
        mean = total.item() / seen  # the only wait for the device in an epoch
        if not math.isfinite(mean):
            raise DivergedError(f"the training loss became {mean} in epoch {epoch}; try a smaller learning rate")
        return mean

    def _draw_cutout(self, epoch: int) -> Cutout | None:
        if self.spec.training.cutout is None:
            return None
        height, width = self.data.train.images.shape[2:]
        drawn = Cutout.draw(self.spec.training.cutout, len(self.data.train), height, width, self.spec.seed, epoch)
        return drawn.to(self.device)

    def _draw_mixtures(self, batches: Sequence[Tensor], epoch: int) -> Iterator[Mixture | None]:
        if self.spec.training.mixup is None:
            return iter([None] * len(batches))
        sizes = [len(indices) for indices in batches]
        drawn = draw_mixtures(self.spec.training.mixup, sizes, self.spec.seed, epoch)
        return (mixture.to(self.device) for mixture in drawn)

    def _step(self, inputs: Tensor, targets: Tensor, mixture: Mixture | None) -> Tensor:
        """Make one step of the optimizer on a batch; the loss before the step, without label smoothing."""
        precision = PRECISIONS[self.spec.training.precision]
        smoothing = self.spec.training.label_smoothing

        def closure() -> Tensor:
            self.optimizer.zero_grad()
            with torch.autocast(self.device.type, precision, enabled=precision is not torch.float32):
                lowered, reported = objective(self._forward(inputs), targets, smoothing, mixture)
            self.scaler.scale(lowered).backward()
            return reported

        if isinstance(self.optimizer, SharpnessAware):
            loss: Tensor = self.optimizer.step(closure, self.scaler)
        else:
            loss = closure()
            self.scaler.step(self.optimizer)
        self.scaler.update()
        if self.averaged is not None:
            self.averaged.update(self.model)
        return loss

    def end_epoch(self, validation_accuracy: float | None) -> None:
        """Report the end of an epoch to the optimizer: Eigen-SAM restarts its count, and RSAM's warm-up may end."""
        if isinstance(self.optimizer, SharpnessAware):
            self.optimizer.end_epoch(validation_accuracy)

    def _clip(self, optimizer: Optimizer, *_: Any) -> None:
        largest = self.spec.training.gradient_clip
        assert largest is not None
        parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        nn.utils.clip_grad_norm_(parameters, largest)


def memory_format(training: TrainingOptions) -> torch.memory_format:
    """How a network's weights lie in memory, in training and in evaluation."""
    return torch.channels_last if training.channels_last else torch.contiguous_format


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """While entered, torch's global generators have a seed, for layers that draw (dropout); then they are restored."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield


@contextmanager
def determinism(wanted: bool) -> Iterator[None]:
    """While entered, refuse kernels whose results vary from run to run; on GPUs, fix the choice of convolutions."""
    before = torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark
    if wanted:
        torch.use_deterministic_algorithms(True)
        torch.backends.cudnn.benchmark = False
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0])
        torch.backends.cudnn.benchmark = before[1]
