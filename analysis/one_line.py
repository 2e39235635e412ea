"""Errors of any code as one line of plain text, without secrets of addresses in it."""

import re

from analysis.address import without_secrets

_ESCAPES = re.compile(r"\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)?|.)?")


def plain_text(text: str) -> str:
    """The text without colours and other control sequences of terminals; newlines and tabs become blanks."""
    return "".join(each if each.isprintable() else " " * each.isspace() for each in _ESCAPES.sub("", text))


def first_line(error: BaseException) -> str:
    """The first line of an error's text that is not empty."""
    lines = (plain_text(line).strip() for line in str(error).splitlines())
    return without_secrets(next((line for line in lines if line), ""))


def message_of(error: BaseException) -> str:
    """The first line of an error's text, or its type where it has none."""
    return first_line(error) or type(error).__name__


def one_line(error: BaseException) -> str:
    """The type of an error and the first line of its text: `RuntimeError: shapes do not fit`, `KeyboardInterrupt`."""
    text = first_line(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
