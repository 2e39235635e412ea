"""Jobs that must be done in the end: one after another, out of the way, each repeated until it succeeds."""

import threading
import time
from collections.abc import Callable

FIRST_PAUSE = 1.0  # seconds after a failure; doubled with each one that follows
LONGEST_PAUSE = 30.0
Job = Callable[[], None]


class Spool:
    """A queue in memory and the one thread that works it off.

    A job replaces one of the same key that still waits, so a job must say what is to be true after it, whatever
    happened before, and may run more than once. A failing job goes to the end of the queue; others are tried before
    it is tried again. What is still queued when the process ends is lost with it: whoever owns the jobs must be able
    to tell from elsewhere that they are not done.
    """

    def __init__(
        self,
        on_trouble: Callable[[str], None],
        on_recovery: Callable[[], None],
        fatal: tuple[type[Exception], ...] = (),
    ) -> None:
        """A spool that tells of the first failure after a success, with its reason, and of the first success after.

        Args:
            on_trouble, on_recovery: whom it tells.
            fatal: errors after which a job is given up; `check` raises them.
        """
        self._on_trouble = on_trouble
        self._on_recovery = on_recovery
        self._fatal = fatal
        self._failure: Exception | None = None
        self.given_up = 0  # jobs that failed with a fatal error
        self._jobs: dict[str, Job] = {}
        self._changed = threading.Condition()
        self._at_work = False
        self._hurried = False
        self._reason = ""
        self._succeeded = time.monotonic()
        threading.Thread(target=self._work, name="spool", daemon=True).start()

    def put(self, key: str, job: Job) -> None:
        """Have a job done some time soon; returns at once."""
        with self._changed:
            self._jobs[key] = job
            self._changed.notify_all()

    def check(self) -> None:
        """Raise the fatal error that a job failed with, if one did."""
        if self._failure is not None:
            raise self._failure

    @property
    def reason(self) -> str:
        """Why the last job failed; empty after a success, unless one was given up."""
        return self._reason or _one_line(self._failure)

    def wait(self, patience: float) -> int:
        """Wait until all is done, but no longer than `patience` seconds from now and from the last success.

        Returns:
            How many jobs are still to be done.
        """
        with self._changed:
            started = time.monotonic()
            self._hurried = True
            self._changed.notify_all()
            while self.waiting and time.monotonic() - max(started, self._succeeded) < patience:
                self._changed.wait(timeout=0.1)
            self._hurried = False
            return self.waiting

    @property
    def waiting(self) -> int:
        """How many jobs are still to be done."""
        return len(self._jobs) + self._at_work

    def _work(self) -> None:
        pause = 0.0
        while True:
            with self._changed:
                while not self._jobs:
                    self._changed.wait()
                key = next(iter(self._jobs))
                job = self._jobs.pop(key)
                self._at_work = True
            reason = ""
            try:
                job()
            except self._fatal as error:
                self._failure = error
                self.given_up += 1
            except Exception as error:  # noqa: BLE001 - whatever it is, the job is tried again and the reason told
                reason = _one_line(error)
            self._tell(reason)
            with self._changed:
                self._at_work = False
                self._reason = reason
                if reason:
                    self._jobs.setdefault(key, job)
                else:
                    self._succeeded = time.monotonic()
                self._changed.notify_all()
            pause = min(max(FIRST_PAUSE, 2 * pause), LONGEST_PAUSE) if reason else 0.0
            self._sleep(pause)

    def _tell(self, reason: str) -> None:
        if reason and not self._reason:
            self._on_trouble(reason)
        if self._reason and not reason:
            self._on_recovery()

    def _sleep(self, seconds: float) -> None:
        """Pause; a second is enough while somebody waits for the end."""
        started = time.monotonic()
        with self._changed:
            while (left := self._shortened(seconds) - (time.monotonic() - started)) > 0:
                self._changed.wait(timeout=left)

    def _shortened(self, pause: float) -> float:
        return min(pause, FIRST_PAUSE) if self._hurried else pause


def _one_line(error: Exception | None) -> str:
    return "" if error is None else f"{type(error).__name__}: {error}".splitlines()[0]
