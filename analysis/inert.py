"""Text of others made inert, one function a medium: what it holds is shown, and does nothing.

Names of layers, axes, measures and sweeps, tags, reasons and addresses come from files that anybody may have written.
HTML is escaped by Jinja (`autoescape`).
"""

import re
from typing import TYPE_CHECKING

from analysis.one_line import plain_text

if TYPE_CHECKING:
    import pandas as pd

_FORMULA = re.compile(r"\s*[=+\-@|%]|[\t\r\n]")  # how a cell begins that a spreadsheet runs
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
# What begins emphasis, code, links, pictures, cells or formulas; HTML and entities; text of which readers make links.
_MARKDOWN = re.compile(r"[\\`*\[\]|~$]|(?<!\w)_|_(?!\w)")
_HTML = re.compile(r"<(?=[A-Za-z!/?])|&(?=[#\w])")
_LINKS = re.compile(r"(?i)\b(https?|ftp|www)(://|\.)")
_LATEX = str.maketrans(
    {
        "&": r"\&", "%": r"\%", "_": r"\_", "#": r"\#", "$": r"\$", "{": r"\{", "}": r"\}", "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}", "\\": r"\textbackslash{}", "−": r"$-$", "–": "--", "τ": r"$\tau$", "α": r"$\alpha$",
        "ρ": r"$\rho$", "σ": r"$\sigma$", "Ψ": r"$\Psi$", "é": r"\'e", "ℓ": r"$\ell$", "∞": r"$\infty$", "<": "$<$",
        ">": "$>$", "±": r"$\pm$",
    }
)  # fmt: skip


def for_terminal(text: str) -> str:
    """Text without what a terminal obeys: colours, titles, its clipboard; newlines and tabs become blanks."""
    return plain_text(text)


def for_csv(table: "pd.DataFrame", float_format: str | None = None) -> str:
    """The table as CSV whose cells are no formulas: text that begins like one has an apostrophe before it."""
    texts = table.rename(columns=lambda name: cell_for_csv(str(name)))
    for number, kind in enumerate(table.dtypes):
        if kind.kind not in "biufcmM":
            texts.isetitem(number, [_cell(value) for value in table.iloc[:, number]])
    written: str = texts.to_csv(index=False, float_format=float_format)
    return written


def cell_for_csv(text: str) -> str:
    """A text as a cell of CSV."""
    inert = plain_text(text)
    return f"'{inert}" if _FORMULA.match(inert) and not _NUMBER.fullmatch(inert) and inert not in "-–−" else inert


def _cell(value: object) -> object:
    return cell_for_csv(value) if isinstance(value, str) else value


def for_markdown(text: str) -> str:
    """Text in one line of Markdown: no markup, no HTML, no links."""
    inert = _MARKDOWN.sub(r"\\\g<0>", plain_text(text))
    return _LINKS.sub(r"\1<!-- -->\2", _HTML.sub(lambda match: {"<": "&lt;", "&": "&amp;"}[match[0]], inert))


def code_for_markdown(lines: "list[str]", language: str = "sh") -> str:
    """Lines as a block of code, whose fence is longer than any in it."""
    text = "\n".join(plain_text(line) for line in lines)
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", text)), default=0))
    return f"{fence}{language}\n{text}\n{fence}"


def for_latex(text: str) -> str:
    """Text in LaTeX: no commands, and Greek letters and signs as commands of mathematics."""
    return plain_text(text).translate(_LATEX)


def for_script(text: str) -> str:
    r"""Text inside a `script` element of a page; the page's script reads `<\` as `<`."""
    return text.replace("<", "<\\")
