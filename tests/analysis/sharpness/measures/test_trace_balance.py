import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.errors import UndefinedMeasureError
from analysis.sharpness.measures.trace_balance import imbalance


def test_a_trace_in_proportion_to_size_is_balanced() -> None:
    assert imbalance({"a": 2.0, "b": 6.0}, {"a": 10, "b": 30}) == pytest.approx(0, abs=1e-15)


def test_all_of_the_trace_in_one_of_two_layers_is_worth_the_logarithm_of_its_share() -> None:
    assert imbalance({"a": 1.0, "b": 1e-300}, {"a": 1, "b": 3}) == pytest.approx(math.log(4))


layers = st.lists(st.tuples(st.floats(1e-3, 1e3), st.integers(1, 50)), min_size=1, max_size=6)


@given(layers)
def test_it_is_never_negative_and_has_no_unit(pairs: list[tuple[float, int]]) -> None:
    traces = {str(index): trace for index, (trace, _) in enumerate(pairs)}
    dims = {str(index): dim for index, (_, dim) in enumerate(pairs)}
    value = imbalance(traces, dims)
    assert value >= -1e-12
    scaled = imbalance({layer: 7 * trace for layer, trace in traces.items()}, dims)
    assert scaled == pytest.approx(value, abs=1e-12)


@given(layers, st.floats(1.1, 3))
def test_the_balanced_network_with_uniform_spectra_is_the_flattest(
    pairs: list[tuple[float, int]], order: float
) -> None:
    # Lemma F.2 and Theorem F.4: R_α = Σ p_l^α φ_l ≥ d^(1−α).
    traces, dims = (np.array(column, dtype=np.float64) for column in zip(*pairs, strict=True))
    p = traces / traces.sum()
    phi = dims ** (1 - order)  # uniform spectra
    spectrum = np.concatenate([np.full(int(dim), share / dim) for share, dim in zip(p, dims, strict=True)])
    moment = float((p**order * phi).sum())
    assert moment == pytest.approx(float((spectrum**order).sum()), rel=1e-9)
    assert moment >= dims.sum() ** (1 - order) * (1 - 1e-9)


def test_negative_traces_are_no_shares() -> None:
    with pytest.raises(UndefinedMeasureError, match="trace of b is -1"):
        imbalance({"a": 2.0, "b": -1.0}, {"a": 1, "b": 1})
