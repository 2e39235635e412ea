"""What the process holds already, what it may hold, and one setting of the C library's allocator."""

import ctypes
import resource
import sys
from pathlib import Path

import psutil
import torch


def taken_memory(device: torch.device) -> int:
    """Bytes resident in the process, for a CPU; bytes of tensors on a GPU.

    Python with a CUDA build of torch and torchvision measured 0.69 GiB before any work.
    """
    if device.type == "cuda":
        return torch.cuda.memory_allocated(device)
    pages = Path("/proc/self/statm")
    if pages.exists():
        return int(pages.read_text().split()[1]) * resource.getpagesize()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # bytes on macOS, where there is no /proc


def found_budget(device: torch.device, share: float = 1.0) -> int:
    """Bytes that the process may hold: what it holds, and its share of what is free.

    On a CPU free is what the system could give without swapping, and what the process's control groups (containers,
    Slurm) leave it; on a GPU what the driver and torch's own cache have.

    Args:
        share: of the free memory; processes that start together on one device share it.
    """
    taken = taken_memory(device)
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        cached = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return taken + int(share * (free + cached))
    return taken + int(share * min(psutil.virtual_memory().available, *_left_by_groups(Path("/proc/self/cgroup"))))


def _left_by_groups(groups: Path, root: Path = Path("/sys/fs/cgroup")) -> list[int]:
    """Bytes that each control group above this process leaves it; none where there is no limit, or no such system."""
    lines = groups.read_text().splitlines() if groups.exists() else []
    left = [sys.maxsize]
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        mount = root / "memory" if controllers else root
        limit, usage = (
            ("memory.limit_in_bytes", "memory.usage_in_bytes") if controllers else ("memory.max", "memory.current")
        )
        folder = mount / path.lstrip("/")
        for group in (folder, *folder.parents):
            if not group.is_relative_to(mount):
                break
            left += _left(group, limit, usage)
    return left


def _left(group: Path, limit: str, usage: str) -> list[int]:
    try:
        most, used = (group / limit).read_text().strip(), int((group / usage).read_text())
        counts = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
    except (OSError, ValueError):
        return []
    # Pages of files that nobody used for a while are given up before a limit is felt.
    idle = int(counts.get("total_inactive_file", counts.get("inactive_file", 0)))
    return [] if most == "max" else [max(0, int(most) - used + idle)]


def settle_allocator() -> None:
    """Make the process keep freed blocks below 32 MiB for reuse, and return to the system what the last job freed.

    glibc raises its threshold for blocks that it maps one by one to the largest such block freed so far, at most
    32 MiB. Activations of a chunk of samples lie above the initial threshold: each would be mapped, faulted in page
    by page and unmapped again, which measured three times the cost of a 16-channel convolution. Freeing one
    block that was never written to sets the threshold for good, and takes no memory. The price is a heap that fills
    with holes: it grew by 20 MiB a job. `malloc_trim` returns these to the system.
    """
    torch.empty(31 * 2**20, dtype=torch.uint8)
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)
