"""The measures that Rényi sharpness is held against, each as rows of a subject; passes that several need are shared."""

from functools import partial

from torch import Tensor

from analysis.errors import UndefinedMeasureError
from analysis.schema import ALL_LAYERS, Measurement
from analysis.sharpness.landscape import Landscape
from analysis.sharpness.measures.average import average_sharpness
from analysis.sharpness.measures.fisher_rao import fisher_rao_norm
from analysis.sharpness.measures.haar import haar_loss
from analysis.sharpness.measures.n_step import worst_case_sharpness
from analysis.sharpness.measures.norms import l2_norms
from analysis.sharpness.measures.one_step import Ball, one_step_sharpnesses
from analysis.sharpness.measures.pac_bayes import (
    NoiseLevel,
    find_noise_level,
    magnitude_aware_bound,
    origin_bound,
    reference_weights,
)
from analysis.sharpness.measures.trace_balance import trace_balance
from analysis.sharpness.subject import Subject, Values, tabulate

ONE_STEP = ("sam", "asam", "sam_linf", "asam_linf")
N_STEP_SUFFIX = "_n"


def l2(subject: Subject) -> list[Measurement]:
    """`l2`."""
    norms = l2_norms(subject.model)

    def values(block: str) -> Values:
        return {None: (norms[None if block == ALL_LAYERS else block], 0.0)}

    return tabulate("l2", subject.blocks("l2"), [None], values)


def fisher_rao(subject: Subject) -> list[Measurement]:
    """`fisher_rao`."""

    def values(block: str) -> Values:
        return {None: (fisher_rao_norm(subject.landscape(block)), 0.0)}

    return tabulate("fisher_rao", subject.blocks("fisher_rao"), [None], values)


def one_step(measure: str, subject: Subject) -> list[Measurement]:
    """`sam`, `asam`, `sam_linf`, `asam_linf`: all that are asked for come from the same gradient."""

    def values(block: str) -> Values:
        rises = subject.shared(_all_one_step)[block, measure]
        if isinstance(rises, UndefinedMeasureError):
            raise rises
        return {rho: (rise, 0.0) for rho, rise in rises.items()}

    return tabulate(measure, subject.blocks(measure), subject.settings.worst_case.rhos(measure), values)


def n_step(measure: str, subject: Subject) -> list[Measurement]:
    """`sam_n`, `asam_n`, `sam_linf_n`, `asam_linf_n`, over the same ρ as one step."""
    worst_case = subject.settings.worst_case
    rhos = worst_case.rhos(measure)
    ball = _ball(measure)

    def values(block: str) -> Values:
        rise = partial(worst_case_sharpness, subject.landscape(block), ball)
        return {rho: (rise(rho, worst_case.num_steps, worst_case.batch_size), 0.0) for rho in rhos}

    return tabulate(measure, subject.blocks(measure), rhos, values)


def average(measure: str, subject: Subject) -> list[Measurement]:
    """`avg` and `avg_adaptive`."""
    settings = subject.settings.average
    adaptive = measure == "avg_adaptive"

    def values(block: str) -> Values:
        landscape = subject.landscape(block)
        return average_sharpness(landscape, settings.sigmas, adaptive, settings.num_draws, subject.settings.seed)

    return tabulate(measure, subject.blocks(measure), settings.sigmas, values)


def pac_bayes_flatness(measure: str, subject: Subject) -> list[Measurement]:
    """`pacbayes_flat` and `pacbayes_mag_flat`."""
    noise = _magnitude_aware_noise if measure == "pacbayes_mag_flat" else _plain_noise
    return tabulate(measure, [ALL_LAYERS], [None], lambda _: {None: subject.shared(noise).flatness})


