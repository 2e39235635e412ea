"""Checkpoints: everything that training needs to go on with the same bits."""

import io
import pickle
import re
from dataclasses import asdict, dataclass, field
from typing import Any

import torch

from analysis.one_line import first_line, plain_text
from trainables.errors import TrainingError
from trainables.trial.folder import EpochMetrics
from trainables.trial.specs import TrialSpec
from trainables.trial.storage import Folder


@dataclass(frozen=True)
class Checkpoint:
    """The state of training after some epochs. Random draws are seeded by epoch, so it needs no generator's state."""

    spec: TrialSpec
    model: dict[str, Any]  # state_dict of the network that is evaluated and measured: with `ema_decay` the average
    optimizer: dict[str, Any]  # state_dict; empty in an initial checkpoint, and after the end of training
    history: list[EpochMetrics]  # of the epochs that are done
    scaler: dict[str, Any] = field(default_factory=dict)  # state_dict of the loss scaler; empty without one
    unaveraged: dict[str, Any] = field(
        default_factory=dict
    )  # state_dict of the weights that steps move, if not `model`

    @property
    def epoch(self) -> int:
        """The next epoch."""
        return len(self.history)


def save_checkpoint(folder: Folder, name: str, checkpoint: Checkpoint) -> None:
    """Write a checkpoint atomically."""
    buffer = io.BytesIO()
    content = {
        "spec": checkpoint.spec.model_dump(mode="json"),
        "model": checkpoint.model,
        "optimizer": checkpoint.optimizer,
        "history": [asdict(epoch) for epoch in checkpoint.history],
        "scaler": checkpoint.scaler,
        "unaveraged": checkpoint.unaveraged,
    }
    torch.save(content, buffer)
    folder.write(name, buffer.getvalue())


def load_checkpoint(folder: Folder, name: str, device: torch.device | None = None) -> Checkpoint:
    """Read a checkpoint; no code in it is executed (`weights_only`).

    Raises:
        FileNotFoundError: there is none.
        TrainingError: the file is not a checkpoint of this project, or it is damaged.
    """
    data = folder.read(name)
    try:
        content = torch.load(io.BytesIO(data), map_location=device or "cpu", weights_only=True)
        return Checkpoint(
            TrialSpec.model_validate(content["spec"]),
            content["model"],
            content["optimizer"],
            [EpochMetrics(**epoch) for epoch in content["history"]],
            content.get("scaler", {}),
            content.get("unaveraged", {}),
        )
    except (RuntimeError, KeyError, TypeError, EOFError, ValueError, pickle.UnpicklingError) as error:
        raise TrainingError(
            f"{(folder / name).uri} is not a readable checkpoint of this project: {why_unreadable(error)}"
        ) from error


def why_unreadable(error: BaseException) -> str:
    """Why torch refused a checkpoint, in one line: what it holds that none may hold, where that is the reason."""
    refused = re.search(r"GLOBAL (\S+) was not an allowed global", plain_text(str(error)))
    if refused:
        return f"it holds a {refused[1]}; keep numbers, strings, lists, dicts and tensors in the state"
    return first_line(error) or type(error).__name__
