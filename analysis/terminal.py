"""The terminal: what is printed is text. It is never markup, and nothing in it is obeyed or secret."""

from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from analysis.address import without_secrets
from analysis.inert import for_terminal


class InertConsole(Console):
    """A console that takes no markup, shows no secrets of addresses, and prints no control characters of texts."""

    def __init__(self, **options: Any) -> None:
        super().__init__(markup=False, emoji=False, highlight=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        """A string as text of this console; see `Console`."""
        return super().render_str(without_secrets(text), **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """The pieces of what is printed; see `Console`. Those by which rich itself controls the terminal stay."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(_lines(segment.text), segment.style)


def titled(name: str, rest: str) -> Text:
    """A line that begins with a name in bold."""
    return Text.assemble((name, "bold"), without_secrets(rest))


def _lines(text: str) -> str:
    return text if text.isprintable() else "\n".join(map(for_terminal, text.split("\n")))
