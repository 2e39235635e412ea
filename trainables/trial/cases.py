"""The cases of a sweep that a rehearsal tells apart."""

from collections.abc import Iterable
from dataclasses import dataclass

from trainables.trial.specs import TrialSpec


@dataclass(frozen=True)
class Case:
    """A network with an optimizer, as the trials that are still to be trained have them."""

    spec: TrialSpec  # of the first of these trials
    batch_sizes: tuple[int, ...]  # of all of them that keep the last, incomplete batch of an epoch


def cases_of(specs: Iterable[TrialSpec]) -> tuple[Case, ...]:
    """Each pair of network, optimizer and precision once, in the order of the trials."""
    groups: dict[tuple[str, str, str], list[TrialSpec]] = {}
    for spec in specs:
        groups.setdefault((spec.model, spec.optimizer.name, spec.training.precision), []).append(spec)
    return tuple(Case(group[0], _sizes_of(group)) for group in groups.values())


def _sizes_of(specs: list[TrialSpec]) -> tuple[int, ...]:
    return tuple(dict.fromkeys(spec.training.batch_size for spec in specs if not spec.training.drop_last))
