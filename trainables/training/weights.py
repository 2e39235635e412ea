"""Weights that were saved elsewhere: a state dict by `torch.save`, or a safetensors file."""

import json
import math
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from analysis.one_line import message_of
from trainables.errors import TrainingError
from trainables.training.unpacking import UNREADABLE, load_bounded

NESTED = ("state_dict", "model_state_dict", "model")  # keys under which checkpoints of others hold their weights
PREFIXES = ("module.", "_orig_mod.")  # that DataParallel and torch.compile put before names
DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors of a state dict or a safetensors file, by name. No code in the file is executed.

    Raises:
        TrainingError: it is neither, or damaged.
    """
    if path.suffix == ".safetensors":
        return _safetensors(path)
    try:
        content = load_bounded(path.read_bytes())
    except UNREADABLE as error:
        reason = message_of(error)
        raise TrainingError(
            f"{path}: not a state dict that torch.load(…, weights_only=True) can read: {reason}; save one with "
            "torch.save(model.state_dict(), path)"
        ) from error
    while isinstance(content, dict) and not all(isinstance(value, Tensor) for value in content.values()):
        inner = next((content[key] for key in NESTED if isinstance(content.get(key), dict)), None)
        if inner is None:
            break
        content = inner
    if not isinstance(content, dict) or not any(isinstance(value, Tensor) for value in content.values()):
        raise TrainingError(f"{path}: holds no state dict; save one with torch.save(model.state_dict(), path)")
    return {name: value for name, value in content.items() if isinstance(value, Tensor)}


def load_weights(model: nn.Module, weights: dict[str, Tensor], path: Path) -> None:
    """Put weights into a network. Names may carry the prefixes of DataParallel and torch.compile.

    Raises:
        TrainingError: names or shapes that do not fit; the first of each kind are named.
    """
    own = model.state_dict()
    for prefix in PREFIXES:
        if weights and all(name.startswith(prefix) for name in weights):
            weights = {name.removeprefix(prefix): value for name, value in weights.items()}
    missing = [name for name in own if name not in weights]
    unknown = [name for name in weights if name not in own]
    shapes = [
        f"{name} is {tuple(value.shape)}, in the model {tuple(own[name].shape)}"
        for name, value in weights.items()
        if name in own and value.shape != own[name].shape
    ]
    problems = [f"{what} {_few(names)}" for what, names in (("lacks", missing), ("has besides", unknown)) if names]
    problems += [_few(shapes)] if shapes else []
    if problems:
        raise TrainingError(f"{path}: the weights are not those of the model: it {'; '.join(problems)}")
    model.load_state_dict(weights)


def _few(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _safetensors(path: Path) -> dict[str, Tensor]:
    """Eight bytes with the length of a JSON header {name: dtype, shape, data_offsets}, the header, and the data."""
    data = path.read_bytes()
    try:
        size = int.from_bytes(data[:8], "little")
        header: dict[str, Any] = json.loads(data[8 : 8 + size])
        header.pop("__metadata__", None)
        return {name: _tensor(data[8 + size :], **entry) for name, entry in header.items()}
    except (ValueError, KeyError, TypeError, AttributeError, RuntimeError) as error:
        raise TrainingError(f"{path}: not a readable safetensors file; get it again") from error


def _tensor(data: bytes, dtype: str, shape: list[int], data_offsets: list[int]) -> Tensor:
    start, end = data_offsets
    kind, count = DTYPES[dtype], math.prod(shape)
    if not 0 <= start <= end <= len(data) or end - start != count * kind.itemsize:
        raise ValueError("offsets outside the file")
    if count == 0:
        return torch.empty(shape, dtype=kind)
    return torch.frombuffer(bytearray(data[start:end]), dtype=kind).reshape(shape)
