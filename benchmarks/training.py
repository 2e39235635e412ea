"""Images a second of a trial's training loop, against a plain PyTorch loop and against the bare network.

    python benchmarks/training.py --train 'cifar10/train-*.parquet' --test 'cifar10/test-*.parquet' --image img
    python benchmarks/training.py                              # random images; about 5 minutes on one core

ours: an epoch as trials run it: uint8 images mapped from the cache, cropped and flipped and normalized in batches.
loader: the loop of PyTorch's tutorials: torchvision transforms on PIL images, a DataLoader with 0, 1, 2, … workers; the
    best counts.
recipe: ours with a recipe of the literature: cutout, label smoothing, Nesterov's momentum, averaged weights.
ceiling: the same network and optimizer on normalized float32 images that lie in memory, not augmented.
They take turns, a round of `--steps` steps each; figures are medians over rounds, ratios those of the same round.
Then the cache: seconds to build, seconds to open, and the memory of each of four simultaneous trials that it shares
with no other process, above the same network on random images. Pass criteria: ours at least 0.95 of the ceiling and
above the loader; built in 60 s, opened in 0.5 s, less than 50 MB a trial.
"""

import argparse
import itertools
import multiprocessing
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader
from torchvision import transforms

from trainables.cache_folder import CACHE_VARIABLE
from trainables.data import Dataset, load_dataset
from trainables.models import build_model
from trainables.training.trainer import Trainer
from trainables.trial.specs import DataSpec, TrialSpec


def make_spec(data: DataSpec, model: str, batch_size: int, recipe: bool = False) -> TrialSpec:
    """A trial of the paper's settings, or with a recipe of the literature besides."""
    besides = {"cutout": 8, "label_smoothing": 0.2, "ema_decay": 0.999} if recipe else {}
    return TrialSpec.model_validate(
        {
            "data": data.model_dump(),
            "model": model,
            "training": {"epochs": 200, "batch_size": batch_size, "augment": True} | besides,
            "optimizer": {"name": "sgd", "learning_rate": 0.1, "weight_decay": 5e-4, "nesterov": recipe},
        }
    )


def step_on(model: Any, optimizer: Any, inputs: Tensor, targets: Tensor) -> None:
    """Forward, backward, update."""
    optimizer.zero_grad()
    cross_entropy(model(inputs), targets).backward()
    optimizer.step()


def fresh(spec: TrialSpec, data: Dataset, device: torch.device) -> tuple[Any, Any]:
    """The network in training mode, and plain SGD."""
    model = build_model(spec.model, data.num_classes, data.in_channels).to(device).train()
    return model, torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4)


class Transformed(torch.utils.data.Dataset[tuple[Tensor, int]]):
    """PIL images through torchvision's transforms, as torchvision's own CIFAR class hands them out."""

    def __init__(self, data: Dataset) -> None:
        self._images = data.train.images.permute(0, 2, 3, 1).numpy()
        self._targets = data.train.targets.tolist()
        size = self._images.shape[1]
        self._transform = transforms.Compose(
            [
                transforms.RandomCrop(size, padding=4),
                transforms.RandomHorizontalFlip(),
                transforms.ToTensor(),
                transforms.Normalize(data.normalize.mean, data.normalize.std),
            ]
        )

    def __len__(self) -> int:
        return len(self._targets)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self._transform(Image.fromarray(self._images[index])), self._targets[index]


def ours(spec: TrialSpec, data: Dataset, device: torch.device) -> Callable[[int], None]:
    """A function that takes so many steps of a trial."""
    model = build_model(spec.model, data.num_classes, data.in_channels)
    trainer = Trainer(spec, model, data)
    epochs = itertools.count()
    return lambda steps: void(trainer.train_epoch(next(epochs), steps))


def void(_: object) -> None:
    """Drop a result."""


def loader(spec: TrialSpec, data: Dataset, device: torch.device, workers: int) -> Callable[[int], None]:
    """A function that takes so many steps with a DataLoader, which goes on from one call to the next."""
    model, optimizer = fresh(spec, data, device)
    batches = DataLoader(
        Transformed(data),
        spec.training.batch_size,
        shuffle=True,
        num_workers=workers,
        persistent_workers=workers > 0,
        pin_memory=device.type == "cuda",
    )

    def forever() -> Iterator[Any]:
        while True:
            yield from batches

    source = forever()

    def run(steps: int) -> None:
        for inputs, targets in itertools.islice(source, steps):
            step_on(model, optimizer, inputs.to(device, non_blocking=True), targets.to(device, non_blocking=True))

    run(1)  # starts the workers
    return run


def ceiling(spec: TrialSpec, data: Dataset, device: torch.device) -> Callable[[int], None]:
    """A function that takes so many steps on batches that lie ready on the device."""
    model, optimizer = fresh(spec, data, device)
    indices = torch.arange(min(len(data.train), 20 * spec.training.batch_size), device=device)
    inputs, targets = data.train_samples(indices)
    ready = itertools.cycle(
        zip(inputs.split(spec.training.batch_size), targets.split(spec.training.batch_size), strict=True)
    )

    def run(steps: int) -> None:
        for batch, classes in itertools.islice(ready, steps):
            step_on(model, optimizer, batch, classes)

    return run


