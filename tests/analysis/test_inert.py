import csv
import io

import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from analysis.inert import cell_for_csv, code_for_markdown, for_csv, for_latex, for_markdown, for_script, for_terminal

# What has been found to be obeyed somewhere, and pieces of it.
HOSTILE = st.lists(
    st.sampled_from(
        [
            *(
                "[/bold]",
                "[red]",
                ":smile:",
                "\x1b]0;title\x07",
                "\x1b]52;c;aGk=\x07",
                "\x1b[2J",
                "\x9b31m",
                "\r",
                "\n",
            ),
            *("=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "|calc", "=cmd|'/c calc'!A0", '"', ",", "'"),
            *("<script>alert(1)</script>", "<!--<script", "-->", "<img src=x onerror=alert(1)>", "&lt;", "</title>"),
            *("[x](javascript:alert(1))", "![x](http://evil/x.png)", "`", "```", "**", "__", "| --- |", "https://evil"),
            *(r"\input{/etc/passwd}", r"\write18{id}", "%", "$", "^^5c", "{", "}", "~", "#", "&", "\\"),
            *("τ", "é", "\u202e", "\u2028", "a", "b_c", " ", "0", ".5"),
        ]
    ),
    max_size=6,
).map("".join)


@given(HOSTILE)
def test_a_terminal_gets_printable_text_alone(text: str) -> None:
    assert for_terminal(text).isprintable()


@given(HOSTILE)
@example("=1+1")
@example("  @x")
def test_a_spreadsheet_finds_no_formula(text: str) -> None:
    table = pd.DataFrame({"a": [text, "x"], text + "b": [1.5, -2.5]})
    rows = list(csv.reader(io.StringIO(for_csv(table))))
    assert len(rows) == 3
    assert [row[1] for row in rows[1:]] == ["1.5", "-2.5"]  # numbers stay numbers
    for cell in (*rows[0], rows[1][0]):
        stripped = cell.lstrip()
        number = stripped.replace(".", "").lstrip("+-").isdigit()
        assert stripped[:1] not in tuple("=+-@|%") or number or not stripped
        assert cell.isprintable()


@pytest.mark.parametrize("text", ["sgd", "-0.5", "+1e-3", "conv 1", "−0.5", "–", ""])
def test_cells_that_are_no_formulas_stay_as_they_are(text: str) -> None:
    assert cell_for_csv(text) == text


@given(HOSTILE)
def test_markdown_shows_the_text_and_nothing_else(text: str) -> None:
    from markdown_it import MarkdownIt  # rich's

    shown = (
        MarkdownIt("commonmark", {"html": True})
        .enable(["table", "strikethrough"])
        .parse(f"- **a**: {for_markdown(text)}")
    )
    inside = [token for each in shown for token in (each.children or [])]
    allowed = {"text", "strong_open", "strong_close", "text_special"}
    comments = [token for token in inside if token.type == "html_inline" and token.content == "<!-- -->"]
    assert {token.type for token in inside} - allowed <= ({"html_inline"} if comments else set())
    content = "".join(token.content for token in inside if token.type in ("text", "text_special"))
    assert content == f"a: {for_terminal(text)}".rstrip()


@given(HOSTILE)
def test_a_fence_is_not_closed_from_inside(text: str) -> None:
    from markdown_it import MarkdownIt

    tokens = MarkdownIt().parse(code_for_markdown([text, "second"]))
    assert [token.type for token in tokens] == ["fence"]


@given(HOSTILE)
def test_latex_has_no_command_of_the_texts(text: str) -> None:
    set_text = for_latex(text)
    for command in ("\\input", "\\write", "^^"):
        assert command not in set_text
    assert not set(set_text.replace("\\%", "").replace("\\#", "")) & set("%#")


@given(HOSTILE)
def test_a_script_element_is_not_left_and_its_text_comes_back(text: str) -> None:
    inside = for_script(text)
    assert not any(mark in inside.lower() for mark in ("</", "<!--", "<script"))
    assert inside.replace("<\\", "<") == text
