"""A small disk that can be full or read-only; needs root."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def small_disk(place: Path, kilobytes: int) -> Iterator[Path]:
    """An empty disk at `place`; skips the test where it can't be had."""
    if os.getuid() != 0:
        pytest.skip("NOT ROOT, SO FULL AND READ-ONLY DISKS ARE NOT TESTED: run `make test-system` as root")
    place.mkdir(exist_ok=True)
    resize(place, kilobytes, first=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def resize(place: Path, kilobytes: int, first: bool = False) -> None:
    """Make the disk larger or smaller."""
    options = f"size={kilobytes}k" if first else f"remount,size={kilobytes}k"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)], check=True)


def set_writable(place: Path, writable: bool) -> None:
    """Give or take the permission to write, which not even root has on a read-only disk."""
    subprocess.run(["mount", "-o", f"remount,{'rw' if writable else 'ro'}", str(place)], check=True)
