"""The root of every error that this package raises on purpose."""


class TrainingError(Exception):
    """A trial that can't be trained as specified; the message says what, which value, and what to do."""


class DivergedError(TrainingError):
    """The loss became NaN or infinite: the trial is recorded as failed, with this reason."""
