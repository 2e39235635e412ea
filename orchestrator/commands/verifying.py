"""Commands about what lies in the storage: is it what was written, and what did it come from?"""

from pathlib import Path
from typing import Annotated

import typer

from analysis.progress import progress_bar
from analysis.terminal import titled
from orchestrator.commands.endings import usage_errors
from orchestrator.commands.options import Executor, ExecutorName, Storage, Tracking
from orchestrator.config.load import load, shipped_sweeps
from orchestrator.config.sweep_config import SweepConfig
from orchestrator.display import console, show_damages
from orchestrator.errors import UsageError
from orchestrator.exit_codes import ExitCode
from orchestrator.store.changes import Changes
from orchestrator.store.difference import difference
from orchestrator.store.lease import Lease
from orchestrator.store.lineage import lineage_of
from orchestrator.store.repair import remove
from orchestrator.store.verify import Damage, Verification, sweeps_in, verify_sweep
from trainables.trial.manifest import TRIALS_FOLDER
from trainables.trial.storage import Folder, is_remote, open_folder

MOST_SHOWN = 1000  # damaged files, a line each
Target = Annotated[
    str,
    typer.Argument(
        metavar="SWEEP",
        help="A sweep file (YAML), the name of a shipped sweep, or the folder of a sweep or of a whole storage.",
        show_default=False,
    ),
]


def verify(
    sweep: Target,
    fast: Annotated[
        bool, typer.Option(help="Trust files that have their size and were not written after their step was done.")
    ] = False,
    repair: Annotated[bool, typer.Option(help="Make again exactly what is damaged.")] = False,
    executor: Executor = None,
    storage: Storage = None,
    tracking: Tracking = None,
) -> None:
    """Check that every file in a sweep's folder is the one that was written, and name those that are not.

    With `--repair` the damaged files are removed, and a sweep given by its file or name is run for what they were
    part of. Given a folder, which does not say how to run, `renyi run` does that later. Results of versions before 0.3
    have no digests: of them it is checked whether they can be read.

    Exit code: 0 all is as it was written, or is again; 1 damaged files.

    Example: `renyi verify digits`, `renyi verify ~/renyi --fast`, `renyi verify my_sweep.yaml --repair`
    """
    with usage_errors():
        config = None if is_folder(sweep) else load(sweep, storage, tracking)
        folders = {config.name: open_folder(config.folder)} if config else sweeps_of(sweep)
        damages = {name: checked(name, folder, fast).damages for name, folder in folders.items()}
        if not any(damages.values()):
            return
        if not repair:
            console.print(f"mend it with: renyi verify {sweep} --repair")
            raise typer.Exit(ExitCode.SOME_FAILED)
        if config is not None:
            raise typer.Exit(_made_again(config, executor, sweep, damages[config.name]))
        for name, folder in folders.items():
            with Lease(folder, f"renyi verify {sweep} --repair"):
                trial_ids = remove(folder, damages[name])
            console.print(f"{name}: removed; renyi run makes it again, of {len(trial_ids)} trials")


def lineage(
    sweep: Target,
    trial: Annotated[str, typer.Argument(help="The id of a trial, or the beginning of it.", show_default=False)],
    storage: Storage = None,
    tracking: Tracking = None,
) -> None:
    """Show what the numbers of a trial were made from: settings, data, code, commit, machine, checkpoints.

    Every file that is named is read and compared with its manifest.

    Example: `renyi lineage digits 0105b`, `renyi lineage ~/renyi/digits 0105ba9dbfe1`
    """
    with usage_errors():
        found = lineage_of(_one_sweep(sweep, storage, tracking), trial)
        console.print(titled(found.trial_id, f"  {found.label}"))
        for step in found.steps:
            console.print(titled(step.name, ""))
            for topic, text in (*step.facts, *((name, f"SHA-256 {digest}") for name, digest in step.files.items())):
                console.print(f"  {topic}: {text}")


def diff(first: Target, second: Target, storage: Storage = None, tracking: Tracking = None) -> None:
    """Compare two sweeps: which trials they have, their settings, code and data, weights, outcomes and values.

    The options apply to sweeps that are given by a file or a name.

    Exit code: 0 nothing that is compared differs; 1 something does.

    Example: `renyi diff ~/renyi/digits ~/theirs/digits`
    """
    with usage_errors():
        found = difference(_one_sweep(first, storage, tracking), _one_sweep(second, storage, tracking))
        for topic, text in found:
            console.print(f"{topic}: {text}")
        if found:
            raise typer.Exit(ExitCode.SOME_FAILED)
        console.print("nothing differs: trials, settings, code, data, weights, outcomes and values are the same")


def _one_sweep(word: str, storage: str | None, tracking: str | None) -> Folder:
    """The folder of a sweep with trials.

    Raises:
        UsageError: there is none, or there are several.
    """
    if not is_folder(word):
        folder = open_folder(load(word, storage, tracking).folder)
        if TRIALS_FOLDER not in folder.names():
            raise UsageError(f"{word}: has no trials in {folder.uri} yet; run it first: renyi run {word}")
        return folder
    found = sweeps_of(word)
    if len(found) > 1:
        raise UsageError(f"{word}: holds {len(found)} sweeps, {', '.join(found)}; give the folder of one")
    return next(iter(found.values()))


def is_folder(word: str) -> bool:
    """Whether the user named a folder, on a disk or in an object store."""
    return is_remote(word) or (word not in shipped_sweeps() and Path(word).expanduser().is_dir())


def sweeps_of(word: str) -> dict[str, Folder]:
    """The folders of the sweeps at a path or an address: that of one sweep, or of a storage with several.

    Raises:
        UsageError: there is none.
    """
    folder = open_folder(word if is_remote(word) else str(Path(word).expanduser().absolute()))
    if TRIALS_FOLDER in folder.names():
        return {word: folder}
    found = {name: folder / name for name in sweeps_in(folder)}
    if not found:
        raise UsageError(f"{word}: holds no sweep; give a sweep's folder, or the storage in which it is")
    return found


def checked(name: str, folder: Folder, fast: bool) -> Verification:
    """What is found in a sweep's folder, shown as it is found."""
    with progress_bar() as bar:
        found = verify_sweep(folder, fast, bar)
    show_damages(folder.uri, found.damages[:MOST_SHOWN])
    if len(found.damages) > MOST_SHOWN:
        console.print(f"… and {len(found.damages) - MOST_SHOWN} more")
    if found.unverifiable:
        console.print(
            f"{name}: {len(found.unverifiable)} folders were written by an earlier version, without digests: not "
            f"verifiable, but readable ({found.unverifiable[0]}{', …' * (len(found.unverifiable) > 1)})",
        )
    outcome = f"{len(found.damages)} of them damaged" if found.damages else "none is damaged"
    console.print(f"{name}: {found.files} files, {found.bytes / 1e6:.1f} MB read; {outcome}")
    return found


def _made_again(config: SweepConfig, executor: ExecutorName | None, sweep: str, damages: list[Damage]) -> int:
    """Remove what is damaged and run the sweep for that, both under its lease."""
    from orchestrator.sweep import run_sweep

    changes = Changes(remove=tuple(damages))
    return run_sweep(config, (executor or ExecutorName.ray).value, sweep, changes=changes)
