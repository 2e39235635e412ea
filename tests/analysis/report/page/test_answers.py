import dataclasses

import pandas as pd
import pytest

from analysis.report.evidence import Evidence, gather
from analysis.report.page.answers import Answer, Sign, answers, as_strong_orders
from tests.analysis.simulated import simulated_sweep


def signs(evidence: Evidence) -> list[Sign]:
    return [answer.sign for answer in answers(evidence)]


def test_a_planted_association_is_found(evidence: Evidence) -> None:
    found = answers(evidence)
    associated, beyond, within, best, order = found
    assert [answer.sign for answer in (associated, beyond, within, order)] == [Sign.YES] * 4
    assert "Rényi sharpness α = 1.5 of fc, τ = +0.63" in associated.sentence
    assert within.question == "Does it hold within each optimizer?"
    assert best.sign is Sign.OPEN
    assert "α = 2 of fc has the highest τ" in order.sentence
    assert order.sentence.endswith("p < 0.001 beside chance; every other order is surely weaker")
    assert len({answer.question for answer in found}) == 5


def test_where_nothing_is_tied_to_the_gap_nothing_is_affirmed() -> None:
    assert Sign.YES not in signs(gather(simulated_sweep("null", rng_seed=1)))


def test_what_follows_the_training_loss_alone_is_not_beyond_it() -> None:
    associated, beyond, *_ = answers(gather(simulated_sweep("confounded")))
    assert associated.sign is Sign.YES
    assert beyond.sign is not Sign.YES
    assert "beyond the training loss" in beyond.sentence or "training loss" in beyond.sentence


@pytest.mark.parametrize("count", [0, 4, 12])
def test_few_trials_answer_nothing(count: int) -> None:
    results = simulated_sweep()
    kept = results.table["trial_id"].isin([f"trial{index:03d}" for index in range(count)])
    found = answers(gather(dataclasses.replace(results, table=results.table[kept])))
    assert {answer.sign for answer in found} == {Sign.OPEN}
    assert f"{count} configurations have a value; a claim takes at least 15" in found[0].sentence


def test_an_answer_agrees_with_the_verdict(evidence: Evidence) -> None:
    for one in (evidence, gather(simulated_sweep("opposed"))):
        significant = bool((one.headline["p_adjusted"] < 0.05).any())
        assert (signs(one)[0] is Sign.YES) == significant


def test_orders_as_strong_hold_the_best_one_and_are_known_to_the_sweep(evidence: Evidence) -> None:
    found = as_strong_orders(evidence, "renyi", "fc.weight")
    assert 2.0 in found
    assert 0.5 not in found
    assert as_strong_orders(evidence, "trace", "fc.weight") == []


def test_intervals_within_what_is_negligible_say_no(evidence: Evidence) -> None:
    small = evidence.tau.assign(tau_b=0.05, ci_low=-0.1, ci_high=0.15, p_adjusted=1.0)
    nothing = dataclasses.replace(evidence, tau=small, groups=pd.DataFrame())
    found: Answer = answers(nothing)[0]
    assert found.sign is Sign.NO
    assert "±0.2" in found.sentence
