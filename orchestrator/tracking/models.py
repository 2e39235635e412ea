"""The checkpoint of a trial as a model of MLflow's, with the trial's metrics linked to it. The checkpoint itself stays
where it is; the model has its address."""

from collections.abc import Mapping
from dataclasses import dataclass

from mlflow import MlflowClient
from mlflow.entities import LoggedModel, LoggedModelOutput, LoggedModelStatus
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

        Safe to repeat: it is looked for by its run before it is made, and one of several is kept.
        """
        if not self.supported:
            return None
        try:
            return self._brought_up_to_date(run_id, spec, checkpoint)
        except MlflowException as error:
            if error.error_code not in _NOT_KNOWN:
                raise
            self.supported = False
            return None

    def _brought_up_to_date(self, run_id: str, spec: TrialSpec, checkpoint: str) -> str:
        outputs = self.client.get_run(run_id).outputs
        joined = {model.model_id for model in outputs.model_outputs} if outputs is not None else set()
        found = list(self.client.search_logged_models([self.experiment_id], f"source_run_id = '{run_id}'"))
        # The output first. Others arise where a request was repeated on its way, or its answer was lost.
        found.sort(key=lambda model: (model.model_id not in joined, model.creation_timestamp, model.model_id))
        model = found[0] if found else self._make(run_id, spec, checkpoint)
        for other in found[1:]:
            self.client.delete_logged_model(other.model_id)
        if model.model_id not in joined:
            self.client.log_outputs(run_id, [LoggedModelOutput(model.model_id, step=0)])
        if model.status != LoggedModelStatus.READY:
            self.client.finalize_logged_model(model.model_id, LoggedModelStatus.READY)
        if model.tags.get(TAG_CHECKPOINT) != checkpoint:  # the storage has moved
            self.client.set_logged_model_tags(model.model_id, {TAG_CHECKPOINT: checkpoint})
        return str(model.model_id)

    def _make(self, run_id: str, spec: TrialSpec, checkpoint: str) -> LoggedModel:
        return self.client.create_logged_model(
            self.experiment_id,
            name=f"{spec.optimizer.name}-{spec.trial_id}",
            source_run_id=run_id,
            tags={TAG_CHECKPOINT: checkpoint},
            params=_as_text(spec.parameters()),
            model_type=spec.model,
        )


def _as_text(parameters: Mapping[str, object]) -> dict[str, str]:
    return {name: str(value) for name, value in parameters.items()}
