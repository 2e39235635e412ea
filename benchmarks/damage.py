"""Damage at rest: is every one seen, named and mended? And how long does it take to check a store?

    python benchmarks/damage.py cases 500      # drawn damages, one at a time, to the store of a real sweep
    python benchmarks/damage.py verify 1000    # a store of so many trials, checked
    python benchmarks/damage.py cost           # what digests add to the time of a sweep

A case damages one file, checks the store, removes what is named, does the missing work, and compares all results with
those before. The table counts, for each kind of file and of damage, how many were drawn, named and mended.
"""

import argparse
import os
import random
import re
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
os.environ.setdefault("OMP_NUM_THREADS", "1")

from orchestrator.config.load import load
from orchestrator.config.sweep_config import SweepConfig
from orchestrator.events import Event, TrialFailed, TrialMeasured, TrialStarted
from orchestrator.executors.actor import SharpnessActor
from orchestrator.store import lease as lease_module
from orchestrator.store.activity import ActivityFile
from orchestrator.store.closing import close_sweep, reopen_sweep
from orchestrator.store.lease import Lease
from orchestrator.store.plan import Plan, make_plan
from orchestrator.store.repair import remove
from orchestrator.store.results import stored_sweep
from orchestrator.store.trial_store import TrialState
from orchestrator.store.verify import verify_sweep
from tests import damage
from tests.damage import Damage
from trainables.training.loop import attempt
from trainables.trial.manifest import checked
from trainables.trial.storage import open_folder

SWEEP = """\
name: small
data: {dataset: digits}
model: digits_cnn
training: {epochs: 1, batch_size: 512, keep_best: true}
shifts: [noise_3, blur_1]
grid:
  - optimizer: sgd
    learning_rate: [0.05, 0.1]
  - optimizer: sgd
    learning_rate: 1e6
sharpness:
  {samples: 20, layers: [classifier.weight], orders: [0.5], num_probes: 2, num_matvecs: 3, measures: [renyi, l2]}
"""
PATIENCE = 0.0  # with a damaged lease, whose driver may be alive


def work(config: SweepConfig) -> None:
    """Do what is missing, as a driver does, without MLflow; the report is two small files."""
    folder = open_folder(config.folder)
    with Lease(folder, "renyi run small") as lease:
        reopen_sweep(folder)
        plan = make_plan(config)
        plan.store.mark_layout()
        with ActivityFile(folder) as activity:
            for event in done_here(config, plan):
                activity.record(event)
        for trial_id in plan.states:
            plan.store.trial(trial_id).write_run_id("sqlite:///mlflow.db", f"run of {trial_id}")
        report = checked(folder / "report")
        table = stored_sweep(make_plan(config)).table
        report.write("results.csv", table.to_csv().encode())
        report.write("report.html", f"<p>{time.time()}</p>".encode())
        report.list_files(["results.csv", "report.html"])
        close_sweep(folder, lease.number)
        lease.closed = True


def done_here(config: SweepConfig, plan: Plan) -> Iterator[Event]:
    """Train and measure in this process: another one would take most of the time of a case to start."""
    actor = SharpnessActor(config.folder, config.sharpness, 1, config.data, config.shifts)
    for spec in plan.work.to_train:
        yield TrialStarted(spec.trial_id, "here")
        list(attempt(spec, plan.store.trial(spec.trial_id), torch.device("cpu")))
        if plan.store.state(spec.trial_id) is TrialState.FAILED:
            yield TrialFailed(spec.trial_id, "here")
    trained = [spec for spec in plan.specs if plan.store.state(spec.trial_id) is TrialState.TRAINED]
    for spec in [*trained, *plan.work.to_shift]:
        actor.measure(spec)
        yield TrialMeasured(spec.trial_id)


def made(storage: Path) -> SweepConfig:
    """A sweep that has been run in a new storage."""
    storage.mkdir(parents=True)
    file = storage / "sweep.yaml"
    file.write_text(SWEEP)
    config = load(str(file), storage=str(storage))
    work(config)
    return config


def kind_of(path: str) -> str:
    """A file's path without what differs between trials, settings and drivers."""
    return re.sub(r"[0-9a-f]{12}", "*", re.sub(r"driver/\d+", "driver/*", path))


