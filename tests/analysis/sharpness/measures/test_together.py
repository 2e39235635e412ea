"""All measures in one call: which rows there are, which passes are shared, and which values are missing, and why."""

import copy
import dataclasses
import math
from functools import cache

import pytest
import torch
from torch import nn

from analysis.measures import MEASURES
from analysis.schema import Measurement
from analysis.settings import SharpnessSettings
from analysis.sharpness import measure
from analysis.sharpness.landscape import Landscape
from analysis.sharpness.measure import measure_function, measure_subject
from analysis.sharpness.subject import Subject
from tests.analysis.sharpness.networks import perceptron, residual_network, samples

SETTINGS = SharpnessSettings(
    orders=(0.5, 1.5),
    measures=tuple(MEASURES),
    worst_case={"batch_size": 16, "num_steps": 3},  # type: ignore[arg-type]
    average={"num_draws": 3},  # type: ignore[arg-type]
    haar={"num_draws": 3},  # type: ignore[arg-type]
)
SPECTRAL = (*(key for key, record in MEASURES.items() if record.spectra), "trace_imbalance")
BASELINES = tuple(name for name in tuple(MEASURES) if name not in SPECTRAL)
LAYERS = ("0.weight", "2.weight", "4.weight")


Trained = tuple[nn.Module, dict[str, torch.Tensor], torch.Tensor, torch.Tensor]


def trained() -> Trained:
    """A trained network, its initial weights, inputs and targets: the test's own, of a training that is done once."""
    return copy.deepcopy(_trained())


@cache
def _trained() -> Trained:
    model, (inputs, targets) = perceptron(), samples()
    initial = {name: value.clone() for name, value in model.state_dict().items()}
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    for _ in range(200):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(inputs), targets).backward()
        optimizer.step()
    return model, initial, inputs, targets


def by_key(rows: list[Measurement]) -> dict[tuple[str, str, float | None], Measurement]:
    keyed = {(row.measure, row.layer, row.parameter): row for row in rows}
    assert len(keyed) == len(rows)
    return keyed


def test_every_record_names_a_function() -> None:
    assert all(callable(measure_function(name)) for name in MEASURES)


def test_all_measures_of_a_trained_network_in_one_call() -> None:
    model, initial, inputs, targets = trained()
    rows = by_key(measure(model, inputs, targets, SETTINGS, initial))
    missing = {key: row.reason for key, row in rows.items() if row.value is None}
    assert not missing
    assert {measure for measure, _, _ in rows} == set(MEASURES)
    worst_case = SETTINGS.worst_case
    for name in ("l2", "fisher_rao"):
        assert {key for key in rows if key[0] == name} == {(name, layer, None) for layer in (*LAYERS, "all")}
    for name in ("sam", "asam", "sam_linf", "asam_linf"):
        for rho in worst_case.rhos(name):
            assert rows[name, "2.weight", rho].value != rows[name, "all", rho].value
            assert rows[f"{name}_n", "all", rho].value is not None
            assert (f"{name}_n", "2.weight", rho) not in rows
    for sigma in SETTINGS.average.sigmas:
        assert rows["avg", "all", sigma].stderr > 0  # type: ignore[operator]
    for name in ("pacbayes_flat", "pacbayes_orig", "pacbayes_mag_flat", "pacbayes_mag_init", "pacbayes_mag_orig"):
        assert rows[name, "all", None].stderr is not None


def test_costly_measures_are_taken_layer_by_layer_where_that_is_asked_for() -> None:
    model, initial, inputs, targets = trained()
    settings = SETTINGS.model_copy(
        update={"all_layers_only": ("sam",), "measures": ("sam", "asam", "avg", "asam_n"), "layers": ("2.weight",)}
    )
    rows = by_key(measure(model, inputs, targets, settings, initial))
    layers = {name: {layer for measure, layer, _ in rows if measure == name} for name in settings.measures}
    assert layers == {"sam": {"all"}, **{name: {"2.weight", "all"} for name in ("asam", "avg", "asam_n")}}


def test_measuring_leaves_the_network_alone_and_repeats_bit_for_bit() -> None:
    model, initial, inputs, targets = trained()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    settings = SETTINGS.model_copy(update={"measures": BASELINES})
    first = measure(model, inputs, targets, settings, initial)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert model.training
    assert measure(model, inputs, targets, settings, initial) == first


@cache
def all_baselines() -> dict[tuple[str, str, float | None], Measurement]:
    model, initial, inputs, targets = trained()
    return by_key(measure(model, inputs, targets, SETTINGS.model_copy(update={"measures": BASELINES}), initial))


@pytest.mark.parametrize("name", ["asam_linf", "avg_adaptive", "pacbayes_orig", "pacbayes_mag_orig", "sam_n"])
def test_a_measure_is_the_same_alone_and_among_others(name: str) -> None:
    model, initial, inputs, targets = trained()
    alone = by_key(measure(model, inputs, targets, SETTINGS.model_copy(update={"measures": (name,)}), initial))
    assert alone == {key: row for key, row in all_baselines().items() if key[0] == name}


