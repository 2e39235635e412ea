"""The real folders over a storage in memory."""

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

from tests.simulator.disks import MemoryDisk, NfsDisk
from tests.simulator.objects import MemoryObjects
from tests.simulator.world import Process, SimulatedMachine, World
from trainables.trial.storage import Folder, LocalFolder, RemoteFolder

KINDS = ("disk", "nfs", "objects")


class Storage:
    """One storage of a kind, and the machines of the processes that use it."""

    def __init__(self, world: World, kind: str) -> None:
        self.kind = kind
        self._world = world
        self._processes: dict[tuple[str, int], Process] = {}
        self._disk = NfsDisk(world) if kind == "nfs" else MemoryDisk(world)
        self._objects = MemoryObjects(world)

    def machine(self, process: Process) -> SimulatedMachine:
        """The machine of a process."""
        return SimulatedMachine(self._world, process, self._processes)

    def folder(self, machine: SimulatedMachine) -> Folder:
        """The sweep's folder as a process opens it."""
        if self.kind == "objects":
            return RemoteFolder(self._objects, "sweep", "s3://sweep", machine)
        return LocalFolder(Path("/sweep"), self._disk)

    def files(self) -> dict[str, bytes]:
        """What is there, without asking the world."""
        if self.kind == "objects":
            return {f"/{path}": data for path, (data, _) in self._objects.objects.items()}
        return {path: file.data for path, file in self._disk.files.items()}


@contextmanager
def numbered_names() -> Iterator[None]:
    """Unique names that are the same in every run of a schedule."""
    numbers = itertools.count(1)

    class Name:
        def __init__(self) -> None:
            self.hex = f"{next(numbers):032x}"

    with mock.patch("uuid.uuid4", Name):
        yield


Scenario = Callable[[World], Any]
