"""The division of a trial's measurement into tasks for actors, so that no shared result is computed twice."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, replace

from analysis.measures import MEASURES, PRODUCT_PASSES
from analysis.settings import SharpnessSettings, SpectraOf
from orchestrator.store.cost import flops_a_second, passes_a_trial
from trainables.catalogue import size_of
from trainables.trial.specs import TrialSpec

MOST_OF_A_TRIAL = 0.1  # share of a trial's measuring in one task, where it can be cut without repeating anything
LEAST_SECONDS = 30.0  # shorter tasks are not separated, since loading and checking a network again costs a few


@dataclass(frozen=True)
class MeasuringTask:
    """A part of one trial's measurement, done by one actor, with a separate result in the store."""

    name: str
    measures: tuple[str, ...]
    spectra_of: SpectraOf
    seconds: float = 0.0  # expected; tasks are sorted by it
    rho: float | None = None  # of a measure that is cut by it; None: all

    @property
    def key(self) -> str:
        """The name of its files. It depends on the content, so tasks of different divisions never share a file."""
        cut = [] if self.rho is None else [self.rho]
        content = json.dumps([sorted(self.measures), self.spectra_of.value, *cut])
        return f"{self.name}-{hashlib.sha256(content.encode()).hexdigest()[:8]}"

    def narrowed(self, settings: SharpnessSettings) -> SharpnessSettings:
        """The settings of its part of the measurement."""
        if self.rho is None:
            return settings
        (measure,) = self.measures
        if measure == "haar_loss":
            return settings.model_copy(update={"haar": settings.haar.model_copy(update={"rhos": (self.rho,)})})
        return settings.model_copy(update={"worst_case": settings.worst_case.at(measure, self.rho)})


ONLY_SHIFTS = MeasuringTask("shifts", (), SpectraOf.EVERY)  # of a trial that is measured


def whole(settings: SharpnessSettings) -> MeasuringTask:
    """The whole measurement as one task."""
    return MeasuringTask("everything", settings.measures, SpectraOf.EVERY)


def divide(spec: TrialSpec, settings: SharpnessSettings, gpu: bool = False) -> list[MeasuringTask]:
    """The tasks of a trial's measurement, longest first.

    Work that takes long and shares nothing with the rest becomes a separate task: the Hessian of all layers at once,
    each n-step measure, average sharpness, the search for each kind of PAC-Bayes noise, Haar perturbations. An n-step
    measure or Haar's that is more than `MOST_OF_A_TRIAL` is cut further, by ρ.

    All else stays together, however long it takes, since its parts share what they would have to repeat: layers their
    factor pass; the probes of one block the deflated eigenvectors, and the products so far, by which it is decided how
    many more are needed; one-step measures a gradient; the σ of average sharpness its noise; the halvings of a
    PAC-Bayes search their order. So with spectra the longest task is about half of a trial's measuring. If the network
    can be measured within seconds, or its size is unknown, there is one task.
    """
    size = size_of(spec.model, spec.data.dataset)
    if size is None:
        return [whole(settings)]
    a_pass = size.flops * settings.samples / flops_a_second(gpu)
    total = a_pass * sum(passes_a_trial(settings).values())
    expensive = [
        part
        for task in _separable(settings, a_pass)
        if task.seconds >= LEAST_SECONDS
        for part in _cut(task, settings, MOST_OF_A_TRIAL * total)
    ]
    if not expensive:
        return [whole(settings)]
    taken = {name for task in expensive if task.spectra_of is not SpectraOf.WHOLE for name in task.measures}
    rest = tuple(name for name in settings.measures if name not in taken)
    spectral = any(task.spectra_of is SpectraOf.WHOLE for task in expensive)
    seconds = PRODUCT_PASSES * settings.max_products * a_pass * (1 if spectral else 2)
    tasks = [*expensive, MeasuringTask("layers", rest, SpectraOf.LAYERS if spectral else SpectraOf.EVERY, seconds)]
    return sorted((task for task in tasks if task.measures), key=lambda task: -task.seconds)


def _cut(task: MeasuringTask, settings: SharpnessSettings, most: float) -> list[MeasuringTask]:
    """A task, or its parts by ρ if it is longer than `most` seconds and they are not too short."""
    (measure, *_) = task.measures
    if measure.endswith("_n"):
        rhos = settings.worst_case.rhos(measure)
    else:
        rhos = settings.haar.rhos if measure == "haar_loss" else ()
    if len(rhos) < 2 or task.seconds <= most or task.seconds / len(rhos) < LEAST_SECONDS:
        return [task]
    seconds = task.seconds / len(rhos)
    return [replace(task, name=f"{task.name}_{rho:g}", seconds=seconds, rho=rho) for rho in rhos]


def _separable(settings: SharpnessSettings, a_pass: float) -> Iterable[MeasuringTask]:
    """The work that could be separate tasks, with the seconds that each takes."""
    groups: dict[str, list[str]] = {}
    for name in settings.measures:
        if name in MEASURES and MEASURES[name].task is not None:
            groups.setdefault(str(MEASURES[name].task), []).append(name)
    for names in groups.values():
        yield MeasuringTask(names[0], tuple(names), SpectraOf.EVERY, settings.passes(names[0]) * a_pass)
    spectral = tuple(name for name in settings.measures if name in MEASURES and MEASURES[name].spectra == "hessian")
    if spectral:
        seconds = PRODUCT_PASSES * settings.max_products * a_pass
        yield MeasuringTask("all_layers", spectral, SpectraOf.WHOLE, seconds)
