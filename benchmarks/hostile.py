"""Sweep files and stores of somebody hostile: is any obeyed, met with a traceback, or written elsewhere?

    python benchmarks/hostile.py files 300
    python benchmarks/hostile.py stores 200 [--seed 0] [--storage FOLDER]

A file is planned; a store is asked for its status, report, lineage and more, as
`tests/end_to_end/test_hostile_stores.py` does with fewer. Prints what went wrong, a line each, and ends with exit
code 1 if anything did.
"""

import argparse
import os
import sys
import tempfile
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
os.environ.setdefault("OMP_NUM_THREADS", "1")

from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from orchestrator.cli import app
from tests.conftest import SMALL_SWEEP
from tests.end_to_end.test_hostile_stores import check
from tests.hostile import MARK, MODULE
from tests.orchestrator.config.test_hostile_files import VALUES, almost_valid, damaged


def home_in(folder: Path) -> Path:
    """A user's home and current folder, with a module that tells when it is run."""
    home = folder / "home"
    home.mkdir()
    (home / f"{MODULE}.py").write_text(f"import pathlib\npathlib.Path({str(home / MARK)!r}).touch()\n")
    (home / "sweep.yaml").write_text(SMALL_SWEEP)
    os.environ.update(HOME=str(home), RENYI_STORAGE=str(home / "sent"), RENYI_CACHE=str(folder / "cache"))
    sys.dont_write_bytecode = True
    sys.path.insert(0, str(home))
    os.chdir(home)
    return home


def stores(count: int, first: int, storage: Path | None) -> int:
    """Attack copies of a finished sweep; the number of problems."""
    with tempfile.TemporaryDirectory(prefix="renyi-hostile-") as scratch:
        home = home_in(Path(scratch))
        if storage is None:
            storage = Path(scratch) / "made"
            done = CliRunner().invoke(app, ["run", "sweep.yaml", "--executor", "inline", "--storage", str(storage)])
            assert done.exit_code == 0, done.output
        problems = 0
        for number in range(first, first + count):
            for problem in check(storage, home, number):
                problems += 1
                print(problem, flush=True)
            if number % 20 == 19:
                print(f"{number + 1 - first} stores", flush=True)
        print(f"{count} stores, {problems} problems")
        return problems


def files(count: int, first: int) -> int:
    """Plan drawn files; the number of problems."""
    codes: Counter[int] = Counter()
    problems = 0
    with tempfile.TemporaryDirectory(prefix="renyi-hostile-") as scratch:
        home = home_in(Path(scratch))
        before = set(home.iterdir())

        @seed(first)
        @settings(max_examples=count, deadline=None, database=None, suppress_health_check=list(HealthCheck))
        @given(st.binary(max_size=60) | damaged() | almost_valid() | VALUES.map(repr))
        def plan(content: bytes | str) -> None:
            nonlocal problems
            data = content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass")
            (home / "sweep.yaml").write_bytes(data)
            result = CliRunner().invoke(app, ["plan", "sweep.yaml"])
            codes[result.exit_code] += 1
            failed = result.exception is not None and not isinstance(result.exception, SystemExit)
            if failed or result.exit_code not in (0, 2) or set(home.iterdir()) != before:
                problems += 1
                print(f"{data!r}: {result.exception!r}", flush=True)

        plan()
    print(f"{sum(codes.values())} files, {problems} problems; exit codes {dict(codes)}")
    return problems


def main() -> int:
    """Do what the words say."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["files", "stores"])
    parser.add_argument("count", type=int, nargs="?", default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--storage", type=Path)
    arguments = parser.parse_args()
    if arguments.what == "files":
        return min(1, files(arguments.count, arguments.seed))
    return min(1, stores(arguments.count, arguments.seed, arguments.storage))


if __name__ == "__main__":
    sys.exit(main())
