"""The simulated server of MLflow's answers as the real one does, as far as the tracker asks it."""

from contextlib import suppress
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag
from mlflow.exceptions import MlflowException

from tests.simulator.choices import Choices
from tests.simulator.mlflow_server import Client, Server
from tests.simulator.world import Faults, World

FILTER = "tags.`renyi.trial_id` = 'a'"


def conversation(client: Any, folder: Path) -> list[object]:
    """What a client hears, without ids and times."""
    heard: list[object] = [client.get_experiment_by_name("sweep")]
    key = client.create_experiment("sweep", artifact_location=None, tags={"storage": "/here"})

    def refused(request: Any) -> bool:
        try:
            request()
        except MlflowException:
            return True
        return False

    heard.append(refused(lambda: client.create_experiment("sweep", artifact_location=None, tags={})))
    client.set_experiment_tag(key, "storage", "/there")
    heard.append(client.get_experiment_by_name("sweep").tags["storage"])
    one = client.create_run(key, tags={"renyi.trial_id": "a"}).info.run_id
    two = client.create_run(key, tags={"renyi.trial_id": "a", "renyi.state": "training"}).info.run_id
    other = client.create_run(key, tags={"renyi.trial_id": "b"}).info.run_id
    heard.append(len(client.search_runs([key], FILTER)))
    heard.append(len(client.search_runs([key], "")))
    heard.append({run.info.status for run in client.search_runs([key], "")})
    point = Metric("loss", 0.5, 1000, 0)
    client.log_batch(one, metrics=[point, point, Metric("loss", 0.25, 2000, 1)], params=[Param("lr", "0.1")])
    client.log_batch(one, metrics=[point], params=[Param("lr", "0.1")], tags=[RunTag("renyi.state", "trained")])
    heard.append(refused(lambda: client.log_batch(one, params=[Param("lr", "0.2")])))
    client.set_terminated(one, "FINISHED")
    client.log_batch(one, metrics=[Metric("loss", 0.125, 3000, 2)])  # also after its end
    client.update_run(other, status="FAILED")
    client.set_tag(other, "renyi.reason", "no")
    client.delete_tag(other, "renyi.reason")
    heard.append(refused(lambda: client.delete_tag(other, "renyi.reason")))
    client.delete_run(two)
    heard.append(refused(lambda: client.log_batch(two, metrics=[point])))
    heard.append(refused(lambda: client.set_terminated(two, "FINISHED")))
    heard.append(refused(lambda: client.log_batch("0" * 32, metrics=[point])))
    (found,) = client.search_runs([key], FILTER)
    heard.append((found.info.run_id == one, found.info.status, found.data.params, found.data.tags["renyi.state"]))
    (failed,) = client.search_runs([key], "tags.`renyi.trial_id` = 'b'")
    heard.append((failed.info.status, "renyi.reason" in failed.data.tags, failed.data.params))
    heard.append(points(client, one))
    return heard


def points(client: Any, run_id: str) -> list[tuple[float, int, int]]:
    """The points of the loss of a run."""
    if isinstance(client, Client):
        return sorted((value, when, step) for _, value, when, step in client._server.runs[run_id].points)
    return sorted((each.value, each.timestamp, each.step) for each in client.get_metric_history(run_id, "loss"))


def test_it_answers_as_the_real_one(storage_with_database: Path, tmp_path: Path) -> None:
    world = World(Choices(), Faults(until=0.0))
    heard: list[object] = []
    client = Client(Server(world))
    world.spawn("client", "here", lambda _: heard.extend(conversation(client, tmp_path)))
    world.run()
    world.judge()
    real = conversation(MlflowClient(f"sqlite:///{storage_with_database}/mlflow.db"), tmp_path)
    assert heard == real
    assert len(heard) == 14


def test_a_faulty_network_loses_repeats_and_delays(tmp_path: Path) -> None:
    counts = set()
    for seed in range(60):
        world = World(Choices(seed), Faults(misfortunes=(), error_odds=3, until=10.0))
        server = Server(world)

        def ask(_: object, server: Server = server) -> None:
            client = Client(server)
            with suppress(MlflowException):
                for _ in range(50):
                    client.create_run("1", {})

        world.spawn("client", "here", ask)
        world.run()
        counts.add(len(server.runs))
    assert len(counts) > 2