def pac_bayes_origin(subject: Subject) -> list[Measurement]:
    """`pacbayes_orig`, with the noise of `pacbayes_flat`."""

    def values(_: str) -> Values:
        noise, (landscape, _start) = subject.shared(_plain_noise), subject.shared(_reference)
        bound = partial(origin_bound, landscape.weights, num_samples=landscape.num_samples)
        return {None: noise.carried_through(bound)}

    return tabulate("pacbayes_orig", [ALL_LAYERS], [None], values)


def pac_bayes_magnitude_aware(measure: str, subject: Subject) -> list[Measurement]:
    """`pacbayes_mag_init` and `pacbayes_mag_orig`, with the noise of `pacbayes_mag_flat`."""

    def values(_: str) -> Values:
        noise, (landscape, start) = subject.shared(_magnitude_aware_noise), subject.shared(_reference)
        if start is None:
            raise UndefinedMeasureError("the initial weights are not known; hand them over as `initial`")
        bound = partial(
            magnitude_aware_bound,
            landscape.weights,
            start,
            num_samples=landscape.num_samples,
            from_initial=measure == "pacbayes_mag_init",
        )
        return {None: noise.carried_through(bound)}

    return tabulate(measure, [ALL_LAYERS], [None], values)


def haar(subject: Subject) -> list[Measurement]:
    """`haar_loss`."""
    settings = subject.settings.haar

    def values(block: str) -> Values:
        landscape = subject.landscape(block)
        return {rho: haar_loss(landscape, rho, settings.num_draws, subject.settings.seed) for rho in settings.rhos}

    return tabulate("haar_loss", [ALL_LAYERS], settings.rhos, values)


def trace_imbalance(subject: Subject) -> list[Measurement]:
    """`trace_imbalance`, of the traces that `trace` gives."""

    def values(_: str) -> Values:
        traces, dims = {}, {}
        for layer in subject.layers:
            spectrum = subject.spectra[layer]
            if isinstance(spectrum, UndefinedMeasureError):
                raise spectrum
            traces[layer], dims[layer] = spectrum.trace().value, spectrum.dim
        return {None: (trace_balance(traces, dims).imbalance, None)}

    return tabulate("trace_imbalance", [ALL_LAYERS], [None], values)


def _ball(measure: str, eta: float = 0.0) -> Ball:
    norm = "linf" if measure.removesuffix(N_STEP_SUFFIX).endswith("linf") else "l2"
    return Ball(norm, measure.startswith("asam"), eta)  # type: ignore[arg-type]  # one of the two


def _all_one_step(subject: Subject) -> dict[tuple[str, str], dict[float, float] | UndefinedMeasureError]:
    """Every one-step measure that is asked for, from one gradient for each set of blocks."""
    settings = subject.settings.worst_case
    wanted = [measure for measure in ONE_STEP if measure in subject.settings.measures]
    rises: dict[tuple[str, str], dict[float, float] | UndefinedMeasureError] = {}
    for blocks in dict.fromkeys(tuple(subject.blocks(measure)) for measure in wanted):
        steps = {
            measure: (_ball(measure, settings.eta if measure == "asam" else 0.0), settings.rhos(measure))
            for measure in wanted
            if tuple(subject.blocks(measure)) == blocks
        }
        landscapes = {block: subject.landscape(block) for block in blocks}
        rises |= one_step_sharpnesses(landscapes, steps, settings.batch_size)
    return rises


def _reference(subject: Subject) -> tuple[Landscape, Tensor | None]:
    """What noise is put on: the landscape of all weights, and the initial weights, where they are known."""
    landscape = subject.landscape(ALL_LAYERS)
    return reference_weights(landscape, subject.initial, subject.settings.pac_bayes.fold_batch_norm)


def _plain_noise(subject: Subject) -> NoiseLevel:
    landscape, _ = subject.shared(_reference)
    return find_noise_level(landscape, False, subject.settings.pac_bayes, subject.settings.seed)


def _magnitude_aware_noise(subject: Subject) -> NoiseLevel:
    landscape, _ = subject.shared(_reference)
    return find_noise_level(landscape, True, subject.settings.pac_bayes, subject.settings.seed)
