"""Sweeps that were never run: tidy results whose truth is known."""

import itertools
from collections.abc import Sequence
from typing import Literal

import numpy as np
import pyarrow as pa

from analysis.results.sweep import SweepResults, TrialRecord, tidy_table
from analysis.spectrum.quadrature import SpectralQuadrature

ORDERS = (0.5, 1.0, 1.5, 2.0)
LAYERS = ("conv.weight", "fc.weight", "all")
Truth = Literal["null", "planted", "opposed", "confounded"]


def simulated_sweep(
    truth: Truth = "planted",
    name: str = "simulated",
    seeds: Sequence[int] = (0,),
    rng_seed: int = 0,
    spectra: bool = False,
) -> SweepResults:
    """Two optimizers × 3 coupled (learning rate, batch size) × 5 weight decays × seeds.

    `planted`: Rényi sharpness follows the gap on fc.weight alone, best at order 2, and the trace does not. `opposed`:
    the same, against the gap. `confounded`: gap and Rényi sharpness both follow the training loss, which varies widely,
    and nothing else ties them. `null`: nothing is tied to the gap. SAM sharpness at two radii is noise everywhere.
    """
    rng = np.random.default_rng(rng_seed)
    records = []
    grid = itertools.product(("sgd", "adam"), range(3), (1e-5, 1e-4, 3e-4, 1e-3, 3e-3), seeds)
    for index, (optimizer, coupled, weight_decay, seed) in enumerate(grid):
        train_loss = float(np.exp(rng.normal(-1, 1))) if truth == "confounded" else 0.01 * rng.random()
        gap = -0.1 * np.log(train_loss) + 0.05 * rng.normal() if truth == "confounded" else 0.1 + 0.03 * rng.normal()
        signal = {
            "null": rng.normal(),
            "planted": gap / 0.03,
            "opposed": -gap / 0.03,
            "confounded": -np.log(train_loss),
        }
        rows = []
        for layer, order in itertools.product(LAYERS, ORDERS):
            tied = layer == "fc.weight" or truth == "confounded"
            noise = 0.3 + abs(order - 2)
            value = float(signal[truth] + noise * rng.normal()) if tied else float(rng.normal())
            rows.append(row(layer, "renyi", order, value, 0.05))
        rows += [row(layer, "trace", None, float(np.exp(2 * rng.normal())), 0.01) for layer in LAYERS]
        rows += [row("all", "sam", rho, float(rng.normal()), None) for rho in (0.05, 0.1)]
        records.append(
            TrialRecord(
                f"trial{index:03d}",
                {
                    "dataset": "digits",
                    "model": "digits_cnn",
                    "optimizer": optimizer,
                    "learning_rate": (0.01, 0.03, 0.1)[coupled] * (1 if optimizer == "sgd" else 0.01),
                    "batch_size": (128, 384, 1280)[coupled],
                    "weight_decay": weight_decay,
                    "momentum": 0.9 if optimizer == "sgd" else None,
                    "epochs": 30,
                    "seed": seed,
                },
                {
                    "train_loss": train_loss,
                    "train_loss_stderr": 1e-3,
                    "train_accuracy": 0.7 if truth == "confounded" else 1.0,
                    "test_loss": train_loss + gap,
                    "test_loss_stderr": 1e-3,
                    "test_accuracy": float(0.9 - gap / 10),
                    "gap_loss": float(gap),
                    "gap_error": float(gap / 10),
                },
                pa.Table.from_pylist(rows, schema=SCHEMA),
            )
        )
    quadratures = (
        {record.trial_id: {layer: quadrature(rng) for layer in LAYERS} for record in records} if spectra else {}
    )
    return SweepResults(name, tidy_table(records), {"measured": len(records)}, {}, quadratures, "nowhere")


def quadrature(rng: np.random.Generator) -> SpectralQuadrature:
    """Two clusters far from a bulk at zero."""
    eigenvalues = np.concatenate([[1.0, 0.97, 0.5, 0.48], 0.01 * rng.random(40)])
    return SpectralQuadrature.from_eigenvalues(eigenvalues, dim=100)


def row(
    layer: str, measure: str, parameter: float | None, value: float | None, stderr: float | None
) -> dict[str, object]:
    return {
        "layer": layer,
        "measure": measure,
        "parameter": parameter,
        "value": value,
        "stderr": stderr,
        "reason": None if value is not None else "no value",
    }


SCHEMA = pa.schema(
    [(name, pa.string() if name in ("layer", "measure", "reason") else pa.float64()) for name in row("", "", 0, 0, 0)]
)


def simulated_accuracies(
    optimizer: str, test: Sequence[float], validated: Sequence[float] = (), **parameters: object
) -> list[TrialRecord]:
    """Trials of one configuration, a seed each, that end at these accuracies in percent; half a point below their best.

    Args:
        optimizer: which it is.
        test: at the last epoch, by seed.
        validated: the same, on the validation images; empty where there are none.
        parameters: beside the data set, the network and the seed, or in their place.
    """
    records = []
    for seed, accuracy in enumerate(test):
        generalization = {
            "train_loss": 0.01,
            "test_accuracy": accuracy / 100,
            "test_accuracy_best_epoch": accuracy / 100 + 0.005,
            "gap_loss": 1 - accuracy / 100,
        }
        if validated:
            generalization["validation_accuracy"] = validated[seed] / 100
        described = {"dataset": "digits", "model": "digits_cnn", "optimizer": optimizer, **parameters, "seed": seed}
        name = " ".join(map(str, described.values()))
        measured = pa.Table.from_pylist([row("all", "trace", None, accuracy, 0.1)], schema=SCHEMA)
        records.append(TrialRecord(name, described, generalization, measured))
    return records
