"""The settings of a sweep as parameters of its parent run, so that sweeps can be compared in one table."""

import hashlib
from collections.abc import Mapping
from typing import Any

from orchestrator.config.grid import in_words
from orchestrator.config.sweep_config import SweepConfig
from trainables.trial.specs import TrainingSpec

MAX_VALUE = 500  # characters; the whole is in the sweep file
_NO_RESULT = TrainingSpec.NOT_IDENTITY | {"memory_gib", "code"}  # how, not what, and what the file does not say


def parameters_of(config: SweepConfig) -> dict[str, str]:
    """What decides the results, by dotted key: data, model, training, grid, seeds, what is measured. No paths, no
    machines: these may differ from one start to the next, and a parameter of a run never changes."""
    found: dict[str, Any] = {
        "dataset": config.data.name or config.data.dataset,
        "data.validation": config.data.validation,
        "model": config.model,
        "optimizers": ", ".join(dict.fromkeys(sub_grid.optimizer for sub_grid in config.grid)),
        **{f"grid.{number}": in_words(sub_grid) for number, sub_grid in enumerate(config.grid)},
        "seeds": config.seeds,
        "shifts": config.shifts,
        "identity": config.identity,
    }
    if config.sample is not None:
        found |= {"sample.trials": config.sample.trials, "sample.seed": config.sample.seed}
    for section in ("training", "sharpness"):
        found |= _flat(section, getattr(config, section).model_dump(mode="json"))
    return {key: text for key, value in found.items() if (text := _text(value))}


def _flat(prefix: str, content: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in content.items():
        if name in _NO_RESULT:
            continue
        found |= _flat(f"{prefix}.{name}", value) if isinstance(value, Mapping) else {f"{prefix}.{name}": value}
    return found


def _text(value: Any) -> str:
    """A value as a reader sees it; empty where there is none."""
    if value is None:
        return ""
    text = ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    if len(text) <= MAX_VALUE:
        return text
    return f"{text[:MAX_VALUE]} … (SHA-256 of the whole: {hashlib.sha256(text.encode()).hexdigest()[:12]})"
