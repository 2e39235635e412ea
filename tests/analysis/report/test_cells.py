import math

import pandas as pd
import pytest

from analysis.report.cells import cell, explanation, header, latex, markdown
from analysis.report.optimizers import Score

TABLE = pd.DataFrame(
    {"measure": ["renyi", "a_b|c"], "tau_b": [-0.5, math.nan], "p_value": [0.0004, 0.25], "n": [30, 1]}
)


@pytest.mark.parametrize(
    ("column", "value", "text", "key"),
    [
        ("tau_b", -0.5, "−0.50", -0.5),
        ("p_value", 0.0004, "< 0.001", 0.0004),
        ("n", 30, "30", 30.0),
        ("noise", 0.12345, "0.123", 0.12345),
        ("information", 0.000309, "0.000", 0.000309),
        ("noise", math.nan, "–", math.inf),
        ("parameter", math.nan, "", math.inf),
        ("layer", "conv1.weight", "conv1", "conv1"),
        ("measure", "trace", "Hessian trace", "hessian trace"),
        ("along weight_decay", 0.25, "+0.25", 0.25),
    ],
)
def test_cells_have_a_text_and_a_key_to_sort_by(column: str, value: object, text: str, key: object) -> None:
    found = cell(column, value)
    assert (found.text, found.key) == (text, key)


def test_headers_are_explained() -> None:
    assert header("nested_tau") == "nested τ"
    assert "all other trials" in explanation("nested_tau")
    assert (header("unknown"), explanation("unknown")) == ("unknown", "")


def test_markdown_and_latex_hold_the_same_cells() -> None:
    assert markdown(TABLE).splitlines() == [
        "| measure | τ | p | N |",
        "| --- | ---: | ---: | ---: |",
        "| Rényi sharpness | −0.50 | < 0.001 | 30 |",
        r"| a_b\|c | – | 0.250 | 1 |",
    ]
    text = latex(TABLE, "50 % of it", "tau")
    assert r"\begin{tabular}{lrrr}" in text
    assert r"R\'enyi sharpness & $-$0.50 & $<$ 0.001 & 30 \\" in text
    assert r"a\_b|c & -- & 0.250 & 1 \\" in text
    assert r"\caption{50 \% of it}\label{tab:tau}" in text


def test_the_best_score_is_bold_and_what_stands_beside_it_is_not() -> None:
    table = pd.DataFrame([{"optimizer": "rsam", "sam": Score(97.126, 0.061, True, "96.95±0.05"), "eigen_sam": None}])
    assert markdown(table).splitlines() == [
        "| optimizer | SAM | Eigen-SAM |",
        "| --- | ---: | ---: |",
        "| RSAM | **97.13 ± 0.06** (96.95±0.05) | – |",
    ]
    assert r"RSAM & \textbf{97.13 $\pm$ 0.06} (96.95$\pm$0.05) & -- " in latex(table, "", "table1")
    assert cell("sam", Score(97.126, math.nan, False, "")).text == "97.13"
