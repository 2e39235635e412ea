"""`renyi report --watch`: the same page again and again while a sweep runs, from its store, until all is done."""

import time
from collections.abc import Callable, Sequence

from orchestrator.config.sweep_config import SweepConfig
from orchestrator.display import console
from orchestrator.report import report_sweeps
from orchestrator.store.plan import make_plan
from orchestrator.store.trial_store import TrialState

INTERVAL = 60.0  # seconds


def watch(
    configs: Sequence[SweepConfig],
    gaps: Sequence[str] = (),
    only: str | None = None,
    wait: Callable[[float], None] = time.sleep,
) -> None:
    """Write the report every minute in which a trial was measured or failed; end when no trial is unfinished.

    It reads the store alone, needs no MLflow, and does not disturb the driver. The page marks partial results. Nothing
    is written before the first trial is measured.

    Args:
        configs, gaps, only: as for `report_sweeps`.
        wait: called with the seconds until the next look.
    """
    written: list[dict[str, TrialState]] | None = None
    while True:
        plans = [make_plan(config) for config in configs]
        finished = [_finished(plan.states) for plan in plans]
        counts = ", ".join(f"{plan.counts[TrialState.MEASURED]} of {len(plan.specs)} measured" for plan in plans)
        missing = any(plan.work.trials for plan in plans)
        if finished != written and any(plan.counts[TrialState.MEASURED] for plan in plans):
            console.print(f"{time.strftime('%H:%M')}  {counts}")
            report_sweeps(configs, "store", gaps=gaps, only=only, quiet=True)
            written = finished
        elif written is None and missing:
            console.print(f"{time.strftime('%H:%M')}  {counts}; the page is written when the first is")
        if not missing:
            return
        wait(INTERVAL)


def _finished(states: dict[str, TrialState]) -> dict[str, TrialState]:
    return {key: state for key, state in states.items() if state in (TrialState.MEASURED, TrialState.FAILED)}
