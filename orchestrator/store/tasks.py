"""How the measurement of a trial is divided among actors: only where nothing shared is computed twice."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass

from analysis.settings import AVERAGE, N_STEP, SPECTRAL, SharpnessSettings, SpectraOf
from orchestrator.store.cost import flops_a_second
from trainables.catalogue import MODEL_SIZES
from trainables.trial.specs import TrialSpec

LEAST_SECONDS = 30.0  # of a task of its own: loading and checking a network anew costs a few
PAC_BAYES = ("pacbayes_flat", "pacbayes_orig")  # from the same noise
PAC_BAYES_MAGNITUDE = ("pacbayes_mag_flat", "pacbayes_mag_init", "pacbayes_mag_orig")
PRODUCT_PASSES = 5  # of a Hessian-vector product, in forward passes
GRADIENT_PASSES = 3  # of a loss with its gradient, in forward passes


@dataclass(frozen=True)
class MeasuringTask:
    """A part of one trial's measurement that one actor does by itself, with a result of its own in the store."""

    name: str
    measures: tuple[str, ...]
    spectra_of: SpectraOf
    seconds: float = 0.0  # expected; what tasks are sorted by

    @property
    def key(self) -> str:
        """What its files are called by: another division of the work never takes this one's part for its own."""
        content = json.dumps([sorted(self.measures), self.spectra_of.value])
        return f"{self.name}-{hashlib.sha256(content.encode()).hexdigest()[:8]}"


def whole(settings: SharpnessSettings) -> MeasuringTask:
    """All of a measurement as one task."""
    return MeasuringTask("everything", settings.measures, SpectraOf.EVERY)


def divide(spec: TrialSpec, settings: SharpnessSettings, gpu: bool = False) -> list[MeasuringTask]:
    """The tasks of a trial's measurement, longest first.

    What is long enough and shares nothing with the rest becomes a task of its own: the Hessian of all layers at once,
    each n-step measure, average sharpness, the search for each kind of PAC-Bayes noise, Haar perturbations. The rest
    stays together: layers share a factor pass, one-step measures a gradient. A network that is measured within
    seconds, or whose size is not known, is one task.
    """
    size = MODEL_SIZES.get((spec.model, spec.data.dataset))
    if size is None:
        return [whole(settings)]
    a_pass = size.flops * settings.samples / flops_a_second(gpu)
    dear = [task for task in _separable(settings, a_pass) if task.seconds >= LEAST_SECONDS]
    if not dear:
        return [whole(settings)]
    taken = {name for task in dear if task.spectra_of is not SpectraOf.WHOLE for name in task.measures}
    rest = tuple(name for name in settings.measures if name not in taken)
    spectral = any(task.spectra_of is SpectraOf.WHOLE for task in dear)
    seconds = PRODUCT_PASSES * settings.max_products * a_pass * (1 if spectral else 2)
    tasks = [*dear, MeasuringTask("layers", rest, SpectraOf.LAYERS if spectral else SpectraOf.EVERY, seconds)]
    return sorted((task for task in tasks if task.measures), key=lambda task: -task.seconds)


def _separable(settings: SharpnessSettings, a_pass: float) -> Iterable[MeasuringTask]:
    """What could be done apart, with the seconds that it takes."""
    worst_case, average, search, haar = settings.worst_case, settings.average, settings.pac_bayes, settings.haar
    groups: dict[tuple[str, ...], float] = {
        (name,): GRADIENT_PASSES * worst_case.num_steps * len(worst_case.rhos(name)) for name in N_STEP
    }
    groups |= {(name,): average.num_draws * len(average.sigmas) for name in AVERAGE}
    groups |= dict.fromkeys((PAC_BAYES, PAC_BAYES_MAGNITUDE), (search.num_halvings + 1) * search.num_draws)
    groups[("haar_loss",)] = haar.num_draws * len(haar.rhos)
    for names, passes in groups.items():
        wanted = tuple(name for name in settings.measures if name in names)
        if wanted:
            yield MeasuringTask(wanted[0], wanted, SpectraOf.EVERY, passes * a_pass)
    spectral = tuple(name for name in settings.measures if name in SPECTRAL)
    if spectral:
        seconds = PRODUCT_PASSES * settings.max_products * a_pass
        yield MeasuringTask("all_layers", spectral, SpectraOf.WHOLE, seconds)
