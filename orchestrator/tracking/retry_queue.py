"""A queue of jobs that must all be done in the end: a thread does one after another, and repeats what fails."""

from collections.abc import Callable

from trainables.trial.machine import THIS_MACHINE, Machine

FIRST_PAUSE = 1.0  # seconds after a failure; doubled with each one that follows
LONGEST_PAUSE = 30.0
Job = Callable[[], None]


class RetryQueue:
    """A queue in memory, and the one thread that does its jobs.

    A new job replaces a waiting one with the same key. So the effect of a job must not depend on what happened before,
    and a job may run more than once. A job that fails goes to the end of the queue, and is tried again after the
    others; one whose error can't pass is given up. What is still queued when the process ends is lost with it: the
    owner of the jobs must be able to find out by other means that they are not done.
    """

    def __init__(
        self,
        on_trouble: Callable[[str], None],
        on_recovery: Callable[[], None],
        may_pass: Callable[[Exception], bool],
        machine: Machine = THIS_MACHINE,
    ) -> None:
        """An empty queue with its thread.

        Args:
            on_trouble: called with the reason, at the first failure after a success.
            on_recovery: called at the first success after a failure.
            may_pass: whether a job is repeated after an error; if not, `check` raises it.
            machine: whose clock and threads are used.
        """
        self._machine = machine
        self._on_trouble = on_trouble
        self._on_recovery = on_recovery
        self._may_pass = may_pass
        self._failure: Exception | None = None
        self.given_up = 0  # jobs whose error can't pass
        self._jobs: dict[str, Job] = {}
        self._changed = machine.condition()
        self._at_work = False
        self._hurried = False
        self._reason = ""
        self._succeeded = self._machine.monotonic()
        machine.start(self._work, "retry queue")

    def put(self, key: str, job: Job) -> None:
        """Add a job; returns at once."""
        with self._changed:
            self._jobs[key] = job
            self._changed.notify_all()

    def check(self) -> None:
        """Raise the error after which a job was given up, if there was one; the first, if there were several."""
        if self._failure is not None:
            raise self._failure

    @property
    def reason(self) -> str:
        """Why the last job failed; empty after a success, unless one was given up."""
        return self._reason or _one_line(self._failure)

    def wait(self, patience: float) -> int:
        """Wait until all is done, but no longer than `patience` seconds from now, or from the last success if later.

        Returns:
            How many jobs are still to be done.
        """
        with self._changed:
            started = self._machine.monotonic()
            self._hurried = True
            self._changed.notify_all()
            while self.waiting and self._machine.monotonic() - max(started, self._succeeded) < patience:
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
            except Exception as error:  # noqa: BLE001 - kept, and raised by `check` or shown as the reason
                if self._may_pass(error):
                    reason = _one_line(error)
                else:
                    self._failure = self._failure or error
                    self.given_up += 1
            self._notify(reason)
            with self._changed:
                self._at_work = False
                self._reason = reason
                if reason:
                    self._jobs.setdefault(key, job)
                else:
                    self._succeeded = self._machine.monotonic()
                self._changed.notify_all()
            pause = min(max(FIRST_PAUSE, 2 * pause), LONGEST_PAUSE) if reason else 0.0
            self._sleep(pause)

    def _notify(self, reason: str) -> None:
        if reason and not self._reason:
            self._on_trouble(reason)
        if self._reason and not reason:
            self._on_recovery()

    def _sleep(self, seconds: float) -> None:
        """Pause; no longer than FIRST_PAUSE while somebody waits for the end."""
        started = self._machine.monotonic()
        with self._changed:
            while (remaining := self._shortened(seconds) - (self._machine.monotonic() - started)) > 0:
                self._changed.wait(timeout=remaining)

    def _shortened(self, pause: float) -> float:
        return min(pause, FIRST_PAUSE) if self._hurried else pause


def _one_line(error: Exception | None) -> str:
    return "" if error is None else f"{type(error).__name__}: {error}".splitlines()[0]
