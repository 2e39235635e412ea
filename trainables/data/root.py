"""The folder of the data sets' archives on this machine."""

import os
from pathlib import Path

from trainables.trial.specs import DataSpec

DATA_VARIABLE = "RENYI_DATA"
DEFAULT_ROOT = "~/data"


def data_root(spec: DataSpec) -> Path:
    """The folder that the specification names; else the environment variable RENYI_DATA, else ~/data."""
    return Path(spec.root or os.environ.get(DATA_VARIABLE) or DEFAULT_ROOT).expanduser().absolute()
