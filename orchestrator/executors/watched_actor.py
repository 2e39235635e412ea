"""A measuring actor whose work is done in a worker: what ends the process, or hangs, is the measurement's failure."""

from collections.abc import Sequence
from typing import Any

from analysis.settings import SharpnessSettings
from orchestrator.config.sweep_config import ALL_MEMORY, MemoryShare
from orchestrator.store.tasks import MeasuringTask, whole
from orchestrator.store.trial_store import TrialState, TrialStore
from trainables.processes.child import TaskError
from trainables.processes.ending import LostError, OverdueError
from trainables.processes.limits import Limits
from trainables.processes.worker import Worker
from trainables.trial.folder import Failure, write_failure
from trainables.trial.specs import DataSpec, TrialSpec

MAX_PROCESSES = 3  # that may be lost during the same task; then the task is at fault
ASSEMBLE = "assemble"


class WatchedActor:
    """As `SharpnessActor`, with the limits of the settings; it needs no torch in this process."""

    def __init__(
        self,
        worker: Worker,
        store_folder: str,
        settings: SharpnessSettings,
        threads: int,
        data: DataSpec | None = None,
        shifts: tuple[str, ...] = (),
        memory: MemoryShare = ALL_MEMORY,
    ) -> None:
        self._worker = worker
        self._arguments = (store_folder, settings, threads, data, shifts, memory)
        self._store = TrialStore(store_folder, settings.measurement_id, shifts)
        self._limits = Limits(settings.time_limit, settings.silence_limit, "sharpness")
        self._whole = whole(settings).name

    def measure(self, spec: TrialSpec) -> bool:
        """As `SharpnessActor.measure`."""
        return self._call(spec, self._whole, "measure")

    def measure_part(self, spec: TrialSpec, task: MeasuringTask) -> bool:
        """As `SharpnessActor.measure_part`."""
        return self._call(spec, task.name, "measure_part", task)

    def assemble(self, spec: TrialSpec, tasks: Sequence[MeasuringTask]) -> bool:
        """As `SharpnessActor.assemble`."""
        return self._call(spec, ASSEMBLE, "assemble", tasks)

    def _call(self, spec: TrialSpec, task: str, method: str, *of_method: Any) -> bool:
        """What the method returns; where its process is lost or ended, False, with the reason in the store.

        Raises:
            StorageError: the storage failed, which is not the trial's fault.
        """
        function = "orchestrator.executors.actor.call_actor"
        for number in range(1, MAX_PROCESSES + 1):
            try:
                (done,) = self._worker.run(function, self._arguments, method, spec, *of_method, limits=self._limits)
                return bool(done)
            except LostError as error:
                if number == MAX_PROCESSES:
                    self._fail(
                        spec.trial_id, f"the task {task} ended its process {number} times: {error}", error.output
                    )
            except OverdueError as error:
                self._fail(spec.trial_id, f"the task {task}: {error}", error.output)
                break
            except TaskError as error:
                self._fail(spec.trial_id, str(error), error.traceback)
                break
        return False

    def _fail(self, trial_id: str, reason: str, output: str) -> None:
        if self._store.state(trial_id) is TrialState.MEASURED:
            write_failure(self._store.trial(trial_id).shifts, Failure("shifts", reason, output))
        else:
            write_failure(self._store.measurement(trial_id), Failure("measuring", reason, output))
