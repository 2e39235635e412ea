"""Drivers that want the same sweep: crashed, cut off, with wrong clocks; the real lease."""

from collections import defaultdict
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise

from orchestrator.store.lease import HEARTBEAT, Lease, LeaseError
from tests.simulator.stores import KINDS, Storage
from tests.simulator.world import Faults, Process, World
from trainables.errors import StorageError

SKEWS = (0.0, 0.0, -3600.0, -40.0, 40.0, 3600.0)  # seconds by which the clock of a host may be wrong
STALLS = {  # an exclusive creation in an object store holds as long as nobody stands still for CLAIM_SECONDS
    "disk": (0.0, 5.0, 30.0, 90.0, 200.0),
    "nfs": (0.0, 5.0, 30.0, 90.0, 200.0),
    "objects": (0.0, 5.0, 12.0, 20.0, 28.0),
}


@dataclass
class Holder:
    """A driver that has the lease."""

    process: Process
    number: int
    entered: float
    overlapped: float = 0.0  # since when another one has it too, by right


@dataclass
class Drivers:
    """What must be true of all drivers of a sweep."""

    world: World
    storage: Storage
    holders: list[Holder] = field(default_factory=list)
    numbers: set[int] = field(default_factory=set)
    beats: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))  # by path
    finished: int = 0

    def entered(self, process: Process, lease: Lease) -> Holder:
        """A driver has the lease now: nobody else has who showed a sign of life lately."""
        world = self.world
        world.say(f"has lease {lease.number}")
        world.require(lease.number not in self.numbers, f"two drivers had the lease {lease.number}")
        self.numbers.add(lease.number)
        for other in self.holders:
            if other.process.alive:
                silent = self.longest_silence(other)
                world.require(silent >= 2 * HEARTBEAT, f"two drivers at once, the first silent for {silent:.0f} s")
                other.overlapped = other.overlapped or world.now
        holder = Holder(process, lease.number, world.now)
        self.holders.append(holder)
        return holder

    def beaten(self, path: str) -> None:
        """A lease was written."""
        if "/driver/" in path:
            self.beats[path].append(self.world.now)

    def longest_silence(self, holder: Holder) -> float:
        """Seconds between two heartbeats of a driver, of those in the last two minutes."""
        beats = [*self.beats[f"/sweep/driver/{holder.number:06d}.json"], self.world.now]
        return max(later - earlier for earlier, later in pairwise(beats) if later > self.world.now - 120.0)

    def left(self, holder: Holder) -> None:
        """A driver does nothing more under the lease: if it was replaced, it has noticed in time."""
        self.holders.remove(holder)
        if holder.overlapped and not self.world.wrong:
            awake = self.world.now - max(holder.overlapped, holder.process.standing)
            self.world.require(awake < 60.0 + 6 * HEARTBEAT, f"a replaced driver went on for {awake:.0f} s")


def drive(drivers: Drivers, process: Process, work: float) -> None:
    """What `renyi run` does, given again, in a process of its own, until it has worked once."""
    world = drivers.world
    machine = drivers.storage.machine(process)
    folder = drivers.storage.folder(machine)
    holder = None
    try:
        with Lease(folder, process.name, machine) as lease:
            holder = drivers.entered(process, lease)
            world.sleep(work)
            folder.write("work.json", process.name.encode())
            drivers.left(holder)
            holder = None
        drivers.finished += not lease.lost
        return
    except (LeaseError, StorageError) as error:
        world.say(f"{error}")
        world.require(f"process {process.pid}, since" not in str(error), "a driver was refused because of itself")
    except KeyboardInterrupt:
        world.say("is interrupted")
    finally:
        if holder is not None and process.alive:
            drivers.left(holder)
    again = partial(drive, drivers, work=work)
    world.spawn(process.name, process.host, again, machine.uniform(5.0, 30.0)).skew = process.skew


def contend(world: World, kind: str | None = None, drivers: int | None = None) -> None:
    """Two to four drivers, then one more when faults have stopped, which must get the lease."""
    choices = world.choices
    kind = kind or KINDS[choices.draw(3)]
    storage = Storage(world, kind)
    there = Drivers(world, storage)
    world.replaced = there.beaten
    hosts = ("one", "two", "one", "three")
    skews = {host: choices.among(SKEWS) for host in dict.fromkeys(hosts)}
    count = drivers or 2 + choices.draw(3)
    for number in range(count):
        work = choices.among((15.0, 1.0, 45.0, 150.0))
        after = choices.among((0.0, 0.5, 20.0, 100.0))
        process = world.spawn(f"driver {number}", hosts[number], partial(drive, there, work=work), after)
        process.skew = skews[process.host]
    end_with_another(world, there, "four")


def two_at_once(world: World, kind: str) -> None:
    """Two drivers on two hosts at the same moment, then another: little enough to try every schedule."""
    there = Drivers(world, Storage(world, kind))
    world.replaced = there.beaten
    for name, host in (("first", "one"), ("second", "two")):
        world.spawn(name, host, lambda process: drive(there, process, 15.0))
    end_with_another(world, there, "three")


def end_with_another(world: World, there: Drivers, host: str) -> None:
    """Run the schedule, with one more driver after the last fault, which must get the lease."""
    before = there.finished

    def last(process: Process) -> None:
        nonlocal before
        before = there.finished
        drive(there, process, 5.0)

    world.spawn("last driver", host, last, world.faults.until + 1.0)
    world.run()
    world.require(there.finished > before, "no driver got the lease after the last fault")
    world.judge()


def faults_of(kind: str) -> Faults:
    """What may happen on a storage of a kind."""
    return Faults(misfortunes=STALLS[kind], until=250.0)
