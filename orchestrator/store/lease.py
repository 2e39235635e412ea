"""The lease on a sweep: a file with a heartbeat that allows one driver at a time; taken over if its driver is gone."""

import re
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, replace

from orchestrator.errors import UsageError
from trainables.errors import StorageError
from trainables.trial.machine import THIS_MACHINE, Machine
from trainables.trial.seal import sealed_json, unsealed_json
from trainables.trial.storage import Folder

DRIVER_FOLDER = "driver"
_LEASE = re.compile(r"([0-9]{6,18})\.json")
_CLAIM = re.compile(r"([0-9]{6,18})\.json\.claim-.+")  # to a lease, in an object store
HEARTBEAT = 10.0  # seconds between two writes of a small file and a listing of its folder
SILENCE = 3  # heartbeats that may be late, with a storage that answers in seconds
EXPIRY = 60.0  # seconds without a heartbeat after which a driver may be dead
LISTINGS = 30  # of the folder, with pauses, until what is listed is there: NFS may show a listing of a minute ago
TRIES = 20  # to create the next file, while others try the same


@dataclass(frozen=True)
class Driver:
    """The process that works, or worked, on a sweep."""

    command: str  # that started it
    host: str
    machine: str  # in which process numbers are unique: this boot of this machine, and its container
    pid: int
    process_started: str  # by the kernel's clock: distinguishes a process from a later one with the same number
    since: float  # Unix time
    heartbeat: float  # Unix time
    ended: bool = False  # it gave the lease back
    closed: bool = False  # and had written the sweep's manifest
    how: str = ""  # it ended, in a few words; empty: of an earlier version, or by an error that ended the program

    def __str__(self) -> str:
        return self.as_of(time.time())

    def as_of(self, now: float) -> str:
        """The driver in words, for a reader whose clock shows `now`."""
        since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(self.since))
        silent = max(0.0, now - self.heartbeat)
        return f"`{self.command}` on {self.host}, process {self.pid}, since {since}, last heartbeat {silent:.0f} s ago"

    @property
    def is_gone(self) -> bool:
        """Whether it has certainly ended: it said so, or it was on this machine and its process does not exist."""
        return self.is_gone_by(THIS_MACHINE)

    def is_gone_by(self, machine: Machine) -> bool:
        """The same, as another machine knows it."""
        here = self.machine == machine.scope
        return self.ended or (here and machine.process_started(self.pid) != self.process_started)

    @property
    def is_at_work(self) -> bool:
        """Whether it still works on the sweep, as far as this machine can know."""
        return not self.is_gone and abs(time.time() - self.heartbeat) < EXPIRY


class LeaseError(UsageError):
    """Another driver works on the sweep."""