def cases(count: int, seed: int) -> int:
    """Draw and do them; the number of those that did not hold."""
    lease_module.EXPIRY = PATIENCE
    draw = random.Random(seed)
    scratch = Path(tempfile.mkdtemp(prefix="renyi-damage-"))
    older = damage.files(Path(made(scratch / "older").folder))
    config = made(scratch / "sound")
    folder = Path(config.folder)
    sound, expected = damage.files(folder), stored_sweep(make_plan(config)).table
    lease = next(path for path in sound if path.startswith("driver/"))
    trials = sorted({path.split("/")[1] for path in sound if path.startswith("trials/")})
    possible = []
    for path in sound:
        trial = path.split("/")[1] if path.startswith("trials/") else ""
        foreign = [sound.get(path.replace(trial, other)) for other in trials if trial and other != trial]
        others = [data for data in foreign if data not in (None, sound[path])]
        for kind in Damage:
            if kind is Damage.OLDER and (path in ("manifest.json", lease) or older.get(path) in (None, sound[path])):
                continue  # there is no older one, or it has the same bytes
            if kind is Damage.FOREIGN and not others:
                continue
            possible.append((path, kind, others))
    drawn, named, mended = Counter[tuple[str, str]](), Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    for number in range(count):
        path, kind, others = possible[number % len(possible)] if number < len(possible) else draw.choice(possible)
        case = (kind_of(path), kind.value)
        drawn[case] += 1
        damage.do(kind, folder / path, draw, older.get(path), draw.choice(others) if others else None)
        found = verify_sweep(open_folder(config.folder)).damages
        named[case] += path in [each.path for each in found]
        remove(open_folder(config.folder), found)
        work(config)
        if number % 20 == 19:
            print(f"{number + 1} cases", flush=True)
        same = stored_sweep(make_plan(config)).table.equals(expected)
        mended[case] += same and not verify_sweep(open_folder(config.folder)).damages
        if not named[case] == mended[case] == drawn[case]:
            print("DID NOT HOLD:", path, kind.value, [each.path for each in found], flush=True)
        damage.restore(folder, sound)
    print(f"| {'file':48} | {'damage':16} | drawn | named | mended |")
    for case in sorted(drawn):
        print(f"| {case[0]:48} | {case[1]:16} | {drawn[case]:5} | {named[case]:5} | {mended[case]:6} |")
    print(f"| {'all':48} | {'':16} | {drawn.total():5} | {named.total():5} | {mended.total():6} |")
    shutil.rmtree(scratch)
    return 2 * drawn.total() - named.total() - mended.total()


def verify(count: int) -> None:
    """Check a store of many trials: copies of one that was trained and measured, each sealed for its own place."""
    scratch = Path(tempfile.mkdtemp(prefix="renyi-verify-"))
    config = made(scratch / "one")
    trials = Path(config.folder) / "trials"
    template = next(path for path in sorted(trials.iterdir()) if (path / "trained.json").exists())
    for number in range(count):
        trial_id = f"{number:012x}"
        for source in [path for path in template.rglob("*") if path.is_file() and path.name != "manifest.json"]:
            target = trials / trial_id / source.relative_to(template)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(source.read_bytes())
        for step in (path.parent.relative_to(template) for path in template.rglob("manifest.json")):
            place = "/".join([trial_id, *step.parts])
            names = [path.name for path in (template / step).iterdir() if path.is_file()]
            there = checked(open_folder(str(trials / trial_id / step)), place)
            there.list_files(
                [name for name in names if name not in ("manifest.json", "worker.json", "mlflow_run.json")]
            )
    folder = open_folder(config.folder)
    for fast in (False, True):
        started = time.perf_counter()
        found = verify_sweep(folder, fast)
        seconds = time.perf_counter() - started
        print(f"{'fast' if fast else 'all '}: {found.files} files, {found.bytes / 1e6:.0f} MB read in {seconds:.1f} s")
    shutil.rmtree(scratch)


def cost() -> None:
    """The share of a sweep's time that digests, seals and manifests take, by wrapping what makes them."""
    from trainables.trial import manifest, seal

    spent = 0.0
    digest = seal.digest

    def timed(data: bytes | memoryview) -> str:
        nonlocal spent
        started = time.perf_counter()
        try:
            return digest(data)
        finally:
            spent += time.perf_counter() - started

    for module in (seal, manifest):
        vars(module)["digest"] = timed
    scratch = Path(tempfile.mkdtemp(prefix="renyi-cost-"))
    file = scratch / "sweep.yaml"
    file.write_text(
        SWEEP.replace("epochs: 1", "epochs: 10").replace("samples: 20, layers: [classifier.weight]", "samples: 200")
    )
    started = time.perf_counter()
    work(load(str(file), storage=str(scratch)))
    seconds = time.perf_counter() - started
    print(f"hashing: {spent:.3f} s of {seconds:.1f} s, {100 * spent / seconds:.2f} %")
    shutil.rmtree(scratch)


def main() -> int:
    """Do what the words say."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["cases", "verify", "cost"])
    parser.add_argument("count", type=int, nargs="?", default=500)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    if arguments.what == "cases":
        return min(1, cases(arguments.count, arguments.seed))
    if arguments.what == "verify":
        verify(arguments.count)
    else:
        cost()
    return 0


if __name__ == "__main__":
    sys.exit(main())
