"""How a command ends where it can't do what it was asked: a message and an exit code, no traceback."""

from collections.abc import Iterator
from contextlib import contextmanager

import typer

from analysis.errors import AnalysisError
from orchestrator.display import stderr_console
from orchestrator.errors import DefectError, UsageError
from orchestrator.exit_codes import ExitCode
from trainables.errors import TrainingError


@contextmanager
def usage_errors() -> Iterator[None]:
    """End the command with a message and BAD_INPUT where the input is wrong, with DEFECT where this program is, and
    with INTERRUPTED after Ctrl-C."""
    try:
        yield
    except KeyboardInterrupt as error:
        stderr_console.print("interrupted; the same command resumes it")
        raise typer.Exit(ExitCode.INTERRUPTED) from error
    except (UsageError, AnalysisError, TrainingError) as error:
        stderr_console.print(str(error), style="red")
        raise typer.Exit(ExitCode.BAD_INPUT) from error
    except DefectError as error:
        stderr_console.print(str(error), style="red")
        raise typer.Exit(ExitCode.DEFECT) from error
