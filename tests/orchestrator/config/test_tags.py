from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.config.expand import expand
from orchestrator.config.load import load
from orchestrator.errors import UsageError

SweepFile = Callable[..., Path]


def with_keys(sweep_file: SweepFile, text: str, name: str = "sweep.yaml") -> str:
    return str(sweep_file(("name: small", f"name: small\n{text}"), name=name))


def test_tags_notes_and_what_is_run_at_the_end_are_no_part_of_a_trial(sweep_file: SweepFile) -> None:
    text = "tags: {paper: 'figure 2', team/group: a b}\nnotes: |\n  first line\n  second\non_end: echo done"
    plain, noted = load(str(sweep_file())), load(with_keys(sweep_file, text, "noted.yaml"))
    assert noted.tags == {"paper": "figure 2", "team/group": "a b"}
    assert noted.notes == "first line\nsecond\n"
    assert [spec.trial_id for spec in expand(noted)] == [spec.trial_id for spec in expand(plain)]
    assert noted.sharpness.measurement_id == plain.sharpness.measurement_id


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("tags: {ticket: 42}", "tags.ticket: must be text; quote it: '42'"),
        ("tags: {done: true}", "tags.done: must be text; quote it: 'True'"),
        ("tags: {empty: }", "tags.empty: must be text"),
        ("tags: {mlflow.user: me}", "tags.mlflow.user: is a tag that MLflow writes itself"),
        ("tags: {renyi.kind: sweep}", "tags.renyi.kind: is a tag that this package writes itself"),
        ("tags: {axis.seed: '1'}", "tags.axis.seed: is a tag that this package"),
        ("tags: {optimizer: sgd}", "tags.optimizer: is a tag that this package"),
        ("tags: {'a#b': c}", "tags.a#b: a tag's name has letters"),
        ("tags: {'a//b': c}", "tags.a//b: a tag's name must not be a path"),
        ("tags: {'../b': c}", "must not be a path"),
        ("tags: [a, b]", "tags: "),
        ("notes: 7", "notes: must be text; quote it: '7'"),
        ("notes: [a]", "notes: must be text"),
        ("on_end: ''", "on_end: "),
        ("on_end: [echo, done]", "on_end: "),
    ],
)
def test_what_mlflow_can_not_take_is_refused(sweep_file: SweepFile, text: str, problem: str) -> None:
    with pytest.raises(UsageError) as caught:
        load(with_keys(sweep_file, text))
    assert problem in str(caught.value)


def test_texts_that_mlflow_would_cut_off_are_refused(sweep_file: SweepFile) -> None:
    for text in (f"tags: {{a: '{'x' * 8001}'}}", f"tags: {{'{'x' * 251}': a}}", f"notes: {'x' * 4001}"):
        with pytest.raises(UsageError, match="at most"):
            load(with_keys(sweep_file, text))
