"""Results as short text and as HTML, for terminals and notebooks."""

import html
from collections.abc import Iterable, Sequence

MOST_ROWS = 60  # that a result prints or renders; `to_frame` gives all


def number(value: float | None) -> str:
    """Four digits, as people read them."""
    return "" if value is None else f"{value:.4g}"


def with_error(value: float, stderr: float | None) -> str:
    """A value with its standard error, where it has one."""
    return f"{value:.4g} ± {stderr:.1g}" if stderr and stderr == stderr else f"{value:.4g}"


def text_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Columns of equal width, the first rows of them."""
    cells, left_out = _shown(rows)
    widths = [max(map(len, column)) for column in zip(head, *cells, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in (head, *cells)]
    return "\n".join(line.rstrip() for line in lines) + (
        f"\n… and {left_out} more; see .to_frame()" if left_out else ""
    )


def html_table(head: Sequence[str], rows: Iterable[Sequence[str]], caption: str) -> str:
    """A table; every text is escaped."""
    cells, left_out = _shown(rows)
    body = "".join(f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in row)}</tr>" for row in cells)
    heads = "".join(f"<th>{html.escape(name)}</th>" for name in head)
    more = f"<p>… and {left_out} more rows; see <code>.to_frame()</code></p>" if left_out else ""
    table = f"<caption>{html.escape(caption)}</caption><thead><tr>{heads}</tr></thead><tbody>{body}</tbody>"
    return f"<table>{table}</table>{more}"


def _shown(rows: Iterable[Sequence[str]]) -> tuple[list[Sequence[str]], int]:
    cells = list(rows)
    return cells[:MOST_ROWS], max(0, len(cells) - MOST_ROWS)
