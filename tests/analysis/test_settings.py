import pytest
from pydantic import ValidationError

from analysis.measures import ALL_IN_IDENTITIES, MEASURES
from analysis.settings import PAPER_ORDERS, SharpnessSettings


def test_defaults_are_those_of_the_specification() -> None:
    settings = SharpnessSettings()
    assert settings.orders == PAPER_ORDERS
    assert settings.worst_case.rhos("sam") == settings.worst_case.rhos("sam_n") == (0.05, 0.25, 0.5, 1.0, 2.0)
    assert 0.5 in settings.worst_case.rhos("asam_n")
    assert settings.worst_case.rhos("asam_linf") == (0.001, 0.002, 0.004, 0.008)
    assert (settings.worst_case.batch_size, settings.worst_case.num_steps, settings.worst_case.eta) == (128, 20, 0.01)
    assert (settings.average.num_draws, settings.average.sigmas) == (100, (0.05, 0.1, 0.2, 0.4))
    search = settings.pac_bayes
    assert (search.target, search.tolerance, search.largest, search.num_halvings, search.num_draws) == (
        *(0.1, 0.01, 2.0),
        *(15, 10),
    )
    assert (settings.haar.rhos, settings.haar.num_draws) == ((0.2,), 300)


@pytest.mark.parametrize(
    "change",
    [
        {"measures": ("renyi",)},
        {"worst_case": {"sam": [0.1]}},
        {"worst_case": {"batch_size": 64}},
        {"average": {"num_draws": 7}},
        {"pac_bayes": {"fold_batch_norm": False}},
        {"haar": {"rhos": [0.1]}},
        {"all_layers_only": ()},
    ],
)
def test_every_setting_is_part_of_the_identity(change: dict[str, object]) -> None:
    assert SharpnessSettings.model_validate(change).measurement_id != SharpnessSettings().measurement_id


def test_measures_by_name_by_path_and_all() -> None:
    assert SharpnessSettings.model_validate({"measures": "all"}).measures == tuple(MEASURES)
    settings = SharpnessSettings(measures=("l2", "mine.sharpness"))
    assert settings.own_measures == ("mine.sharpness",)


def test_all_measures_have_the_identity_that_they_had_when_there_were_fewer() -> None:
    now = SharpnessSettings.model_validate({"measures": "all"})
    before = SharpnessSettings(measures=ALL_IN_IDENTITIES)
    assert len(now.measures) > len(before.measures) == 23
    assert now.measurement_id == before.measurement_id
    assert now.model_dump()["measures"] == tuple(MEASURES)  # what is measured and recorded are all
    for grown in range(len(ALL_IN_IDENTITIES), len(MEASURES)):  # as the version in between had them
        assert SharpnessSettings(measures=tuple(MEASURES)[:grown]).measurement_id == now.measurement_id


def test_other_lists_have_identities_of_their_own() -> None:
    everything = tuple(MEASURES)
    lists = [everything, everything[::-1], everything[1:], ALL_IN_IDENTITIES[:-1], (*ALL_IN_IDENTITIES, "stable_rank")]
    assert len({SharpnessSettings(measures=measures).measurement_id for measures in lists}) == len(lists)


def test_the_tolerance_is_for_orders_that_can_be_resolved() -> None:
    assert SharpnessSettings().tolerance_orders == (0.5, 1.5)
    assert SharpnessSettings(orders=(0.1, 0.9, 2.0)).tolerance_orders == (0.9, 2.0)
    assert SharpnessSettings(orders=(0.1,)).tolerance_orders == (0.1,)


def test_initial_weights_are_needed_by_the_measures_that_use_them() -> None:
    assert SharpnessSettings(measures=("pacbayes_mag_init",)).needs_initial_weights
    assert not SharpnessSettings().needs_initial_weights


@pytest.mark.parametrize(
    ("measures", "message"),
    [
        (("trac",), "unknown measure 'trac'; did you mean trace"),
        (("zzz",), "known: renyi, "),
        (("l2", "l2"), "has the measure 'l2' more than once"),
    ],
)
def test_mistakes_are_named(measures: tuple[str, ...], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        SharpnessSettings(measures=measures)


def test_the_default_loss_is_in_no_identity_and_another_is() -> None:
    plain = SharpnessSettings()
    assert SharpnessSettings.model_validate({"loss": "cross_entropy"}).measurement_id == plain.measurement_id
    smoothed = SharpnessSettings.model_validate({"loss": {"label_smoothing": 0.1}})
    own = SharpnessSettings.model_validate({"loss": "mine.focal"})
    assert own.loss.name == "mine.focal"
    assert len({plain.measurement_id, smoothed.measurement_id, own.measurement_id}) == 3


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        ("mse", "unknown loss 'mse': the networks of a sweep are classifiers"),
        ({"name": "mine.focal", "label_smoothing": 0.1}, "options of cross_entropy alone"),
        ({"label_smoothing": 2}, "less than or equal to 1"),
    ],
)
def test_a_loss_that_no_sweep_has_is_refused(loss: object, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        SharpnessSettings.model_validate({"loss": loss})
