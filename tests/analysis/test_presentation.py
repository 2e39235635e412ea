"""Results as text and HTML."""

from analysis.presentation import MOST_ROWS, html_table, number, text_table, with_error


def test_text_has_columns_and_says_what_is_left_out() -> None:
    text = text_table(("a", "long"), [("1", "2")] * (MOST_ROWS + 3))
    assert text.splitlines()[:2] == ["a  long", "1  2"]
    assert text.endswith("… and 3 more; see .to_frame()")
    assert text_table(("a", "b"), []) == "a  b"


def test_html_is_escaped() -> None:
    page = html_table(("<b>",), [("<script>",)], "a & b")
    assert "<td>&lt;script&gt;</td>" in page
    assert "<th>&lt;b&gt;</th>" in page
    assert "a &amp; b" in page


def test_numbers() -> None:
    assert number(None) == ""
    assert number(1234.567) == "1235"
    assert with_error(1.5, 0.25) == "1.5 ± 0.2"
    assert with_error(1.5, 0.0) == with_error(1.5, None) == with_error(1.5, float("nan")) == "1.5"
