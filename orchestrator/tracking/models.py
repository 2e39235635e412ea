"""The checkpoint of a trial as a model of MLflow's, with the trial's metrics linked to it. The checkpoint itself stays
where it is; the model has its address."""

from collections.abc import Mapping
from dataclasses import dataclass

from mlflow import MlflowClient
from mlflow.entities import LoggedModelOutput, LoggedModelStatus
from mlflow.exceptions import MlflowException

from orchestrator.tracking.description import TAG_CHECKPOINT
from trainables.trial.specs import TrialSpec

_NOT_KNOWN = {"ENDPOINT_NOT_FOUND", "NOT_IMPLEMENTED", "FEATURE_DISABLED"}  # to a server of a version before 3


@dataclass
class CheckpointModels:
    """The models of a sweep's checkpoints, one a run."""

    client: MlflowClient
    experiment_id: str
    supported: bool = True  # as far as the server has said

    def of_run(self, run_id: str, spec: TrialSpec, checkpoint: str) -> str | None:
        """The id of the model of a run, which is made the first time; None if the server knows no models.

        Safe to repeat: it is the run's output from its making on, and is looked for there.
        """
        if not self.supported:
            return None
        try:
            found = self._found(run_id)
            if found is None:
                found = self._make(run_id, spec, checkpoint)
            elif self.client.get_logged_model(found).tags.get(TAG_CHECKPOINT) != checkpoint:
                self.client.set_logged_model_tags(found, {TAG_CHECKPOINT: checkpoint})  # the storage has moved
        except MlflowException as error:
            if error.error_code not in _NOT_KNOWN:
                raise
            self.supported = False
            return None
        return found

    def _found(self, run_id: str) -> str | None:
        outputs = self.client.get_run(run_id).outputs
        models = outputs.model_outputs if outputs is not None else []
        if models:
            return str(models[0].model_id)
        # One that was made, but whose driver was killed before it became the run's output.
        named = f"source_run_id = '{run_id}'"
        lost = self.client.search_logged_models([self.experiment_id], named, max_results=1)
        return self._joined(run_id, lost[0].model_id) if lost else None

    def _make(self, run_id: str, spec: TrialSpec, checkpoint: str) -> str:
        model = self.client.create_logged_model(
            self.experiment_id,
            name=f"{spec.optimizer.name}-{spec.trial_id}",
            source_run_id=run_id,
            tags={TAG_CHECKPOINT: checkpoint},
            params=_as_text(spec.parameters()),
            model_type=spec.model,
        )
        return self._joined(run_id, model.model_id)

    def _joined(self, run_id: str, model_id: str) -> str:
        self.client.log_outputs(run_id, [LoggedModelOutput(model_id, step=0)])
        self.client.finalize_logged_model(model_id, LoggedModelStatus.READY)
        return model_id


def _as_text(parameters: Mapping[str, object]) -> dict[str, str]:
    return {name: str(value) for name, value in parameters.items()}