class Lease:
    """While entered, no other driver works on the sweep in the same folder.

    Leases are numbered files, `driver/000001.json` and so on; the highest number is valid. A driver takes over by
    creating the next file, which only one of several drivers can do, and it never writes the file of another. Every
    HEARTBEAT seconds it looks for a higher number, then writes its own file again. So the lease is as reliable as
    `Folder.create`. A driver that was stopped or cut off for longer than EXPIRY finds a higher number at its next
    heartbeat, and is interrupted as by Ctrl-C. Files that its workers write until then are complete, and contain what
    the new driver would write.
    """

    def __init__(self, folder: Folder, command: str, machine: Machine = THIS_MACHINE) -> None:
        """The lease on the sweep in `folder`, for the command that the user typed."""
        self._machine = machine
        self._folder = folder / DRIVER_FOLDER
        self._sweep = folder.uri
        self._command = command
        self._number = 0
        self._changed = machine.condition()
        self._released = False
        self._successor: Driver | None = None
        self.closed = False  # whether the sweep's manifest has been written
        self.how = ""  # the driver ends, for whoever looks at the sweep later

    def __enter__(self) -> "Lease":
        """Claim the lease.

        Raises:
            LeaseError: another driver holds it.
            StorageError: the folder can't be written.
        """
        for _ in range(TRIES):
            last = _last(self._folder, self._machine)
            if last is not None:
                self._await_end(*last)
            self._number = last[0] + 1 if last else 1
            self._driver = self._new_driver()
            if self._folder.create(_name(self._number), _to_json(self._number, self._driver)):
                self._tidy()
                if self._is_last():  # asked last: what came before may have taken so long that another took over
                    self._thread = self._machine.start(self._beat, "heartbeat")
                    return self
                self._folder.delete(_name(self._number))
            self._machine.sleep(self._machine.uniform(0.1, 1.0))
        raise LeaseError(f"{self._folder.uri}: other drivers keep trying to start this sweep; start it again")

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._released = True
            self._changed.notify_all()
        self._thread.join()
        if self._successor is None:
            now = self._machine.time()
            ended = replace(self._driver, heartbeat=now, ended=True, closed=self.closed, how=self.how)
            with suppress(StorageError):  # a full disk: the end of the process shows the same
                self._folder.write(_name(self._number), _to_json(self._number, ended))

    @property
    def number(self) -> int:
        """The number of this lease; the next one has a higher number."""
        return self._number

    @property
    def lost(self) -> bool:
        """Whether another driver took it over."""
        return self._successor is not None

    def check(self) -> None:
        """Do nothing while the lease is held.

        Raises:
            LeaseError: another driver has taken it over.
        """
        if self._successor is not None:
            raise LeaseError(
                f"{self._sweep}: taken over by {self._successor}, after no heartbeat of this driver had arrived; "
                "this driver stops, and what it finished is kept"
            )

    def _await_end(self, number: int, data: bytes) -> None:
        """Wait until it is certain that the driver of a lease is gone.

        Raises:
            LeaseError: it is alive.
        """
        driver = _from_json(number, data)
        if driver is not None and driver.is_gone_by(self._machine):
            return
        if driver is not None and abs(self._machine.time() - driver.heartbeat) < EXPIRY:
            raise LeaseError(self._refusal(driver))
        # Its clock may be wrong, in either direction, so this process observes the silence itself.
        silence = SILENCE * HEARTBEAT if driver is not None else EXPIRY
        started = self._machine.monotonic()
        while self._machine.monotonic() - started < silence:
            self._machine.sleep(silence / 20)
            now = _last(self._folder, self._machine)
            if now is not None and now != (number, data):
                alive = _from_json(*now)
                if alive is not None and not alive.is_gone_by(self._machine):
                    raise LeaseError(self._refusal(alive))
                return

    def _refusal(self, driver: Driver) -> str:
        other = driver.as_of(self._machine.time())
        return f"{self._sweep}: another driver works on this sweep: {other}; let it end, or end it, and start again"

    def _new_driver(self) -> Driver:
        machine, now = self._machine, self._machine.time()
        started = machine.process_started(machine.pid)
        return Driver(self._command, machine.host, machine.scope, machine.pid, started, now, now)

    def _wait_for_the_end(self) -> bool:
        """Wait until the next heartbeat is due; whether the lease is given back before."""
        with self._changed:
            if not self._released:
                self._changed.wait(HEARTBEAT)
            return self._released

    def _beat(self) -> None:
        while not self._wait_for_the_end():
            try:
                last = _last(self._folder, self._machine)
                if last is not None and last[0] > self._number:
                    self._successor = _from_json(*last) or self._driver
                    self._machine.interrupt()
                    return
                self._driver = replace(self._driver, heartbeat=self._machine.time())
                self._folder.write(_name(self._number), _to_json(self._number, self._driver))
            except StorageError:
                continue  # the trials have the same trouble and report it; the next heartbeat may succeed

    def _is_last(self) -> bool:
        """Whether no other driver created a higher lease, and removed those below, while this one was being created."""
        # By names alone: a process that stood still before it read the file would not see what came meanwhile.
        numbers = [int(match[1]) for name in self._folder.names() if (match := _LEASE.fullmatch(name))]
        return max(numbers, default=0) == self._number

    def _tidy(self) -> None:
        """Remove older leases, claims to them, and unfinished files of drivers that were killed while writing one.

        A claim to a later lease is another driver's who is just creating it: without the claim, two might succeed.
        """
        for name in self._folder.names():
            match = _LEASE.fullmatch(name) or _CLAIM.fullmatch(name)
            if match and int(match[1]) < self._number:
                self._folder.delete(name)
        self._folder.clear(*(_name(number) for number in range(1, self._number)))


def last_lease(folder: Folder) -> tuple[int, Driver | None]:
    """The number of the valid lease of a sweep, 0 if there never was one, and its driver, None if it can't be read."""
    last = _last(folder / DRIVER_FOLDER)
    return (last[0], _from_json(*last)) if last else (0, None)


def current_driver(folder: Folder) -> Driver | None:
    """The driver that works on the sweep in a folder, or the last one that did; None if there was never one."""
    last = _last(folder / DRIVER_FOLDER)
    return _from_json(*last) if last else None


def _last(folder: Folder, machine: Machine = THIS_MACHINE) -> tuple[int, bytes] | None:
    """The valid lease: its number and its content.

    Raises:
        StorageError: what is listed can't be found for longer than any listing is believed.
    """
    for attempt in range(LISTINGS):
        numbers = [int(match[1]) for name in folder.names() if (match := _LEASE.fullmatch(name))]
        if not numbers:
            return None
        with suppress(FileNotFoundError):  # another driver took over and removed it; on NFS, up to a minute ago
            return max(numbers), folder.read(_name(max(numbers)))
        machine.sleep(3.0 if attempt else 0.0)
    raise StorageError(f"{folder.uri} lists {_name(max(numbers))}, which is not there; give the same command again")


def _name(number: int) -> str:
    return f"{number:06d}.json"


def _to_json(number: int, driver: Driver) -> bytes:
    return sealed_json(_name(number), asdict(driver))


def _from_json(number: int, data: bytes) -> Driver | None:
    """The driver in a lease; None if its driver was killed while writing it, or if it is damaged."""
    try:
        driver = Driver(**unsealed_json(_name(number), data))
        time.localtime(driver.since)
        return replace(driver, heartbeat=float(driver.heartbeat), pid=int(driver.pid))
    except (ValueError, TypeError, OverflowError, OSError):
        return None
