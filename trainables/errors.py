"""The root of every error that this package raises on purpose."""

STORAGE_ERROR = "storage_error"  # the key by which a worker reports to its driver that the storage failed


class TrainingError(Exception):
    """A trial can't be trained as specified; the message has the key, the value and the remedy."""


class DivergedError(TrainingError):
    """The loss became NaN or infinite: the trial is recorded as failed, with this reason."""


class DamagedImageError(TrainingError):
    """An image of a data set can't be read or decoded; the message has file, row and cause."""


class StorageError(TrainingError):
    """The storage can't be read or written at the moment. This ends the sweep and fails no trial: everything written is
    intact, and the same command goes on once the storage works again."""


class ReplacedError(TrainingError):
    """Another worker has claimed the trial, since this one seemed dead. This one must write nothing more of it."""


class DamagedError(TrainingError):
    """A file in the store is not what was written: nothing in it is used. The message has the path, what was expected
    and what was found, and the command that mends it."""

    why: str = ""  # what was expected and found, alone
