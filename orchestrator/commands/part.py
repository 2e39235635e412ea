"""The options of commands that run a sweep, or a part of it: `--only`, `--limit`, `--fail-fast`,
`--accept-changed-code`."""

from orchestrator.config.expand import expand
from orchestrator.config.selection import select
from orchestrator.config.sweep_config import SweepConfig
from orchestrator.store.code import ACCEPT
from orchestrator.store.known_sets import identify
from orchestrator.store.steering import Steering


def steering(
    config: SweepConfig, only: str | None, limit: int | None, fail_fast: bool = False, changed_code: bool = False
) -> Steering:
    """What the options ask for.

    Raises:
        UsageError: no trial is chosen, or a condition is wrong.
    """
    if only is None:
        return Steering(None, limit, fail_fast, changed_code)
    chosen = select(expand(identify(config).config), only)
    return Steering(frozenset(spec.trial_id for spec in chosen), limit, fail_fast, changed_code)


def words(only: str | None, limit: int | None = None, fail_fast: bool = False, changed_code: bool = False) -> list[str]:
    """The options as words of a command on a cluster."""
    return [
        *(["--only", only] if only is not None else []),
        *(["--limit", str(limit)] if limit is not None else []),
        *(["--fail-fast"] if fail_fast else []),
        *([ACCEPT] if changed_code else []),
    ]
