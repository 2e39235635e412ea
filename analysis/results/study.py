"""What a sweep is, beside its results: what a reader needs to judge them, and to run it again."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from analysis.settings import SharpnessSettings


@dataclass(frozen=True)
class Study:
    """A sweep's data, grid, networks and settings, its file, and where and when its report was written."""

    data: str  # `digits: 1000 training images of 8×8 pixels, 797 test images`
    networks: str  # `digits_cnn: 3350 parameters`
    grid: tuple[str, ...]  # a line for each sub-grid
    training: str
    settings: SharpnessSettings
    resources: str
    file_name: str
    file_text: str  # the sweep file, as it was when the report was written
    version: str  # of this package, with the commit where it runs from a clone
    machine: str  # where the report was written
    written: str  # when, with the time zone
    command: str  # `renyi run digits`
    layers: Mapping[str, str] = field(default_factory=dict)  # layer → what it is, where that is known
    checkpoints: Mapping[str, str] = field(default_factory=dict)  # trial_id → the checkpoint's address
    labels: Mapping[str, str] = field(default_factory=dict)  # trial_id → its readable name
    interface: str = ""  # the address of MLflow's pages
