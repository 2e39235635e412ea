"""How lines get to the terminal: in whole words at its width; as one line each where the output is no terminal."""

import textwrap
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from rich.text import Text

from analysis.address import without_secrets
from analysis.terminal import InertConsole

console = InertConsole(soft_wrap=True)
stderr_console = InertConsole(soft_wrap=True, stderr=True)
HANG = 2  # columns by which the lines after the first are set in
SECONDS_OF_SILENCE = 2.0  # after which a step that still goes on is named


def say(text: str, indent: int = 2, style: str = "", bold: str = "", whole: bool = False) -> None:
    """Show a text in lines of whole words.

    Args:
        text: one paragraph.
        indent: columns before it.
        style: rich's.
        bold: the beginning of the text that is bold.
        whole: whether it is a command or a path, which is left in one line, so that it can be copied.
    """
    text = without_secrets(text)
    lines = [" " * indent + text]
    if console.is_terminal and not whole:
        lines = textwrap.wrap(
            text,
            max(console.width, 20),
            initial_indent=" " * indent,
            subsequent_indent=" " * (indent + HANG),
            break_long_words=False,
            break_on_hyphens=False,
        ) or [""]
    for number, line in enumerate(lines):
        shown = Text(line, style=style)
        if number == 0 and bold and text.startswith(bold):
            shown.stylize("bold", indent, indent + len(bold))
        console.print(shown)


@contextmanager
def announced(text: str) -> Iterator[None]:
    """A step that is named once it has taken SECONDS_OF_SILENCE; a shorter one passes without a word."""
    timer = threading.Timer(SECONDS_OF_SILENCE, lambda: say(f"{text} …"))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def duration(seconds: float) -> str:
    """`12 s`, `5 min`, `2.5 h`, `3 days`."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    if seconds < 3600:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 48 * 3600 else f"{seconds / 86400:.0f} days"
