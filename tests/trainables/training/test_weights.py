"""Weights saved elsewhere: every common form, and what is no weights."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from trainables.errors import TrainingError
from trainables.training.weights import load_weights, read_weights


def network(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))


def write_safetensors(path: Path, tensors: dict[str, Tensor]) -> None:
    """As the format's description says: the header's length, the header, the data."""
    names = {torch.float32: "F32", torch.bfloat16: "BF16", torch.int64: "I64"}
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    data = b""
    for name, tensor in tensors.items():
        raw = bytes(tensor.contiguous().flatten().view(torch.uint8).tolist())
        header[name] = {
            "dtype": names[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [len(data), len(data) + len(raw)],
        }
        data += raw
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)


FORMS: dict[str, Any] = {
    "a state dict": lambda state: state,
    "a trainer's checkpoint": lambda state: {"state_dict": state, "epoch": 3},
    "DataParallel's": lambda state: {f"module.{name}": value for name, value in state.items()},
    "a compiled model's": lambda state: {
        "model": {f"_orig_mod.{name}": value for name, value in state.items()},
        "lr": 0.1,
    },
}


@pytest.mark.parametrize("form", FORMS)
def test_state_dicts_in_every_form(form: str, tmp_path: Path) -> None:
    source, target, path = network(), network(1), tmp_path / "net.pth"
    torch.save(FORMS[form](source.state_dict()), path)
    load_weights(target, read_weights(path), path)
    for name, value in source.state_dict().items():
        assert torch.equal(target.state_dict()[name], value)


def test_safetensors(tmp_path: Path) -> None:
    tensors = {"a": torch.randn(2, 3), "b": torch.randn(4).bfloat16(), "c": torch.tensor(7), "d": torch.zeros(0, 2)}
    write_safetensors(tmp_path / "net.safetensors", tensors)
    found = read_weights(tmp_path / "net.safetensors")
    assert set(found) == set(tensors)
    assert all(
        torch.equal(found[name], tensor) and found[name].dtype == tensor.dtype for name, tensor in tensors.items()
    )


def test_damaged_safetensors_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    write_safetensors(path, {"a": torch.randn(20, 3)})
    whole = path.read_bytes()
    for damaged in (b"", whole[:4], whole[:40], whole[:-1], b"\xff" * 100):
        path.write_bytes(damaged)
        if damaged:
            with pytest.raises(TrainingError, match="not a readable safetensors file"):
                read_weights(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [([1, 2], "holds no state dict"), ({"epoch": 3}, "holds no state dict"), (network(), "weights_only=True")],
)
def test_what_is_no_state_dict_is_refused(content: object, message: str, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "net.pt")
    with pytest.raises(TrainingError, match=message):
        read_weights(tmp_path / "net.pt")


def test_weights_of_another_network_are_named(tmp_path: Path) -> None:
    weights = network().state_dict()
    weights["0.weight"] = torch.zeros(5, 3)
    weights["more"] = weights.pop("2.bias")
    with pytest.raises(
        TrainingError, match=r"lacks 2.bias; has besides more; 0.weight is \(5, 3\), in the model \(4, 3\)"
    ):
        load_weights(network(), weights, tmp_path)
