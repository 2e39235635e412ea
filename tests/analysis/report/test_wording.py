import math

from analysis.report.wording import column_name, layer_name, measure_name, p_text, signed, with_interval


def test_measures_and_layers_have_names() -> None:
    assert column_name("renyi", 1.5, "conv1.weight") == "Rényi sharpness α = 1.5 of conv1"
    assert column_name("trace", math.nan, "all") == "Hessian trace of all layers"
    assert measure_name("sam", 0.05) == "SAM sharpness ρ = 0.05"
    assert [layer_name(layer) for layer in ("conv1.weight", "all", "any")] == ["conv1", "all layers", "any layer"]
    assert measure_name("new_measure") == "new measure"


def test_numbers_have_signs_and_missing_ones_are_a_dash() -> None:
    assert (signed(-0.204), signed(0.2), signed(math.nan)) == ("−0.20", "+0.20", "–")
    assert with_interval(0.5, 0.3, 0.7) == "+0.50 [+0.30, +0.70]"
    assert (with_interval(0.5, math.nan, math.nan), with_interval(math.nan, 0, 0)) == ("+0.50", "undefined")
    assert [p_text(p) for p in (0.0005, 0.03, 0.4, math.nan)] == ["p < 0.001", "p = 0.030", "p = 0.40", "p undefined"]
