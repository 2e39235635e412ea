"""The status of a sweep: is it running, how did it end, what is each node doing, how long does the rest take."""

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from analysis.measures import MEASURES
from orchestrator.display.endings import show_damages, show_failures
from orchestrator.display.plan import counts, missing_shifts, show_data, to_do
from orchestrator.display.terminal import duration, say

if TYPE_CHECKING:
    from orchestrator.store.activity import NodeActivity
    from orchestrator.store.plan import Plan
    from orchestrator.store.status import Status

TASKS = {
    "everything": "all measures",
    "layers": "its layers",
    "all_layers": "the Hessian of all layers",
    "shifts": "under shifts",
}


def show_status(status: "Status") -> None:
    """Show counts by state, the work of each node, the time that remains, and every failure with its reason."""
    plan, activity = status.plan, status.activity
    say(f"{plan.config.name}: {len(plan.specs)} trials: {counts(plan)}", 0, bold=plan.config.name)
    if plan.data.problem:
        show_data(plan.data)
    if status.driver is None:
        say(f"never started; to do: {to_do(plan)}")
    else:
        say(_driver(status))
        if not status.done:
            say(f"to do: {_missing(plan)}; {_left(status)}")
        names = {spec.trial_id: spec.label for spec in plan.specs}
        for name, node in activity.nodes.items() if activity else ():
            say(f"{name}: {_node(node, names)}")
    show_damages(plan.store.folder.uri, status.damages, "the next `renyi run` writes it again")
    show_failures(plan)


def _driver(status: "Status") -> str:
    """Since when it runs; or when it ended, and how."""
    driver = status.driver
    assert driver is not None
    if status.running:
        who = f"`{driver.command}` on {driver.host}, process {driver.pid}"
        return f"running since {_clock(driver.since)} ({duration(time.time() - driver.since)}): {who}"
    when = f"{_clock(driver.heartbeat)}, {duration(max(0.0, time.time() - driver.heartbeat))} ago"
    who = f"`{driver.command}` on {driver.host}"
    if not driver.ended:
        how = "it was killed, or its machine went down or can't be reached"
        return f"not running: {how}; last sign of life {when}; {who}"
    done = "all trials are measured" if not status.plan.failed else f"{len(status.plan.failed)} trials failed"
    how = driver.how or (done if status.done else "stopped early")
    return f"ended {when}: {done if how == 'finished' and status.done else how}; {who}"


def _clock(moment: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(moment))


def _missing(plan: "Plan") -> str:
    """`3 to train and measure, 2 to measure`."""
    work = plan.work
    parts = [
        f"{len(work.to_train)} to train and measure" if work.to_train else "",
        f"{len(work.to_measure)} to measure" if work.to_measure else "",
        missing_shifts(plan),
    ]
    return ", ".join(part for part in parts if part)


def _left(status: "Status") -> str:
    """The one estimate of what is left: at the present rate, or by the plan's cost before there is a rate."""
    seconds, cost = status.seconds_left, status.plan.cost
    if seconds is not None:
        return f"about {duration(seconds)} left" if status.running else f"about {duration(seconds)} on this machine"
    if cost is None or not cost.gpu or cost.train_seconds + cost.measure_seconds == 0:
        return "how long that takes is not known yet"
    return f"about {duration(cost.train_seconds + cost.measure_seconds)} of one GPU"


def _node(node: "NodeActivity", names: Mapping[str, str]) -> str:
    """What a node does now, trials by their names, and what it has done."""
    training = _listed([f"{names.get(each, each)} (epoch {epochs})" for each, epochs in node.training.items()])
    measuring = _listed([_task(each, names) for each in node.measuring])
    done = f"{node.trained} trained, {node.measured} measuring tasks done"
    failed = f", {node.failed} failed" if node.failed else ""
    parts = [f"training {training}" if training else "", f"measuring {measuring}" if measuring else "", done + failed]
    avoided = f"; avoided: {node.avoided}" if node.avoided else ""
    return "; ".join(part for part in parts if part) + avoided


def _task(noted: str, names: Mapping[str, str]) -> str:
    """`sgd lr=0.1 …: SAM sharpness`, of a trial's id and a task's name."""
    trial_id, _, task = noted.partition(" ")
    key, _, parameter = task.rpartition("_")
    if task in MEASURES:
        words = MEASURES[task].title
    elif key in MEASURES:  # cut by its parameter
        words = f"{MEASURES[key].title} at {MEASURES[key].symbol} = {parameter}"
    else:
        words = TASKS.get(task, task)
    return f"{names.get(trial_id, trial_id)}: {words}"


def _listed(names: Sequence[str], most: int = 8) -> str:
    """Some of the names, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
