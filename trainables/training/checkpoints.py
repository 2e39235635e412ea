"""Checkpoints: everything that training needs to go on with the same bits."""

import hashlib
import io
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import torch

from analysis.address import without_secrets
from analysis.one_line import message_of, plain_text
from trainables.errors import DamagedError, TrainingError
from trainables.training.unpacking import UNREADABLE, ZIP, load_bounded
from trainables.trial.folder import EpochMetrics
from trainables.trial.manifest import damaged
from trainables.trial.seal import SealError, seal_zip, trial_of_zip
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


def save_checkpoint(folder: Folder, name: str, checkpoint: Checkpoint, check: Callable[[], None] | None = None) -> None:
    """Write a checkpoint atomically, with a seal that names its trial; `check` as in `Folder.write`."""
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
    seal_zip(buffer, checkpoint.spec.trial_id)
    folder.write(name, buffer.getvalue(), check)


def load_checkpoint(
    folder: Folder, name: str, device: torch.device | None = None, trial_id: str | None = None
) -> Checkpoint:
    """Read a checkpoint; no code in it is executed, and it takes no more memory than it has bytes (`load_bounded`).

    Args:
        folder, name: where it is.
        device: where its tensors go.
        trial_id: the trial that it must be of; None for any.

    Raises:
        FileNotFoundError: there is none.
        DamagedError: the file is not what was written, or of another trial.
        TrainingError: the file is what was written, and no checkpoint of this project that can be read.
    """
    data = folder.read(name)
    is_zip = data[: len(ZIP)] == ZIP  # what else there is, torch may know
    try:
        if is_zip:
            trial_of_zip(data)
        content = load_bounded(data, device or "cpu")
        checkpoint = Checkpoint(
            TrialSpec.model_validate(content["spec"]),
            content["model"],
            content["optimizer"],
            [EpochMetrics(**epoch) for epoch in content["history"]],
            content.get("scaler", {}),
            content.get("unaveraged", {}),
        )
    except SealError as error:
        raise damaged(folder, name, error) from error
    except UNREADABLE as error:
        place = without_secrets((folder / name).uri)
        raise (TrainingError if is_zip else DamagedError)(
            f"{place} is not a readable checkpoint of this project: {why_unreadable(error)}"
        ) from error
    found = checkpoint.spec.trial_id
    if trial_id not in (None, found):
        raise damaged(folder, name, f"expected a checkpoint of trial {trial_id}, found one of {found}")
    return checkpoint


def weights_digest(state: Mapping[str, Any]) -> str:
    """SHA-256 of a network's state: names, types, shapes and bytes; the same wherever and whenever it was computed."""
    found = hashlib.sha256()
    for name, value in state.items():
        if isinstance(value, torch.Tensor):
            found.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
            flat = value.detach().cpu().contiguous().flatten()
            found.update(flat.view(torch.uint8).numpy().data if flat.numel() else b"")
        else:
            found.update(f"{name} {value!r}".encode())
    return found.hexdigest()


def why_unreadable(error: BaseException) -> str:
    """Why torch refused a checkpoint, in one line: what it holds that none may hold, where that is the reason."""
    refused = re.search(r"GLOBAL (\S+) was not an allowed global", plain_text(str(error)))
    if refused:
        return f"it holds a {refused[1]}; keep numbers, strings, lists, dicts and tensors in the state"
    return message_of(error)
