import io

import pytest
from hypothesis import given
from rich.progress import Progress, TextColumn
from rich.table import Table

from analysis.terminal import InertConsole, titled
from tests.analysis.test_inert import HOSTILE


def printed(*things: object, width: int = 200) -> str:
    file = io.StringIO()
    InertConsole(file=file, width=width, soft_wrap=True).print(*things)
    return file.getvalue()


@given(HOSTILE)
def test_texts_are_shown_and_not_obeyed(text: str) -> None:
    table = Table(text, "b")
    table.add_row(text, text)
    for thing in (text, titled(text, text), table):
        assert all(each.isprintable() or each == "\n" for each in printed(thing))


def test_markup_and_emoji_are_text() -> None:
    assert printed("[/bold] [red]x[/] :smile:") == "[/bold] [red]x[/] :smile:\n"


def test_the_bars_of_a_terminal_show_no_control_characters_of_texts() -> None:
    file = io.StringIO()
    console = InertConsole(file=file, force_terminal=True, width=80)
    with Progress(TextColumn("{task.description}", markup=False), console=console) as bars:
        bars.add_task("a\x1b]52;c;aGk=\x07b[/x]", total=1)
    assert "\x1b]" not in file.getvalue()
    assert "\x07" not in file.getvalue()


@pytest.mark.parametrize("thing", ["at postgresql://me:secret@host/db", titled("x", " http://TOKEN@host")])
def test_no_secrets_of_addresses_are_shown(thing: object) -> None:
    assert "***@host" in printed(thing)
    assert "secret" not in printed(thing)
    assert "TOKEN" not in printed(thing)


def test_names_with_bytes_that_are_no_text_can_be_printed() -> None:
    assert printed("a\udcffb") == "ab\n"
