"""How long a task may take, how long it may be silent, and how much it may print."""

from dataclasses import dataclass

from analysis.duration import in_words

MOST_OUTPUT = 256 * 2**20  # bytes: no log that anyone reads, and room on no disk for many such trials
DATA_SECONDS = 3600.0  # for the first sign of life, which comes when the data are downloaded and decoded
LONGEST_STEP = 10.0  # seconds between two looks that count; more means that the machine or the watcher slept


@dataclass(frozen=True)
class Limits:
    """The limits of a task; None means no limit."""

    seconds: float | None = None  # of wall time
    silence: float | None = None  # seconds without a sign of life: a training step, a pass, a line of output
    section: str = "training"  # of the sweep file that has these limits


@dataclass
class Watch:
    """The clock of one running task."""

    limits: Limits
    age: float = 0.0  # seconds
    silent: float = 0.0  # seconds since the last sign of life
    printed: int = 0  # bytes
    alive: bool = False  # whether there was a sign of life

    def passed(self, seconds: float) -> None:
        """So much time has passed since the last look."""
        self.age += min(seconds, LONGEST_STEP)
        self.silent += min(seconds, LONGEST_STEP)

    def sign(self, output: int = 0) -> None:
        """A sign of life; `output`: bytes that were printed."""
        self.silent = 0.0
        self.printed += output
        self.alive = self.alive or not output

    @property
    def flooded(self) -> bool:
        """Whether the task printed too much."""
        return self.printed > MOST_OUTPUT

    @property
    def problem(self) -> str | None:
        """Which limit is exceeded, in words; None if none is."""
        silence = self.limits.silence
        if self.flooded:
            return f"it printed more than {MOST_OUTPUT >> 20} MB"
        if self.limits.seconds is not None and self.age > self.limits.seconds:
            return f"it took longer than {self.limits.section}.time_limit ({in_words(self.limits.seconds)})"
        if silence is not None and self.silent > silence + (0.0 if self.alive else DATA_SECONDS):
            return f"no sign of life for {in_words(silence)} ({self.limits.section}.silence_limit)"
        return None
