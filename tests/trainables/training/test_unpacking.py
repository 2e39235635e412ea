import io
import pickle
import resource
import zipfile
from collections.abc import Callable

import pytest
import torch

from trainables.training.unpacking import UNREADABLE, load_bounded


def saved(content: object) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def repacked(data: bytes, kind: int = zipfile.ZIP_STORED, **replaced: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(buffer, "w", kind) as new:
        for entry in old.infolist():
            name = entry.filename.rpartition("/")[2].replace(".", "_")
            new.writestr(entry.filename, replaced.get(name, old.read(entry)))
    return buffer.getvalue()


class Calls:
    """A pickle that calls a function with a number."""

    def __init__(self, function: Callable[[int], object], number: int) -> None:
        self.made = function, (number,)

    def __reduce__(self) -> tuple[Callable[[int], object], tuple[int]]:
        return self.made


def compressed() -> bytes:
    return repacked(saved({"model": torch.zeros(25_000_000)}), zipfile.ZIP_DEFLATED)


def bytes_made() -> bytes:
    return repacked(saved({"a": 1}), data_pkl=pickle.dumps(Calls(bytearray, 10**9), protocol=2))


def tensor_made() -> bytes:
    return repacked(saved({"a": 1}), data_pkl=pickle.dumps(Calls(torch.FloatTensor, 10**9), protocol=2))


def expanded() -> bytes:
    return saved({"deep": [{"model": torch.zeros(1).expand(10**9)}]})


@pytest.mark.parametrize("make", [compressed, bytes_made, tensor_made, expanded])
def test_nothing_takes_more_memory_than_the_file_has_bytes(make: Callable[[], bytes]) -> None:
    data = make()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(UNREADABLE, match=r"unfold|memory"):
        load_bounded(data)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # kB


def test_states_of_networks_and_optimizers_are_read() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))
    shared = torch.zeros(6)
    optimizer = torch.optim.Adam(model.parameters())
    model(torch.ones(2, 3)).sum().backward()
    optimizer.step()
    content = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "views": [shared[:3], shared[3:]]}
    for data in (saved(content), legacy(content)):
        found = load_bounded(data)
        assert torch.equal(found["model"]["0.weight"], model.get_parameter("0.weight"))
        assert found["optimizer"]["state"][0]["step"] == 1


def legacy(content: object) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer, _use_new_zipfile_serialization=False)
    return buffer.getvalue()
