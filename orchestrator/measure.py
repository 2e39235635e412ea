"""`renyi measure`: every measure of one checkpoint, without a sweep."""

from pathlib import Path

from pydantic import ValidationError
from rich.table import Table

from analysis.schema import ALL_LAYERS
from analysis.settings import PAPER_ORDERS, SharpnessSettings
from analysis.sharpness.measure import measure_subject
from orchestrator.config.problems import say
from orchestrator.display import console
from orchestrator.errors import UsageError
from orchestrator.executors.actor import load_subject
from trainables.training.device import default_device
from trainables.trial.folder import TrialFolder
from trainables.trial.storage import open_folder


def measure_checkpoint(path: Path, samples: int, orders: str) -> None:
    """Measure the network of a checkpoint, and print a row for every measurement.

    Raises:
        UsageError: there is no such file, or a setting is not valid.
        TrainingError: the file is not a checkpoint of this project.
    """
    if not path.is_file():
        raise UsageError(f"{path}: no such file; a trial's checkpoints lie in <storage>/<sweep>/trials/<trial_id>")
    try:
        wanted = PAPER_ORDERS if orders == "paper" else tuple(map(float, orders.split(",")))
        settings = SharpnessSettings(samples=samples, orders=wanted)
    except ValidationError as error:
        raise UsageError(*(f"--{detail['loc'][0]}: {say(detail)}" for detail in error.errors())) from error
    except ValueError as error:
        raise UsageError(f"--orders: {orders!r} is not a list of numbers such as 0.5,1.5") from error
    device = default_device()
    trial = TrialFolder(open_folder(str(path.parent.absolute())))
    subject, _ = load_subject(trial, path.name, settings, device)
    table = Table(title=f"{path}: {samples} samples")
    for name in ("measure", "layer"):
        table.add_column(name, no_wrap=True)
    for name in ("parameter", "value", "stderr"):
        table.add_column(name, justify="right")
    for row in measure_subject(subject):
        layer = "all layers" if row.layer == ALL_LAYERS else row.layer
        parameter = "" if row.parameter is None else f"{row.parameter:g}"
        value = row.reason if row.value is None else f"{row.value:.6g}"
        stderr = "" if row.stderr is None else f"{row.stderr:.2g}"
        table.add_row(row.measure, layer, parameter, value, stderr)
    console.print(table)
