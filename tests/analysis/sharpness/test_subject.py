import math
from typing import Any

import pytest

from analysis.errors import UndefinedMeasureError
from analysis.schema import ALL_LAYERS, Measurement
from analysis.settings import SharpnessSettings, SpectraOf
from analysis.sharpness.estimators.spectra import spectra_or_reasons
from analysis.sharpness.measure import measure_subject
from analysis.sharpness.subject import Subject, Values, tabulate
from tests.analysis.sharpness.networks import perceptron, samples

SETTINGS = SharpnessSettings(orders=(0.5, 1.5), all_layers_only=("avg",))
LAYERS = ["0.weight", "2.weight", "4.weight"]


def subject(settings: SharpnessSettings = SETTINGS, spectra_of: SpectraOf = SpectraOf.EVERY) -> Subject:
    return Subject(perceptron(), *samples(), settings, spectra_of=spectra_of)


def test_blocks_are_each_layer_and_all_or_only_all() -> None:
    assert subject().blocks("sam") == [*LAYERS, ALL_LAYERS]
    assert subject().blocks("avg") == [ALL_LAYERS]
    assert subject(SETTINGS.model_copy(update={"layers": ("2.weight",)})).blocks("sam") == ["2.weight", ALL_LAYERS]


def test_a_landscape_has_the_weights_of_its_block() -> None:
    network = subject()
    assert network.landscape("2.weight").names == ("2.weight",)
    assert set(network.landscape(ALL_LAYERS).names) == {name for name, _ in network.model.named_parameters()}


def test_shared_results_are_computed_once_even_if_they_are_undefined() -> None:
    network = subject()
    calls = []

    def compute(given: Subject) -> int:
        calls.append(given)
        return 3

    def fail(given: Subject) -> int:
        calls.append(given)
        raise UndefinedMeasureError("no value")

    assert network.shared(compute) + network.shared(compute) == 6
    assert calls == [network]
    for _ in range(2):
        with pytest.raises(UndefinedMeasureError, match="no value"):
            network.shared(fail)
    assert calls == [network, network]


def test_spectra_are_computed_once_for_all_measures(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def counted(*arguments: Any) -> object:
        calls.append((arguments[3], arguments[7]))
        return spectra_or_reasons(*arguments)

    monkeypatch.setattr("analysis.sharpness.subject.spectra_or_reasons", counted)
    measure_subject(subject(SharpnessSettings(orders=(1.5,), measures=("renyi", "trace", "lambda_max"))))
    assert calls == [([*LAYERS, None], "hessian")]


@pytest.mark.parametrize(
    ("spectra_of", "blocks"),
    [(SpectraOf.EVERY, [*LAYERS, ALL_LAYERS]), (SpectraOf.LAYERS, LAYERS), (SpectraOf.WHOLE, [ALL_LAYERS])],
)
def test_a_task_computes_the_spectra_of_its_blocks_alone(spectra_of: SpectraOf, blocks: list[str]) -> None:
    assert list(subject(spectra_of=spectra_of).spectra) == blocks


def test_settings_reach_the_estimator() -> None:
    settings = SharpnessSettings(estimator="paired", num_probes=3, num_matvecs=4, layers=("2.weight",))
    shapes = {spectrum.nodes.shape for spectrum in subject(settings).spectra.values()}  # type: ignore[union-attr]
    assert shapes == {(3, 4)}


def test_values_that_are_missing_or_not_finite_have_a_reason() -> None:
    def values(block: str) -> Values:
        if block == "broken":
            raise UndefinedMeasureError("the gradient is zero")
        return {0.1: (1.0, 0.2), 0.2: (math.inf, None)}

    assert tabulate("sam", ["fc", "broken"], [0.1, 0.2], values) == [
        Measurement("fc", "sam", 0.1, 1.0, 0.2),
        Measurement("fc", "sam", 0.2, None, None, "the value is inf"),
        Measurement("broken", "sam", 0.1, None, None, "the gradient is zero"),
        Measurement("broken", "sam", 0.2, None, None, "the gradient is zero"),
    ]
