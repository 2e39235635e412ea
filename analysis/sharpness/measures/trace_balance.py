"""How evenly the Hessian's trace is spread over the layers (Rényi Sharpness, Lemma F.2 and Theorem F.4)."""

import math
from collections.abc import Mapping

from analysis.errors import UndefinedMeasureError
from analysis.schema import ALL_LAYERS, Measurement
from analysis.sharpness.subject import Subject, Values, tabulate


def imbalance(traces: Mapping[str, float], dims: Mapping[str, int]) -> float:
    """Σ_l p_l log(p_l d / d_l) in nats, p_l = Tr H_ll / Σ Tr H, d = Σ d_l.

    R_α of a block-diagonal matrix is Σ_l p_l^α φ_l. For α > 1 its minimum, d^(1−α), is reached if all spectra are
    uniform and p_l = d_l/d. The imbalance is the divergence of the shares p_l from the shares d_l/d. Cost: no pass.

    Args:
        traces: Tr H_ll by layer.
        dims: d_l by layer.

    Raises:
        UndefinedMeasureError: a trace is not positive, as is possible for an indefinite block.

    Source: Rényi Sharpness, Lemma F.2 and Theorem F.4.
    """
    for layer, trace in traces.items():
        if not trace > 0:
            raise UndefinedMeasureError(f"the trace of {layer} is {trace:g}, not positive, so it has no share")
    total, dim = sum(traces.values()), sum(dims[layer] for layer in traces)
    return sum(trace / total * math.log(trace / total * dim / dims[layer]) for layer, trace in traces.items())


def trace_imbalance(subject: Subject, measure: str) -> list[Measurement]:
    """The row of `trace_imbalance`, from the traces that `trace` gives."""

    def values(_: str) -> Values:
        traces, dims = {}, {}
        for layer in subject.layers:
            spectrum = subject.spectra[layer]
            if isinstance(spectrum, UndefinedMeasureError):
                raise spectrum
            traces[layer], dims[layer] = spectrum.trace().value, spectrum.dim
        return {None: (imbalance(traces, dims), None)}

    return tabulate(measure, [ALL_LAYERS], [None], values)