def timed(run: Callable[[int], None], steps: int, device: torch.device) -> tuple[float, float]:
    """Wall seconds of so many steps, and processor seconds of this process, which others on the machine leave alone."""
    started, processor = time.perf_counter(), time.process_time()
    run(steps)
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started, time.process_time() - processor


def own_memory() -> float:
    """Megabytes that this process shares with no other: anonymous and dirty pages."""
    fields = dict(line.split(":") for line in Path("/proc/self/smaps_rollup").read_text().splitlines()[1:])
    return sum(int(fields[name].split()[0]) for name in ("Private_Clean", "Private_Dirty")) / 1024


def trial_memory(spec: TrialSpec, mapped: bool, barrier: Any, results: Any) -> None:
    """Put this process's own memory after a few steps; on the data set, or on random images of the same shape."""
    torch.set_num_threads(1)
    data = load_dataset(spec.data)
    if mapped:
        run = ours(spec, data, torch.device("cpu"))
    else:
        model, optimizer = fresh(spec, data, torch.device("cpu"))
        inputs = torch.randn(spec.training.batch_size, *data.train.images.shape[1:])
        targets = torch.zeros(len(inputs), dtype=torch.int64)

        def run(steps: int) -> None:
            for _ in range(steps):
                step_on(model, optimizer, inputs, targets)

    run(3)
    barrier.wait()
    results.put(own_memory())
    barrier.wait()


def memory_of_four(spec: TrialSpec, mapped: bool) -> float:
    """Median of the unshared memory of four processes that train at the same time."""
    context = multiprocessing.get_context("spawn")
    barrier, results = context.Barrier(4), context.Queue()
    processes = [context.Process(target=trial_memory, args=(spec, mapped, barrier, results)) for _ in range(4)]
    for process in processes:
        process.start()
    values = [results.get() for _ in processes]
    for process in processes:
        process.join()
    return float(statistics.median(values))


def random_images(folder: Path) -> DataSpec:
    """A Parquet set of random images in the shape of CIFAR-10's, a tenth of its size."""
    import io

    import pyarrow as pa
    from pyarrow import parquet

    generator = np.random.default_rng(0)
    for split, count in (("train", 5000), ("test", 1000)):
        rows = []
        for _ in range(count):
            buffer = io.BytesIO()
            Image.fromarray(generator.integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(buffer, "JPEG")
            rows.append({"bytes": buffer.getvalue(), "path": None})
        table = pa.table({"image": rows, "label": generator.integers(0, 10, count)})
        parquet.write_table(table, folder / f"{split}.parquet")
    return DataSpec(dataset="parquet", train=(f"{folder}/train.parquet",), test=(f"{folder}/test.parquet",))


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", help="Parquet files; random images where left out")
    parser.add_argument("--test")
    parser.add_argument("--image", default="image")
    parser.add_argument("--label", default="label")
    parser.add_argument("--model", default="resnet20")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 1, 2])
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")

    with tempfile.TemporaryDirectory(prefix="renyi-benchmark-") as scratch:
        os.environ[CACHE_VARIABLE] = f"{scratch}/cache"
        if arguments.train:
            data_spec = DataSpec.model_validate(
                {"dataset": "parquet"} | {key: vars(arguments)[key] for key in ("train", "test", "image", "label")}
            )
        else:
            data_spec = random_images(Path(scratch))
        spec = make_spec(data_spec, arguments.model, arguments.batch)
        seconds = []
        for _ in range(2):
            load_dataset.cache_clear()
            started = time.perf_counter()
            data = load_dataset(data_spec)
            seconds.append(time.perf_counter() - started)
        count = len(data.train) + len(data.test)
        print(f"cache of {count} images: built in {seconds[0]:.1f} s, opened in {seconds[1]:.3f} s", flush=True)

        data = data.to(device)
        recipe = make_spec(data_spec, arguments.model, arguments.batch, recipe=True)
        loops = {
            "ours": ours(spec, data, device),
            "recipe": ours(recipe, data, device),
            "ceiling": ceiling(spec, data, device),
        }
        loops |= {f"loader, {n} workers": loader(spec, data, device, n) for n in arguments.workers}
        for run in loops.values():
            run(2)
        times: dict[str, list[tuple[float, float]]] = {name: [] for name in loops}
        for _ in range(arguments.rounds):
            for name, run in loops.items():
                times[name].append(timed(run, arguments.steps, device))
        print(f"{arguments.model}, batch {arguments.batch}, {device}; workers' processor seconds are not counted")
        print(f"{'':20}  images a second  of the ceiling  by processor seconds")
        for name, values in times.items():
            rate = arguments.steps * arguments.batch / statistics.median(wall for wall, _ in values)
            wall_ratio, processor_ratio = (
                statistics.median(
                    best[clock] / mine[clock] for mine, best in zip(values, times["ceiling"], strict=True)
                )
                for clock in (0, 1)
            )
            print(f"{name:20}  {rate:15.0f}  {wall_ratio:14.3f}  {processor_ratio:20.3f}", flush=True)

        with_data, without = memory_of_four(spec, mapped=True), memory_of_four(spec, mapped=False)
        print(f"own memory of each of four trials: {with_data:.0f} MB; on random images {without:.0f} MB", end="")
        print(f"; difference {with_data - without:.0f} MB")


if __name__ == "__main__":
    main()
