"""One setting of the C library's allocator, without which much of the time goes into page faults."""

import torch


def settle_allocator() -> None:
    """Make the process keep freed blocks below 32 MiB instead of returning them to the kernel.

    glibc raises its threshold for blocks that it maps one by one to the largest such block freed so far, at most
    32 MiB. Activations of a chunk of samples lie above the initial threshold: each would be mapped, faulted in page
    by page and unmapped again, which measured three times the cost of a 16-channel convolution. Freeing one untouched
    block settles it for good; it never becomes resident.
    """
    torch.empty(31 * 2**20, dtype=torch.uint8)
