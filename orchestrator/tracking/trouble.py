"""Which errors of a write to MLflow are trouble that may pass, and which are defects that no repetition mends."""

import traceback
from types import TracebackType

from mlflow.exceptions import MlflowException
from sqlalchemy.exc import SQLAlchemyError

from analysis.address import without_secrets
from trainables.trial.storage import Folder

TRACEBACK_FILE = "traceback.txt"

STORAGE = Folder.__module__
RAISED_ON_PURPOSE = (Exception, RuntimeError, EOFError)  # by libraries that have no class of their own for it


def may_pass(error: Exception) -> bool:
    """Whether an error may be gone when the same write is tried again.

    What MLflow and its database raise may: a server that is down or answers 5xx, a lock, a full disk, a refusal. So may
    an error of the operating system (`requests` derives its errors from that one, too), except where the store was
    read. Stores of artifacts and their libraries have classes of their own (botocore's, Google's, urllib3's): these are
    told by where they were raised. The errors by which Python reports a mistake in a program (KeyError, TypeError,
    AttributeError, ValueError, ImportError, …) never pass, wherever they were raised.
    """
    if isinstance(error, MlflowException | SQLAlchemyError):
        return True
    modules = _modules(error.__traceback__)
    if isinstance(error, OSError):
        return STORAGE not in modules
    through_mlflow = any(module.partition(".")[0] == "mlflow" for module in modules)
    return through_mlflow and (type(error).__module__ != "builtins" or type(error) in RAISED_ON_PURPOSE)


def _modules(trace: TracebackType | None) -> set[str]:
    """The modules whose functions were running when an error was raised."""
    return {str(frame.f_globals.get("__name__")) for frame, _ in traceback.walk_tb(trace)}


def keep_traceback(folder: Folder, error: Exception) -> str:
    """Write the traceback of an error into a sweep's folder, without passwords of addresses; the file's address.

    Raises:
        StorageError: it can't be written.
    """
    text = "".join(traceback.format_exception(error))
    folder.write(TRACEBACK_FILE, without_secrets(text).encode())
    return (folder / TRACEBACK_FILE).uri
