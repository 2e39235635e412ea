"""The command that a sweep file has run when the sweep has ended (`on_end`), to notify somebody."""

import os
import signal
import subprocess
from contextlib import suppress

from analysis.errors import AnalysisError
from orchestrator.config.sweep_config import SweepConfig
from orchestrator.display import show_warning
from orchestrator.errors import DefectError, UsageError
from orchestrator.exit_codes import ExitCode
from orchestrator.store.plan import make_plan
from orchestrator.store.trial_store import TrialState
from trainables.errors import TrainingError

TIMEOUT = 60.0  # seconds
_STATES = {ExitCode.ALL_MEASURED: "finished", ExitCode.INTERRUPTED: "interrupted"}


def run_on_end(config: SweepConfig, code: int, timeout: float = TIMEOUT) -> None:
    """Run the sweep file's `on_end` by the shell, if there is one; whatever it does, it changes nothing.

    Its environment says what has ended, and how: RENYI_SWEEP, RENYI_FOLDER, RENYI_STATE (finished, failed or
    interrupted), RENYI_EXIT_CODE, RENYI_TRIALS, and for each state of trials their number, such as RENYI_MEASURED. The
    numbers are left out where the storage can't be read. A failure is one line of warning.

    Args:
        config: the sweep, as its file says; the command is never read from the storage.
        code: the exit code of `renyi`.
        timeout: seconds after which the command is ended, with all that it has started.
    """
    if config.on_end is None:
        return
    environment = {**os.environ, **_facts(config, code)}
    try:
        process = subprocess.Popen(
            ["/bin/sh", "-c", config.on_end], stdin=subprocess.DEVNULL, env=environment, start_new_session=True
        )
    except OSError as error:
        show_warning(f"on_end: the command can't be started: {error.strerror}")
        return
    try:
        status = process.wait(timeout)
        if status:
            how = f"with exit code {status}" if status > 0 else f"by signal {-status}"
            show_warning(f"on_end: the command ended {how}; the sweep is not affected")
    except (subprocess.TimeoutExpired, KeyboardInterrupt) as error:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        why = "by Ctrl-C" if isinstance(error, KeyboardInterrupt) else f"after {timeout:g} s"
        show_warning(f"on_end: the command was ended {why}; the sweep is not affected")


def exit_code_of(error: BaseException) -> int:
    """The exit code of `renyi` after an error."""
    if isinstance(error, KeyboardInterrupt):
        return ExitCode.INTERRUPTED
    if isinstance(error, DefectError):
        return ExitCode.DEFECT
    return ExitCode.BAD_INPUT if isinstance(error, UsageError | AnalysisError | TrainingError) else 1


def _facts(config: SweepConfig, code: int) -> dict[str, str]:
    facts = {
        "RENYI_SWEEP": config.name,
        "RENYI_FOLDER": config.folder,
        "RENYI_STATE": _STATES.get(ExitCode(code), "failed"),
        "RENYI_EXIT_CODE": str(int(code)),
    }
    with suppress(UsageError, TrainingError):
        plan = make_plan(config)
        facts["RENYI_TRIALS"] = str(len(plan.specs))
        facts |= {f"RENYI_{state.name}": str(plan.counts[state]) for state in TrialState}
    return facts
