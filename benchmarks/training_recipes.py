"""Epochs to 90 % of the plain recipe's final accuracy, by recipe; and what evaluation and checkpoints cost of an epoch.

    python benchmarks/training_recipes.py                             # digits, half a minute
    python benchmarks/training_recipes.py --folder cifar10            # all images, 24 epochs of each: hours on a core
    python benchmarks/training_recipes.py --folder cifar10 --train 2000 --test 1000 --epochs 6

plain: the settings of the paper's SAM study: SGD with momentum 0.9, rate 0.1, cosine, decay 5e-4, crops and flips.
fast: D. Page's recipe for CIFAR-10 (How to train your ResNet, DAWNBench 2018/19) adapted to a CPU: Nesterov's momentum,
    a fifth of the epochs as warm-up, decay 5e-4, crops, flips, an 8×8 cutout, label smoothing 0.2, averaged weights.
    Adapted: ResNet-8 or -20 in place of his ResNet-9; batches of 128, not 512, and so a quarter of his rate of 0.4; a
    cosine in place of the straight line to 0; batch-norm and biases decay too; the average is taken every step and
    reaches back over a twentieth of training, not a fifth.

Both are trained as trials are, by `train` into a folder. FOLDER holds the Parquet files train-*.parquet and
test-*.parquet. Seconds are processor seconds of this process, which others on the machine change little. Pass
criterion: evaluation and checkpoints together take at most 3 % of the time of training steps, with --evaluate-every 4
where there is a test image for five training images.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import wraps
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch
from pyarrow import parquet
from torch import nn

from trainables.data import load_dataset
from trainables.models.resnet import BasicBlock, ResNet
from trainables.training import loop
from trainables.training.trainer import Trainer
from trainables.trial.folder import TrialFolder
from trainables.trial.specs import DataSpec, TrialSpec
from trainables.trial.storage import LocalFolder

BATCH = 128
SHARE = 0.9  # of the plain recipe's final accuracy


def resnet8(num_classes: int = 10, in_channels: int = 3) -> nn.Module:
    """One block a stage, 16, 32 and 64 channels: 78 042 parameters for 10 classes."""
    return ResNet(BasicBlock, (1, 1, 1), (16, 32, 64), num_classes, in_channels)


@dataclass
class Clock:
    """Processor seconds of some functions of the training loop, by what they are for."""

    seconds: dict[str, float] = field(default_factory=dict)

    def watch(self, owner: Any, function: str, purpose: str) -> None:
        """Time every call from now on."""
        original: Callable[..., Any] = getattr(owner, function)

        @wraps(original)
        def timed(*arguments: Any, **named: Any) -> Any:
            started = time.process_time()
            try:
                return original(*arguments, **named)
            finally:
                self.seconds[purpose] = self.seconds.get(purpose, 0.0) + time.process_time() - started

        setattr(owner, function, timed)


def spec_of(data: DataSpec, model: str, epochs: int, evaluate_every: int, fast: bool) -> TrialSpec:
    """The trial of a recipe."""
    train = load_dataset(data).train
    side = min(train.images.shape[2:])
    recipe: dict[str, Any] = {"augment": True, "crop_padding": side // 8}
    if fast:
        decay = 1 - 20 / (epochs * len(train) / BATCH)
        recipe |= {
            "cutout": side // 4,
            "label_smoothing": 0.2,
            "warmup_epochs": max(1, epochs // 5),
            "ema_decay": decay,
        }
    return TrialSpec.model_validate(
        {
            "data": data.model_dump(),
            "model": model,
            "training": {"epochs": epochs, "batch_size": BATCH, "evaluate_every": evaluate_every} | recipe,
            "optimizer": {"name": "sgd", "learning_rate": 0.1, "weight_decay": 5e-4, "nesterov": fast},
        }
    )


def first_images(folder: Path, scratch: Path, counts: dict[str, int | None]) -> DataSpec:
    """A Parquet set of the first images of each split; None for all of them."""
    paths = {}
    for split, count in counts.items():
        table = pa.concat_tables([parquet.read_table(path) for path in sorted(folder.glob(f"{split}-*.parquet"))])
        paths[split] = scratch / f"{split}.parquet"
        parquet.write_table(table.slice(0, count), paths[split])
    image = next(name for name in ("img", "image") if name in table.column_names)
    return DataSpec(dataset="parquet", train=(str(paths["train"]),), test=(str(paths["test"]),), image=image)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, help="left out: digits")
    parser.add_argument("--train", type=int, help="images to train on; left out: all")
    parser.add_argument("--test", type=int)
    parser.add_argument("--model", help="default: ResNet-8, of digits their small network with batch-norm")
    parser.add_argument("--epochs", type=int, default=24)
    parser.add_argument(
        "--evaluate-every", type=int, default=1, help="for the epochs to be told; for the cost, 4 or more"
    )
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    clock = Clock()
    clock.watch(Trainer, "train_epoch", "steps")
    for function, purpose in (("evaluate", "evaluation"), ("save_checkpoint", "checkpoints")):
        clock.watch(loop, function, purpose)

    with tempfile.TemporaryDirectory(prefix="renyi-benchmark-") as scratch:
        counts = {"train": arguments.train, "test": arguments.test}
        data = DataSpec(dataset="digits")
        if arguments.folder is not None:
            data = first_images(arguments.folder, Path(scratch), counts)
        model = arguments.model or (f"{Path(__file__).stem}.resnet8" if arguments.folder else "digits_cnn_bn")
        print(f"{model}, evaluated every {arguments.evaluate_every} epochs, one thread")
        print("recipe  accuracy  epochs to target  seconds to target  evaluation  checkpoints  of the steps' time")
        target = 0.0
        for name in ("plain", "fast"):
            spec = spec_of(data, model, arguments.epochs, arguments.evaluate_every, name == "fast")
            clock.seconds.clear()
            trained = loop.train(spec, TrialFolder(LocalFolder(Path(scratch) / name)), torch.device("cpu"))
            ends = [(epoch, sum(clock.seconds.values())) for epoch in trained]
            found = [
                (epoch.epoch + 1, epoch.test_accuracy, seconds)
                for epoch, seconds in ends
                if epoch.test_accuracy is not None
            ]
            final = found[-1][1]
            target = target or SHARE * final
            reached = next(((done, seconds) for done, accuracy, seconds in found if accuracy >= target), None)
            shares = [clock.seconds.get(part, 0.0) / clock.seconds["steps"] for part in ("evaluation", "checkpoints")]
            told = "     never            never" if reached is None else f"{reached[0]:16}  {reached[1]:17.0f}"
            print(f"{name:6}  {final:8.3f}  {told}  {shares[0]:10.1%}  {shares[1]:11.1%}", flush=True)


if __name__ == "__main__":
    main()
