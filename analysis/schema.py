"""Names of columns and metrics: written by the tracking side and read by the analysis, spelt out once, here."""

from dataclasses import dataclass

# Columns of the tidy table: one row a (trial, layer, measure, parameter).
TRIAL_ID = "trial_id"
LAYER = "layer"
MEASURE = "measure"
PARAMETER = "parameter"
VALUE = "value"
STDERR = "stderr"
REASON = "reason"

ALL_LAYERS = "all"  # the layer of a measure taken on all trainable parameters at once

# Generalization quantities of a trained network (SPEC §2).
GAP_LOSS = "gap_loss"
GAP_ERROR = "gap_error"

# Prefixes of MLflow metrics; the UI groups charts by what stands before the slash.
TRAINING_PREFIX = "training"
GENERALIZATION_PREFIX = "generalization"

# Tags and artifacts of an MLflow run.
TAG_KIND = "renyi.kind"
TAG_SWEEP = "renyi.sweep"
TAG_TRIAL_ID = "renyi.trial_id"
TAG_STATE = "renyi.state"
TAG_MEASUREMENT_ID = "renyi.measurement_id"
TAG_REASON = "renyi.reason"
KIND_SWEEP = "sweep"
KIND_TRIAL = "trial"
MEASUREMENTS_FILE = "measurements.parquet"
SPECTRA_FILE = "spectra.parquet"

HEADLINE_ORDERS = (0.5, 1.5)


@dataclass(frozen=True)
class Measurement:
    """One number about one network: the row that everything downstream is made of. Larger means sharper."""

    layer: str  # a weight tensor's name, or ALL_LAYERS
    measure: str  # a key of SPEC §1.1, e.g. "renyi"
    parameter: float | None  # the order, rho or sigma the measure depends on; None where it has none
    value: float | None  # None: missing, and `reason` says why
    stderr: float | None  # standard error of the estimate; 0 for an exact value
    reason: str | None = None  # why the value is missing, or what to beware of in it

    @property
    def is_headline(self) -> bool:
        """Whether the value is logged as an MLflow metric of its own (the Parquet artifact holds them all)."""
        return not self.measure.startswith("renyi") or self.parameter in HEADLINE_ORDERS


def metric_name(measurement: Measurement) -> str:
    """The MLflow metric of a measurement: `renyi_0.5/conv1.weight`, `trace/all`."""
    parameter = "" if measurement.parameter is None else f"_{measurement.parameter:g}"
    return f"{measurement.measure}{parameter}/{measurement.layer}"
