"""What a process may hold: found on the machine, in its control groups, and shared."""

from pathlib import Path

import psutil
import pytest
import torch

from analysis.sharpness import memory
from analysis.sharpness.memory import found_budget, taken_memory

CPU = torch.device("cpu")


def test_it_is_what_is_held_and_a_share_of_what_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "taken_memory", lambda device: 1000)
    monkeypatch.setattr(memory, "_left_by_groups", lambda groups: [4000, 10**15])
    assert found_budget(CPU) == 1000 + 4000
    assert found_budget(CPU, 0.25) == 1000 + 1000
    monkeypatch.setattr(memory, "_left_by_groups", lambda groups: [10**15])
    assert found_budget(CPU) <= 1000 + psutil.virtual_memory().total


def test_here_it_is_more_than_what_is_taken() -> None:
    assert taken_memory(CPU) < found_budget(CPU) <= taken_memory(CPU) + psutil.virtual_memory().total


def write(folder: Path, **files: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text + "\n")


def test_the_tightest_control_group_counts(tmp_path: Path) -> None:
    groups, root = tmp_path / "cgroup", tmp_path / "fs"
    groups.write_text("0::/job/step\n")
    write(root / "job", memory__max="5000", memory__current="3000", memory__stat="anon 1\ninactive_file 500")
    write(root / "job/step", memory__max="max", memory__current="3000", memory__stat="inactive_file 500")
    assert min(memory._left_by_groups(groups, root)) == 2500
    write(root / "job/step", memory__max="3100")
    assert min(memory._left_by_groups(groups, root)) == 600


def test_groups_of_the_first_kind_count_too(tmp_path: Path) -> None:
    groups, root = tmp_path / "cgroup", tmp_path / "fs"
    groups.write_text("5:cpu,cpuacct:/job\n4:memory:/job\n")
    files = {"memory__limit_in_bytes": "700", "memory__usage_in_bytes": "600", "memory__stat": "total_inactive_file 50"}
    write(root / "memory/job", **files)
    assert min(memory._left_by_groups(groups, root)) == 150


def test_without_groups_nothing_is_limited(tmp_path: Path) -> None:
    assert min(memory._left_by_groups(tmp_path / "none")) > 2**60
