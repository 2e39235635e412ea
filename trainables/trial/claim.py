"""A worker's claim to write the files of a folder: the last one that claimed it may, all before it may not."""

import os
import socket
import uuid

from trainables.errors import ReplacedError
from trainables.trial.machine import THIS_MACHINE, Machine
from trainables.trial.manifest import WORKER_FILE, CheckedFolder, parsed
from trainables.trial.seal import sealed_json, unsealed_json


class Claim:
    """The claim of one worker.

    Each file is written with `check`, which is called when the new bytes lie beside the old ones (`Folder.write`). A
    new claim is first written, then removes such bytes. So a write of an earlier worker either sees the new claim, or
    is removed, or was in its place before the new worker read anything. An object store has nothing to be removed:
    there the new worker waits until what an earlier one had begun to send must have arrived (`Folder.settling`).
    """

    def __init__(self, folder: CheckedFolder, machine: Machine = THIS_MACHINE) -> None:
        self._folder = folder
        self._machine = machine
        self._worker = ""

    @property
    def is_taken(self) -> bool:
        """Whether this worker has ever claimed the folder."""
        return bool(self._worker)

    def take(self, *names: str) -> None:
        """Claim the folder; these are the files that are written with `check`."""
        is_first = WORKER_FILE not in self._folder.names()
        self._worker = uuid.uuid4().hex
        worker = {"worker": self._worker, "host": socket.gethostname(), "process": os.getpid()}
        self._folder.write(WORKER_FILE, sealed_json(f"{self._folder.place}/{WORKER_FILE}", worker))
        self._folder.clear(*names)
        if self._folder.settling and not is_first:
            self._machine.sleep(self._folder.settling)

    def check(self) -> None:
        """Do nothing while this is the last claim; costs a read of a small file.

        Raises:
            ReplacedError: another worker has claimed the folder.
        """
        data = self._folder.unchecked.read(WORKER_FILE)
        worker = parsed(
            self._folder, WORKER_FILE, data, lambda data: unsealed_json(f"{self._folder.place}/{WORKER_FILE}", data)
        )
        if worker["worker"] != self._worker:
            raise ReplacedError(f"process {worker['process']} on {worker['host']} now works on {self._folder.uri}")
