"""The numbers that the page's script explores: every trial with its axes, losses and declared measures, unrounded."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd

from analysis.inert import for_script
from analysis.report.evidence import Evidence
from analysis.report.grid_axes import AND, SEED
from analysis.report.wording import measure_name
from analysis.results.study import Study
from analysis.schema import LAYER, MEASURE, PARAMETER, TRIAL_ID

MOST_EXPLORED = 2000  # trials; of more the page would be slow
QUANTITIES = {
    "train_loss": "training loss",
    "test_loss": "test loss",
    "train_accuracy": "training accuracy",
    "test_accuracy": "test accuracy",
}


def explorer(name: str, evidence: Evidence, study: Study | None, runs: Mapping[str, str]) -> str | None:
    """The numbers as JSON that can't end the script element around it; None for nothing, or for too many trials.

    Values have all digits, since τ of a selection is computed from them and depends on ties.
    """
    matrix = evidence.matrix
    if matrix.n == 0 or matrix.n > MOST_EXPLORED:
        return None
    trials = matrix.trials
    chosen = np.flatnonzero(matrix.headline)
    strength = np.abs(np.nan_to_num(evidence.association.taus.tau_b[chosen]))
    content = {
        "name": name,
        "gapName": matrix.target.label,
        "trials": [str(trial) for trial in trials[TRIAL_ID]],
        "labels": [study.labels.get(trial, trial) if study else str(trial) for trial in trials[TRIAL_ID]],
        "runs": [runs.get(trial, "") for trial in trials[TRIAL_ID]],
        "checkpoints": [study.checkpoints.get(trial, "") if study else "" for trial in trials[TRIAL_ID]],
        "interface": study.interface if study else "",
        "serve": study.command.replace("renyi run", "renyi ui") if study else "",
        "gap": _numbers(matrix.gap),
        "axes": [{"name": axis, "values": [_value(value) for value in trials[axis]]} for axis in _axes(evidence)],
        "quantities": [
            {"name": title, "values": _numbers(trials[column])}
            for column, title in QUANTITIES.items()
            if column in trials and trials[column].notna().any()
        ],
        "columns": [
            {
                "measure": measure_name(matrix.keys[MEASURE][column], matrix.keys[PARAMETER][column]),
                "family": matrix.keys[MEASURE][column],
                "layer": matrix.layer_title(matrix.keys[LAYER][column]),
                "tau": _number(evidence.association.taus.tau_b[column]),
                "values": _numbers(matrix.values[:, column]),
            }
            for column in chosen
        ],
        "shown": _shown(evidence, chosen, strength),
    }
    return for_script(json.dumps(content, ensure_ascii=False, separators=(",", ":"), allow_nan=False))


def _axes(evidence: Evidence) -> list[str]:
    """The columns that vary: every axis of the grid, coupled ones apart, and the seed where there are several."""
    trials = evidence.matrix.trials
    names = [name for axis in evidence.matrix.axes.labels for name in axis.split(AND) if name in trials]
    if SEED in trials and trials[SEED].nunique() > 1:
        names.append(SEED)
    return names or [name for name in ("optimizer", "learning_rate") if name in trials]


def _shown(evidence: Evidence, chosen: Sequence[int] | np.ndarray, strength: np.ndarray) -> list[int]:
    """The four columns of the first panels: the strongest of each of four measures, Rényi sharpness among them."""
    keys = evidence.matrix.keys
    order = sorted(range(len(chosen)), key=lambda index: -strength[index])
    families = [str(keys[MEASURE][chosen[index]]) for index in order]
    first = dict(zip(reversed(families), reversed(order), strict=True))
    named = [family for family in dict.fromkeys(["renyi", *families]) if family in first]
    return [first[family] for family in named[:4]]


def _numbers(values: Iterable[object]) -> list[float | None]:
    return [_number(value) for value in values]


def _number(value: object) -> float | None:
    number = float(value) if isinstance(value, int | float | np.number) else math.nan
    return number if math.isfinite(number) else None


def _value(value: object) -> float | str:
    if isinstance(value, bool | np.bool_):
        return str(bool(value))
    if isinstance(value, int | float | np.number):
        return float(value) if math.isfinite(float(value)) else "none"
    return "none" if value is None or value is pd.NA else str(value)
