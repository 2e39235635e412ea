"""The root of every error that this package raises on purpose."""

STORAGE_ERROR = "storage_error"  # the key by which a worker reports to its driver that the storage failed


class TrainingError(Exception):
    """A trial that can't be trained as specified; the message says what, which value, and what to do."""


class DivergedError(TrainingError):
    """The loss became NaN or infinite: the trial is recorded as failed, with this reason."""


class StorageError(TrainingError):
    """The place that keeps results can't be read or written just now. It ends the sweep and fails no trial: nothing
    that was written is damaged, and the same command goes on once the place is in order."""


class ReplacedError(TrainingError):
    """Another worker has taken up the trial: this one was given up for dead, and must write nothing more of it."""
