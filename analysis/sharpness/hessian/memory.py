"""What the process holds already, and one setting of the C library's allocator."""

import ctypes
import resource
import sys
from pathlib import Path

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
