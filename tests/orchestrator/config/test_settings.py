"""A sweep's settings as parameters of a run."""

from orchestrator.config.settings import MAX_VALUE, parameters_of
from orchestrator.config.sweep_config import SweepConfig


def test_where_and_how_a_sweep_is_run_is_no_parameter(config: SweepConfig) -> None:
    elsewhere = config.model_copy(
        update={
            "storage": "/elsewhere",
            "tracking": "http://mlflow.example:5000",
            "training": config.training.model_copy(update={"compile": True, "time_limit": 60.0}),
            "data": config.data.model_copy(update={"root": "/data"}),
        }
    )
    assert parameters_of(elsewhere) == parameters_of(config)


def test_a_long_value_is_cut_and_still_tells_from_another(config: SweepConfig) -> None:
    def seeds(last: int) -> str:
        return parameters_of(config.model_copy(update={"seeds": (*range(300), last)}))["seeds"]

    assert seeds(1000).startswith("0, 1, 2, 3")
    assert len(seeds(1000)) < MAX_VALUE + 60
    assert seeds(1000) != seeds(1001)
