"""An MLflow server in memory, and its client, with the guarantees of the real one (`test_mlflow_server.py`).

A request takes effect as a whole or not at all, at one moment. It may be refused; its answer may be lost; a proxy may
repeat it; or it may arrive after its sender has given up waiting.
"""

import itertools
import re
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from mlflow.entities import Metric, Param, RunTag
from mlflow.exceptions import MlflowException

from tests.simulator.world import World

_FILTER = re.compile(r"tags\.`(.+)` = '(.*)'")


class Page(list[Any]):
    """One page of a search; the simulated sweeps have no more."""

    token = None


@dataclass
class StoredRun:
    """A run as the server keeps it."""

    run_id: str
    experiment_id: str
    start_time: int
    tags: dict[str, str]
    status: str = "RUNNING"
    active: bool = True
    params: dict[str, str] = field(default_factory=dict)
    points: set[tuple[str, float, int, int]] = field(default_factory=set)  # name, value, timestamp, step
    inputs: int = 0
    artifacts: set[str] = field(default_factory=set)
    outputs: list[str] = field(default_factory=list)  # ids of models

    def shown(self) -> Any:
        """The run as a client gets it."""
        info = SimpleNamespace(run_id=self.run_id, status=self.status, start_time=self.start_time)
        data = SimpleNamespace(tags=dict(self.tags), params=dict(self.params), metrics={})
        models = [SimpleNamespace(model_id=model) for model in self.outputs]
        return SimpleNamespace(info=info, data=data, outputs=SimpleNamespace(model_outputs=models))


@dataclass
class StoredModel:
    """A model as the server keeps it; its client gets a copy."""

    model_id: str
    source_run_id: str
    creation_timestamp: int
    tags: dict[str, str]
    status: str = "PENDING"
    active: bool = True


