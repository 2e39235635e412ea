"""From stored trials to the tidy table and to the whole report: seconds, memory and size of the page.

    OMP_NUM_THREADS=1 python benchmarks/report.py [--trials 500] [--layers 4]

The trials are written to a real store and logged to a real SQLite MLflow, with random values instead of training:
every measure the sweep asks for, at the paper's orders, and the quadrature of every layer. 22 layers are a ResNet-18's.
"""

import argparse
import math
import resource
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import yaml

from analysis.results.mlflow import load_results
from analysis.results.parquet import measurements_to_parquet, spectra_to_parquet
from analysis.schema import MEASUREMENTS_FILE, SPECTRA_FILE, STDERR_SUFFIX, TRAIN_LOSS_SUBSET, Measurement
from analysis.settings import PAPER_ORDERS
from analysis.spectrum.quadrature import SpectralQuadrature
from orchestrator.config.load import load
from orchestrator.config.sweep_config import SweepConfig
from orchestrator.report import report_sweeps
from orchestrator.store.plan import make_plan
from orchestrator.store.trial_store import MEASURED_FILE, TrialStore
from orchestrator.tracking.tracker import MLflowTracker
from trainables.trial.folder import EpochMetrics, Generalization, Trained, write_json
from trainables.trial.specs import TrialSpec

EPOCHS, PROBES, NODES = 30, 10, 30
LAYER_WISE, WITH_RADII = ("trace", "lambda_max", "l2", "fisher_rao"), ("sam", "asam", "sam_linf", "asam_linf")
ALL_ONLY = ("pacbayes_flat", "pacbayes_orig", "pacbayes_mag_flat", "pacbayes_mag_init", "trace_imbalance")
RADII = (0.01, 0.05, 0.1, 0.25)


def main() -> None:
    """Fill a store, log it, then time what a reader waits for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=500)
    parser.add_argument("--layers", type=int, default=4)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        config = _sweep(Path(folder), arguments.trials)
        plan = make_plan(config)
        for index, spec in enumerate(plan.specs):
            _store_trial(plan.store, spec, arguments.layers, index)
        start = time.perf_counter()
        tracker = MLflowTracker(config, plan.store, plan.specs)
        tracker.reconcile(plan.store.states(plan.specs))
        tracker.wait()
        logged = time.perf_counter()
        table = load_results(config.tracking_uri, config.name)
        loaded = time.perf_counter()
        report = report_sweeps([config])
        reported = time.perf_counter()
        print(f"{len(plan.specs)} trials, {arguments.layers} layers, {len(table)} rows, one thread")
        print(f"logging to MLflow        {logged - start:7.1f} s  ({(logged - start) / len(plan.specs):.2f} s a trial)")
        print(f"load_results             {loaded - logged:7.1f} s")
        print(f"renyi report             {reported - loaded:7.1f} s")
        print(f"report.html              {len(report.files['report.html']) / 1e6:7.1f} MB")
        print(f"peak memory              {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:7.0f} MiB")


def _sweep(folder: Path, trials: int) -> SweepConfig:
    seeds = max(trials // 50, 1)
    rates = {"learning_rate": [0.01, 0.02, 0.05, 0.1, 0.2], "weight_decay": [1e-5, 1e-4, 3e-4, 1e-3, 3e-3]}
    sweep = {
        "name": "benchmark",
        "data": {"dataset": "digits"},
        "model": "digits_cnn",
        "training": {"epochs": EPOCHS, "batch_size": 32},
        "grid": [{"optimizer": "sgd", **rates}, {"optimizer": "adam", **rates}],
        "seeds": list(range(seeds)),
        "sharpness": {"samples": 200},
        "storage": str(folder / "storage"),
    }
    path = folder / "sweep.yaml"
    path.write_text(yaml.safe_dump(sweep))
    return load(str(path))


def _store_trial(store: TrialStore, spec: TrialSpec, layers: int, index: int) -> None:
    rng = np.random.default_rng(index)
    losses = np.sort(rng.random(EPOCHS))[::-1]
    history = [EpochMetrics(epoch, 0.1, float(loss), 0.3, 0.9, 1.0, 1e9 + epoch) for epoch, loss in enumerate(losses)]
    outcome = Generalization(0.01 * rng.random(), 1e-3, 1.0, 1e-3, 0.1 + 0.1 * rng.random(), 1e-2, 0.97, 1e-2)
    trial = store.trial(spec.trial_id)
    trial.write_spec(spec)
    trial.write_trained(Trained(history, outcome))
    names = [*(f"features.{layer}.weight" for layer in range(layers - 1)), "all"]
    folder = store.measurement(spec.trial_id)
    folder.write(MEASUREMENTS_FILE, measurements_to_parquet(_measurements(rng, names)))
    quadratures = {
        name: SpectralQuadrature(1000, rng.exponential(size=(PROBES, NODES)), np.full((PROBES, NODES), 1 / NODES))
        for name in names
    }
    folder.write(SPECTRA_FILE, spectra_to_parquet(quadratures))
    record = {TRAIN_LOSS_SUBSET: 0.01, TRAIN_LOSS_SUBSET + STDERR_SUFFIX: 1e-3, "seconds": 1.0, "timestamp": 1e9}
    write_json(folder, MEASURED_FILE, record)


def _measurements(rng: np.random.Generator, layers: list[str]) -> Iterator[Measurement]:
    for layer in layers:
        base = rng.normal(size=3)
        for order in PAPER_ORDERS:
            value = base @ [math.exp(-order), order * math.exp(-order), 0.3 * order]
            yield Measurement(layer, "renyi", order, float(value), 0.02)
        for measure in LAYER_WISE:
            yield Measurement(layer, measure, None, float(rng.exponential()), 0.01)
        for measure in WITH_RADII:
            for radius in RADII:
                yield Measurement(layer, measure, radius, float(rng.exponential()), None)
    for measure in ALL_ONLY:
        yield Measurement("all", measure, None, float(rng.exponential()), None)


if __name__ == "__main__":
    main()
