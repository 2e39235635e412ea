"""One trial of every network and method of the shipped sweeps, cut to one epoch on 256 images, trains and is measured.

    python benchmarks/shipped_sweeps.py                  # over an hour on one core, most of it for the wide networks
    python benchmarks/shipped_sweeps.py --only table1-cifar10 --models resnet20

Images are random, in the data set's own shape and number of classes; network, optimizer and training settings are the
sweep's. Measured on few samples, with few probes, the last layer and all layers together. A network and method that
several sweeps share is run once. Pass criterion: every row ends with a finite gap and measurements.
"""

import argparse
import io
import os
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from PIL import Image
from pyarrow import parquet

from analysis.settings import SharpnessSettings
from analysis.sharpness import weight_layers
from analysis.sharpness.measure import measure_subject
from orchestrator.config.expand import expand
from orchestrator.config.load import load, shipped_sweeps
from orchestrator.executors.actor import subject_of
from trainables.cache_folder import CACHE_VARIABLE
from trainables.catalogue import NETWORKS
from trainables.models import build_model
from trainables.training.checkpoints import load_checkpoint
from trainables.training.loop import train
from trainables.trial.folder import LAST_CHECKPOINT, TrialFolder
from trainables.trial.specs import DataSpec, TrialSpec
from trainables.trial.storage import open_folder

SHAPES = {"cifar10": (10, 32), "cifar100": (100, 32), "tiny_imagenet": (200, 64)}  # classes, pixels
NUM_TEST = 64


def random_data(folder: Path, dataset: str, num_train: int) -> DataSpec:
    """A Parquet set in the shape of a data set; digits are themselves."""
    if dataset == "digits":
        return DataSpec(dataset="digits")
    num_classes, size = SHAPES[dataset]
    generator = np.random.default_rng(0)
    features = {"label": {"names": [str(number) for number in range(num_classes)]}}
    for split, count in (("train", num_train), ("test", NUM_TEST)):
        rows = []
        for pixels in generator.integers(0, 256, (count, size, size, 3), dtype=np.uint8):
            buffer = io.BytesIO()
            Image.fromarray(pixels).save(buffer, "PNG")
            rows.append({"bytes": buffer.getvalue(), "path": None})
        labels = generator.permutation(count) % num_classes
        table = pa.table({"image": rows, "label": labels})
        table = table.replace_schema_metadata(
            {"huggingface": f'{{"info": {{"features": {features}}}}}'.replace("'", '"')}
        )
        (folder / dataset).mkdir(exist_ok=True)
        parquet.write_table(table, folder / dataset / f"{split}.parquet")
    images = folder / dataset
    return DataSpec(dataset="parquet", train=(f"{images}/train.parquet",), test=(f"{images}/test.parquet",))


def cut(spec: TrialSpec, data: DataSpec) -> TrialSpec:
    """The same trial on other data for one epoch, its warm-ups left out."""
    training = spec.training.model_copy(update={"epochs": 1, "warmup_epochs": 0})
    optimizer = spec.optimizer
    if optimizer.name == "rsam":
        optimizer = optimizer.model_copy(update={"plain_epochs": 0, "plain_until_accuracy": None})
    return spec.model_copy(update={"data": data, "training": training, "optimizer": optimizer})


def run(spec: TrialSpec, folder: str, samples: int) -> tuple[float, float, int]:
    """Train and measure; the gap, the seconds it took, and the number of measurements with a value."""
    started = time.perf_counter()
    trial = TrialFolder(open_folder(folder))
    list(train(spec, trial, torch.device("cpu")))
    layer = weight_layers(build_model(spec.model, 10, 1 if spec.data.dataset == "digits" else 3))[-1]
    settings = SharpnessSettings(samples=samples, orders=(0.5, 1.5), num_probes=2, num_matvecs=2, layers=(layer,))
    checkpoint = load_checkpoint(trial.folder, LAST_CHECKPOINT)
    subject, _ = subject_of(checkpoint, spec, trial, settings, torch.device("cpu"))
    values = [row.value for row in measure_subject(subject)]
    gap = trial.read_trained().generalization.gap_loss
    return gap, time.perf_counter() - started, sum(value is not None and np.isfinite(value) for value in values)


def main() -> None:
    """Print a row for each network and method."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", default=shipped_sweeps(), help="names of sweeps")
    parser.add_argument("--models", nargs="+", choices=list(NETWORKS), help="names of networks; left out, all")
    parser.add_argument("--train-images", type=int, default=256)
    parser.add_argument("--samples", type=int, default=4, help="images to measure on")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    done: dict[tuple[str, str, str], str] = {}
    failed = 0
    with tempfile.TemporaryDirectory(prefix="renyi-shipped-") as scratch:
        os.environ[CACHE_VARIABLE] = f"{scratch}/cache"
        for name in arguments.only:
            for spec in expand(load(name)):
                key = (spec.data.dataset, spec.model, spec.optimizer.name)
                if key in done or (arguments.models and spec.model not in arguments.models):
                    continue
                data = random_data(Path(scratch), spec.data.dataset, arguments.train_images)
                done[key] = f"{scratch}/{'-'.join(key)}"
                gap, seconds, values = run(cut(spec, data), done[key], arguments.samples)
                ok = np.isfinite(gap) and values > 0
                failed += not ok
                state = "ok" if ok else "FAILED"
                print(
                    f"{name:32} {' '.join(key):45} gap {gap:8.3f}  {values:3} values  {seconds:6.1f} s  {state}",
                    flush=True,
                )
    print(f"{len(done)} networks and methods, {failed} failed")
    raise SystemExit(failed > 0)


if __name__ == "__main__":
    main()
