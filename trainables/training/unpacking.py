"""Bounds on what a file of weights may unfold to: no more memory than the file has bytes."""

import io
import pickle
import pickletools
import zipfile
import zlib
from typing import Any

import torch

ZIP = b"PK"
# What opening a file can raise that holds something else than weights.
UNREADABLE = (
    *(RuntimeError, KeyError, IndexError, TypeError, ValueError, AttributeError, AssertionError, OverflowError),
    *(EOFError, MemoryError, pickle.UnpicklingError, zipfile.BadZipFile, zlib.error, NotImplementedError),
)
_MAKERS = ("bytearray", "Tensor")  # ends of names of what takes as much memory as the number it is called with


def load_bounded(data: bytes, device: torch.device | str = "cpu") -> Any:
    """What `torch.load(…, weights_only=True)` makes of a file; no code in it is executed.

    Raises:
        ValueError: it would take more memory than the file has bytes, as no state of a network does.
        One of UNREADABLE: torch can't open it.
    """
    if data[: len(ZIP)] == ZIP:
        _check_archive(data)
    content = torch.load(io.BytesIO(data), map_location=device, weights_only=True)
    _check_tensors(content, len(data))
    return content


def _check_archive(data: bytes) -> None:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        entries = archive.infolist()
        size = sum(entry.file_size for entry in entries)
        if size > len(data) or any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
            raise ValueError(f"it would unfold from {len(data)} to {size} bytes; torch.save compresses nothing")
        for entry in entries:
            if entry.filename.endswith(".pkl"):
                _check_pickle(archive.read(entry))


def _check_pickle(data: bytes) -> None:
    for code, argument, _ in pickletools.genops(data):
        if code.name == "GLOBAL" and str(argument).endswith(_MAKERS):
            raise ValueError(f"it calls {str(argument).replace(' ', '.')}, which may take any amount of memory")


def _check_tensors(content: Any, size: int) -> None:
    """Refuse tensors that are larger than what they are stored in: they unfold where they are copied."""
    waiting, seen = [content], set[int]()
    while waiting:
        each = waiting.pop()
        if isinstance(each, torch.Tensor):
            whole = each.numel() * each.element_size()
            if each.layout != torch.strided or whole > max(size, 1) or whole > each.untyped_storage().nbytes():
                raise ValueError(f"a tensor of shape {tuple(each.shape)} would unfold to {whole} bytes")
        elif isinstance(each, dict | list | tuple) and id(each) not in seen:
            seen.add(id(each))
            waiting += [*each, *each.values()] if isinstance(each, dict) else each
