"""The code that made the trials of a sweep beside the code that is here now. Imports none of it."""

from collections.abc import Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from analysis.results.remarks import READING_THREADS, THEN, code_remarks, trained_by
from orchestrator.errors import UsageError
from orchestrator.store.measurement import CODE
from orchestrator.store.plan import Plan
from orchestrator.store.trial_store import TrialState
from trainables.trial.code import Code, Sources, own_sources
from trainables.trial.folder import MEASURED_FILE, TrialFolder, read_json

ACCEPT = "--accept-changed-code"


@dataclass(frozen=True)
class Changed:
    """A network or measure of the user's whose code has made trials and is another one now."""

    path: str
    trials: int  # that were made with other code
    modules: tuple[str, ...]  # that differ between some of them and now

    def __str__(self) -> str:
        changed = ", ".join(self.modules)
        return f"{self.path}: trials made with other code than is here now: {self.trials} (changed: {changed})"


def trained_by_of(trial: TrialFolder, model: str) -> dict[str, str]:
    """The versions of code that trained a trial, as `analysis.results.remarks.trained_by` gives them."""
    versions = trial.read_code()

    def joined(values: Iterable[str | None]) -> str:
        return THEN.join(dict.fromkeys(value for value in values if value is not None))

    return trained_by(
        joined(code.version for code in versions),
        joined(code.package for code in versions),
        model,
        joined(sources.digest for code in versions for sources in code.own.values()),
        joined(code.data for code in versions),
    )


def versions_of(plan: Plan) -> list[str]:
    """Which of the trials so far were trained by several versions of something, a line for each such thing."""
    begun = [spec for spec in plan.specs if plan.states[spec.trial_id] is not TrialState.PENDING]
    with ThreadPoolExecutor(READING_THREADS) as readers:
        return code_remarks(readers.map(lambda spec: trained_by_of(plan.store.trial(spec.trial_id), spec.model), begun))


def changed_code(plan: Plan) -> list[Changed]:
    """The user's networks and measures whose code has made trials of the plan and is another one now.

    What is not recorded, or can't be found now, is not compared.
    """
    found = []
    begun = [spec for spec in plan.specs if plan.states[spec.trial_id] is not TrialState.PENDING]
    for model in dict.fromkeys(spec.model for spec in begun):
        now = own_sources(model)
        if now is not None:
            made = [plan.store.trial(spec.trial_id).read_code() for spec in begun if spec.model == model]
            found += _compared(model, now, made)
    if plan.config.sharpness.own_measures:
        measured = [spec.trial_id for spec in plan.specs if plan.states[spec.trial_id] is TrialState.MEASURED]
        made = [_measured_by(plan, trial_id) for trial_id in measured]
        for measure in plan.config.sharpness.own_measures:
            now = own_sources(measure)
            found += [] if now is None else _compared(measure, now, made)
    return found


def check_code(plan: Plan, part: Plan, again: Collection[str] = ()) -> None:
    """Refuse to do what is missing of a part of a plan where its results would mix two versions of the user's code.

    Args:
        plan: the whole sweep.
        part: what is worked on.
        again: ids of failed trials that are tried again, too.

    Raises:
        UsageError: a line for each network or measure that is another one now, and the choice.
    """
    work, retried = part.work, [spec for spec in plan.failed if spec.trial_id in again]
    models = {spec.model for spec in [*work.trials, *retried]}
    to_measure = work.to_train or work.to_measure or retried
    measures = set(plan.config.sharpness.own_measures) if to_measure else set()
    found = [str(changed) for changed in changed_code(plan) if changed.path in models | measures]
    if found:
        raise UsageError(
            *found,
            f"the missing trials would be made with the code that is here now. {ACCEPT} mixes both; `identity: code` "
            "in the sweep file makes trials of changed code new trials; or bring the earlier code back",
        )


def _measured_by(plan: Plan, trial_id: str) -> list[Code]:
    return read_json(
        plan.store.measurement(trial_id),
        MEASURED_FILE,
        lambda record: [Code.of_json(record[CODE])] if CODE in record else [],
    )


def _compared(path: str, now: Sources, made: Sequence[Sequence[Code]]) -> list[Changed]:
    """Whether code made trials, by the versions recorded for each, that is another one now."""
    others = [[code.own[path] for code in versions if path in code.own] for versions in made]
    others = [kept for found in others if (kept := [sources for sources in found if sources.digest != now.digest])]
    modules = {
        name
        for found in others
        for sources in found
        for name in sources.modules.keys() | now.modules.keys()
        if sources.modules.get(name) != now.modules.get(name)
    }
    return [Changed(path, len(others), tuple(sorted(modules)))] if others else []