def test_the_search_for_noise_is_shared() -> None:
    model, initial, inputs, targets = trained()
    calls = 0

    def count(*_: object) -> None:
        nonlocal calls
        calls += 1

    model.register_forward_hook(count)
    passes = {}
    for measures in (("pacbayes_flat",), ("pacbayes_flat", "pacbayes_orig")):
        calls = 0
        measure(model, inputs, targets, SETTINGS.model_copy(update={"measures": measures}), initial)
        passes[len(measures)] = calls
    assert passes[1] == passes[2]


def test_batch_norm_networks_have_every_measure() -> None:
    model, inputs, _ = residual_network()
    targets = model(inputs).argmax(1)  # so that it is right on all of them
    rows = measure(model, inputs, targets, SETTINGS.model_copy(update={"measures": BASELINES}), model.state_dict())
    missing = {(row.measure, row.layer, row.parameter): row.reason for row in rows if row.value is None}
    assert not missing


def test_without_initial_weights_only_what_needs_them_is_missing() -> None:
    model, _, inputs, targets = trained()
    settings = SETTINGS.model_copy(update={"measures": BASELINES})
    missing = {row.measure: row.reason for row in measure(model, inputs, targets, settings) if row.value is None}
    assert set(missing) == {"pacbayes_mag_init", "pacbayes_mag_orig", "dist_l2", "dist_spec"}
    assert all("initial weights are not known" in str(reason) for reason in missing.values())
    assert settings.needs_initial_weights
    assert not SharpnessSettings().needs_initial_weights


@pytest.mark.parametrize("disaster", ["nan weights", "infinite weights", "infinite inputs"])
def test_nothing_is_measured_of_what_is_not_finite(disaster: str) -> None:
    model, initial, inputs, targets = trained()
    with torch.no_grad():
        if disaster == "infinite inputs":
            inputs = inputs * math.inf
        else:
            model.get_parameter("0.weight")[0, 0] = math.nan if "nan" in disaster else math.inf
    rows = by_key(measure(model, inputs, targets, SETTINGS, initial))
    for (name, layer, _), row in rows.items():
        untouched = disaster == "infinite inputs" or layer in ("2.weight", "4.weight")
        if name in ("l2", "dist_l2", "dist_spec") and untouched:
            assert row.value is not None
        else:
            assert row.value is None, row
            assert row.stderr is None
            assert row.reason


def test_networks_that_are_no_better_than_chance_have_no_pac_bayes_measure() -> None:
    model, initial, inputs, targets = trained()
    wrong = (targets + 1) % 3
    rows = by_key(measure(model, inputs, wrong, SETTINGS, initial))
    for name in tuple(MEASURES):
        if name.startswith("pacbayes"):
            assert rows[name, "all", None].value is None
            assert "less than chance" in str(rows[name, "all", None].reason)
    assert rows["sam", "all", 0.05].value is not None


def test_noise_that_costs_too_little_is_reported() -> None:
    model, initial, inputs, targets = trained()
    settings = SETTINGS.model_copy(
        update={"pac_bayes": SETTINGS.pac_bayes.model_copy(update={"largest": 1e-6}), "measures": ("pacbayes_flat",)}
    )
    (row,) = measure(model, inputs, targets, settings, initial)
    assert row.value is None
    assert "not bracketed" in str(row.reason)


def test_a_zero_gradient_is_reported_for_every_radius() -> None:
    model, initial, inputs, targets = trained()
    with torch.no_grad():
        model.get_parameter("0.bias").fill_(-1e6)
    rows = by_key(measure(model, inputs, targets, SETTINGS, initial))
    for name in ("sam", "asam", "sam_linf", "asam_linf"):
        for rho in SETTINGS.worst_case.rhos(name):
            assert rows[name, "0.weight", rho].value is None
            assert "gradient is zero" in str(rows[name, "0.weight", rho].reason)
            assert rows[name, "all", rho].value is not None


def test_only_what_is_asked_for_is_measured() -> None:
    subject = Subject(perceptron(), *samples(), SETTINGS)
    rows = measure_subject(subject, ("l2",))
    assert [(row.measure, row.layer) for row in rows] == [("l2", layer) for layer in (*LAYERS, "all")]


def test_chunks_make_no_difference_in_single_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    model, initial, inputs, targets = trained()
    changes = {"measures": BASELINES, "all_layers_only": (), "layers": ("2.weight",)}
    settings = SETTINGS.model_copy(update=changes)
    single = {name: value.float() for name, value in initial.items()}
    whole = measure(model.float(), inputs.float(), targets, settings, single)
    of = Landscape.of.__func__  # type: ignore[attr-defined]
    monkeypatch.setattr(
        Landscape, "of", classmethod(lambda cls, *given: dataclasses.replace(of(cls, *given), samples_at_once=7))
    )
    chunked = measure(model, inputs.float(), targets, settings, single)
    for one, other in zip(whole, chunked, strict=True):
        assert other.value == pytest.approx(one.value, rel=1e-5, abs=1e-6), one
