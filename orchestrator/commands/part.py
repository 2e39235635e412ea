"""The options that restrict a command to a part of a sweep: `--only`, `--limit`, `--fail-fast`."""

from orchestrator.config.expand import expand
from orchestrator.config.selection import select
from orchestrator.config.sweep_config import SweepConfig
from orchestrator.store.steering import Steering


def steering(config: SweepConfig, only: str | None, limit: int | None, fail_fast: bool = False) -> Steering:
    """What the options ask for.

    Raises:
        UsageError: no trial is chosen, or a condition is wrong.
    """
    trials = None if only is None else frozenset(spec.trial_id for spec in select(expand(config), only))
    return Steering(trials, limit, fail_fast)


def words(only: str | None, limit: int | None = None, fail_fast: bool = False) -> list[str]:
    """The options as words of a command on a cluster."""
    return [
        *(["--only", only] if only is not None else []),
        *(["--limit", str(limit)] if limit is not None else []),
        *(["--fail-fast"] if fail_fast else []),
    ]
