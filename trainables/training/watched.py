"""Training and its data in a worker: what ends the process, or hangs, is the trial's failure. Needs no torch."""

from collections.abc import Iterator

from trainables.errors import TrainingError
from trainables.processes.child import TaskError
from trainables.processes.ending import EndedError, LostError, OverdueError
from trainables.processes.limits import Limits
from trainables.processes.worker import Worker
from trainables.trial.folder import EpochMetrics, Failure, TrialFolder, write_failure
from trainables.trial.specs import DataSpec, TrialSpec

MAX_PROCESSES = 4  # that may be lost while they train a trial; each goes on from the last checkpoint


def prepare_watched(spec: DataSpec) -> None:
    """Download and decode a data set on this machine, in a worker that ends afterwards.

    The driver lives as long as the sweep; torch and the images would take more than half a gigabyte of its memory.

    Raises:
        TrainingError: it is missing or damaged, or its worker ended; the message names the file and the remedy, or the
            cause.
    """
    worker = Worker(shown=True)
    try:
        list(worker.run("trainables.training.work.prepare_data", spec))
    except EndedError as error:
        raise TrainingError(f"data: {spec.dataset} can't be prepared: {error}") from error
    finally:
        worker.close()


def train_watched(
    worker: Worker, spec: TrialSpec, trial: TrialFolder, threads: int, system_metrics: bool = False
) -> Iterator[EpochMetrics]:
    """As `attempt`, in a worker, with the limits of the trial's specification.

    Raises:
        StorageError: the storage failed, which is not the trial's fault.
        ReplacedError: another worker now trains the trial, and will record its outcome.
    """
    training = spec.training
    limits = Limits(training.time_limit, training.silence_limit)
    arguments = (spec, trial.folder.uri, threads, system_metrics)
    for number in range(1, MAX_PROCESSES + 1):
        try:
            yield from worker.run("trainables.training.work.train_trial", *arguments, limits=limits)
        except LostError as error:
            if number == MAX_PROCESSES:
                reason = f"its process was lost {number} times: {error}"
                write_failure(trial.folder, Failure("training", reason, error.output))
            continue
        except OverdueError as error:
            write_failure(trial.folder, Failure("training", str(error), error.output))
        except TaskError as error:
            write_failure(trial.folder, Failure("training", str(error), error.traceback))
        return
