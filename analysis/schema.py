"""Names of columns, metrics, tags and artifacts: the tracking side writes them and the analysis reads them."""

from dataclasses import dataclass

# Columns of the tidy table, which has one row for each (trial, layer, measure, parameter).
TRIAL_ID = "trial_id"
LAYER = "layer"
MEASURE = "measure"
PARAMETER = "parameter"
VALUE = "value"
STDERR = "stderr"
REASON = "reason"
MEASUREMENT_COLUMNS = (TRIAL_ID, LAYER, MEASURE, PARAMETER, VALUE, STDERR, REASON)

ALL_LAYERS = "all"  # the layer of a measure taken on all trainable parameters at once
NO_LAYER = ""  # the layer of a number from somebody's table, which says nothing about layers

# Generalization quantities of a trained network; the last two are computed on the samples that the measures
# use. The standard error of each is stored under its name and this suffix.
GAP_LOSS = "gap_loss"
GAP_ERROR = "gap_error"
TRAIN_LOSS = "train_loss"
TEST_LOSS = "test_loss"
TRAIN_LOSS_SUBSET = "train_loss_subset"
GAP_LOSS_SUBSET = "gap_loss_subset"
STDERR_SUFFIX = "_stderr"
UNDER = "_under_"  # between a quantity and the shift of the test images, where they are shifted
TEST_ACCURACY = "test_accuracy"
# Stored without a standard error: the best epoch's test accuracy, which is optimistic, and the last epoch's validation
# accuracy, if the data set has validation images.
TEST_ACCURACY_BEST = "test_accuracy_best_epoch"
VALIDATION_ACCURACY = "validation_accuracy"
TEST_ERROR = "test_error"  # 1 − test accuracy; computed when it is needed
_GENERALIZATION = ("train_", "test_", "gap_", "validation_")  # how the names of all of them begin

# Prefixes of MLflow metrics; the UI groups charts by the part before the slash.
TAU_PREFIX = "tau"  # on a sweep's parent run
TRAINING_PREFIX = "training"
GENERALIZATION_PREFIX = "generalization"

# Tags and artifacts of an MLflow run.
TAG_KIND = "renyi.kind"
TAG_SWEEP = "renyi.sweep"
TAG_TRIAL_ID = "renyi.trial_id"
TAG_STATE = "renyi.state"
TAG_MEASUREMENT_ID = "renyi.measurement_id"
TAG_REASON = "renyi.reason"
TAG_SHIFTS = "renyi.shifts"
TAG_VERSION = "renyi.version"  # of this package
TAG_PACKAGE = "renyi.package"  # the digest of its sources
TAG_CODE = "renyi.code"  # the digest of the sources of the user's own network
TAG_DATA = "renyi.data"  # the fingerprint of the data
VIEW = "trials-by-gap"  # the name in addresses of the view in which an experiment opens
TAG_VIEW = f"mlflow.sharedViewState.{VIEW}"  # of an experiment: that view, as MLflow's UI keeps those that are shared
KIND_SWEEP = "sweep"
KIND_TRIAL = "trial"
KIND_EARLIER = "earlier_sweep"  # the parent run of a sweep before its settings were changed
MEASUREMENTS_FILE = "measurements.parquet"
SPECTRA_FILE = "spectra.parquet"
READABLE_MEASUREMENTS_FILE = "measurements.csv"  # the same rows, which the UI shows as a table
SPECTRUM_FILE = "spectrum.png"
SWEEP_FILE = "sweep.yaml"


@dataclass(frozen=True)
class Measurement:
    """One number about one network: a row of the tables that all later steps read. Larger means sharper."""

    layer: str  # a weight tensor's name, or ALL_LAYERS
    measure: str  # a key of the catalogue of measures, e.g. "renyi"
    parameter: float | None  # the order, rho or sigma that the measure depends on; None if it has none
    value: float | None  # None: missing, and `reason` says why
    stderr: float | None  # standard error of the estimate; 0 for an exact value
    reason: str | None = None  # why the value is missing, or a warning about it


def metric_name(measurement: Measurement) -> str:
    """The MLflow metric of a measurement: `renyi_0.5/conv1.weight`, `trace/all`."""
    parameter = "" if measurement.parameter is None else f"_{measurement.parameter:g}"
    return f"{measurement.measure}{parameter}/{measurement.layer}"


def under(quantity: str, shift: str) -> str:
    """The name of a generalization quantity on test images under a shift: `gap_loss_under_noise_3`."""
    return f"{quantity}{UNDER}{shift}"


def shift_of(column: str) -> str | None:
    """The shift of the gap in loss that a column holds; None if it holds something else."""
    gap, found, shift = column.partition(UNDER)
    return shift if gap == GAP_LOSS and found and not shift.endswith(STDERR_SUFFIX) else None


def is_generalization(name: str) -> bool:
    """Whether a column is a generalization quantity, rather than a parameter of the trial."""
    return name.startswith(_GENERALIZATION)
