"""How evenly the Hessian's trace is spread over the layers (Rényi Sharpness, Lemma F.2 and Theorem F.4)."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from analysis.errors import UndefinedMeasureError


@dataclass(frozen=True)
class TraceBalance:
    """Each layer's trace against its size."""

    per_parameter: dict[str, float]  # Tr H_ll / d_l by layer: all equal at the optimum of Theorem F.4
    imbalance: float  # nats; 0 where every layer has the share of the trace that it has of the parameters


def trace_balance(traces: Mapping[str, float], dims: Mapping[str, int]) -> TraceBalance:
    """Σ_l p_l log(p_l d / d_l), p_l = Tr H_ll / Σ Tr H, d = Σ d_l, and Tr H_ll / d_l of every layer.

    R_α of a block-diagonal matrix is Σ_l p_l^α φ_l, for α > 1 least, d^(1−α), where all spectra are uniform and
    p_l = d_l/d. The imbalance is the divergence of the one share from the other. No pass.

    Args:
        traces: Tr H_ll by layer.
        dims: d_l by layer.

    Raises:
        UndefinedMeasureError: a trace is not positive, as that of an indefinite block may be.

    Source: Rényi Sharpness, Lemma F.2 and Theorem F.4.
    """
    for layer, trace in traces.items():
        if not trace > 0:
            raise UndefinedMeasureError(f"the trace of {layer} is {trace:g}, not positive, so it is no share")
    total, dim = sum(traces.values()), sum(dims[layer] for layer in traces)
    imbalance = sum(trace / total * math.log(trace / total * dim / dims[layer]) for layer, trace in traces.items())
    return TraceBalance({layer: trace / dims[layer] for layer, trace in traces.items()}, imbalance)