class Server:
    """The server's experiments and runs."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.experiments: dict[str, Any] = {}
        self.runs: dict[str, StoredRun] = {}
        self.models: dict[str, StoredModel] = {}
        self._numbers = itertools.count(1)

    def active(self, run_id: str) -> StoredRun:
        """A run that is not deleted."""
        run = self.runs.get(run_id)
        if run is None or not run.active:
            raise MlflowException(f"The run {run_id} must be in the 'active' state")
        return run

    def create_experiment(self, name: str, tags: dict[str, str]) -> str:
        if name in self.experiments:
            raise MlflowException(f"Experiment(name={name}) already exists")
        key = str(next(self._numbers))
        self.experiments[name] = SimpleNamespace(
            experiment_id=key, name=name, tags=dict(tags), lifecycle_stage="active", artifact_location=f"mlflow:/{key}"
        )
        return key

    def create_run(self, experiment_id: str, tags: dict[str, str]) -> Any:
        run = StoredRun(f"run{next(self._numbers)}", experiment_id, int(self.world.now * 1000), dict(tags))
        self.runs[run.run_id] = run
        return run.shown()

    def create_model(self, source_run_id: str, tags: dict[str, str]) -> StoredModel:
        made = int(self.world.now * 1000)
        model = StoredModel(f"model{next(self._numbers)}", source_run_id, made, dict(tags))
        self.models[model.model_id] = model
        return replace(model)

    def add_output(self, run_id: str, model_id: str) -> None:
        run = self.active(run_id)
        if model_id in run.outputs:
            raise MlflowException("UNIQUE constraint failed: inputs")
        run.outputs.append(model_id)

    def search(self, experiment_id: str, wanted: str) -> Page:
        found = [run for run in self.runs.values() if run.active and run.experiment_id == experiment_id]
        if wanted:
            match = _FILTER.fullmatch(wanted)
            assert match, wanted
            found = [run for run in found if run.tags.get(match[1]) == match[2]]
        return Page(run.shown() for run in sorted(found, key=lambda run: -run.start_time))

    def log_batch(
        self, run_id: str, metrics: Sequence[Metric], params: Sequence[Param], tags: Sequence[RunTag]
    ) -> None:
        run = self.active(run_id)
        for param in params:
            if run.params.setdefault(param.key, param.value) != param.value:
                raise MlflowException(f"Changing param values is not allowed: {param.key}")
        run.points |= {(each.key, each.value, each.timestamp, each.step) for each in metrics}
        run.tags |= {tag.key: str(tag.value) for tag in tags}


class Client:
    """As `MlflowClient`, for one process of the world."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._world = server.world

    def get_experiment_by_name(self, name: str) -> Any:
        return self._ask("get experiment", lambda: self._server.experiments.get(name))

    def get_experiment(self, experiment_id: str) -> Any:
        def found() -> Any:
            return next(each for each in self._server.experiments.values() if each.experiment_id == experiment_id)

        return self._ask("get experiment", found)

    def create_experiment(self, name: str, artifact_location: str | None, tags: dict[str, str]) -> str:
        assert artifact_location is None
        return str(self._ask("create experiment", lambda: self._server.create_experiment(name, tags)))

    def set_experiment_tag(self, experiment_id: str, key: str, value: str) -> None:
        def change() -> None:
            for experiment in self._server.experiments.values():
                if experiment.experiment_id == experiment_id:
                    experiment.tags[key] = value

        self._ask("tag experiment", change)

    def search_runs(self, experiment_ids: Sequence[str], wanted: str = "", **_: Any) -> Page:
        (key,) = experiment_ids
        found: Page = self._ask(f"search {wanted}", lambda: self._server.search(key, wanted))
        return found

    def create_run(self, experiment_id: str, tags: dict[str, str]) -> Any:
        return self._ask("create run", lambda: self._server.create_run(experiment_id, tags))

    def get_run(self, run_id: str) -> Any:
        return self._ask(f"get {run_id}", lambda: self._server.active(run_id).shown())

    def create_logged_model(self, _: str, source_run_id: str, tags: dict[str, str], **__: Any) -> StoredModel:
        made: StoredModel = self._ask("create model", lambda: self._server.create_model(source_run_id, tags))
        return made

    def search_logged_models(self, _: Sequence[str], wanted: str) -> Page:
        def found() -> Page:
            models = self._server.models.values()
            run_id = wanted.removeprefix("source_run_id = ").strip("'")
            return Page(replace(each) for each in models if each.active and each.source_run_id == run_id)

        page: Page = self._ask(f"search models with {wanted}", found)
        return page

    def log_outputs(self, run_id: str, models: Sequence[Any]) -> None:
        for model in models:
            self._ask(f"{run_id} has a model", partial(self._server.add_output, run_id, model.model_id))

    def finalize_logged_model(self, model_id: str, status: Any) -> None:
        self._ask(f"{model_id} is {status}", lambda: setattr(self._server.models[model_id], "status", status))

    def set_logged_model_tags(self, model_id: str, tags: dict[str, str]) -> None:
        self._ask(f"tag {model_id}", lambda: self._server.models[model_id].tags.update(tags))

    def delete_logged_model(self, model_id: str) -> None:
        self._ask(f"delete {model_id}", lambda: setattr(self._server.models[model_id], "active", False))

    def delete_run(self, run_id: str) -> None:
        self._ask("delete run", lambda: setattr(self._server.active(run_id), "active", False))

    def update_run(self, run_id: str, status: str) -> None:
        self._ask(f"{run_id} is {status}", lambda: setattr(self._server.active(run_id), "status", status))

    set_terminated = update_run

    def log_batch(
        self,
        run_id: str,
        metrics: Sequence[Metric] = (),
        params: Sequence[Param] = (),
        tags: Sequence[RunTag] = (),
    ) -> None:
        self._ask(f"log to {run_id}", lambda: self._server.log_batch(run_id, metrics, params, tags))

    def log_inputs(self, run_id: str, datasets: Iterable[Any]) -> None:
        def change() -> None:
            self._server.active(run_id).inputs = len(list(datasets))

        self._ask("log inputs", change)

    def log_artifacts(self, run_id: str, folder: str, _: str | None = None) -> None:
        names = {path.name for path in Path(folder).iterdir()}
        self._ask(f"log artifacts of {run_id}", lambda: self._server.active(run_id).artifacts.update(names))

    def set_tag(self, run_id: str, key: str, value: str) -> None:
        self.log_batch(run_id, tags=[RunTag(key, value)])

    def delete_tag(self, run_id: str, key: str) -> None:
        def change() -> None:
            if self._server.active(run_id).tags.pop(key, None) is None:
                raise MlflowException(f"No tag with name: {key}")

        self._ask(f"delete tag of {run_id}", change)

    def _ask(self, what: str, request: Callable[[], Any]) -> Any:
        """Send a request, and bring back its answer."""
        self._world.step(what)
        fate = self._world.fate()
        if fate == "refused":
            raise MlflowException(f"{what}: no answer")
        if fate == "lost":
            match self._world.choices.draw(3):
                case 0:
                    request()
                case 1:
                    request()
                    return request()  # a proxy repeated it
                case _:
                    self._arrive_late(request)
            raise MlflowException(f"{what}: no answer")
        return request()

    def _arrive_late(self, request: Callable[[], Any]) -> None:
        def arrive(_: object) -> None:
            with suppress(MlflowException):
                request()

        self._world.spawn("network", "server", arrive, self._world.choices.among((1.0, 10.0, 40.0)))
