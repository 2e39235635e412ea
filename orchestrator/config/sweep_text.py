"""The text of a sweep file as plain values: YAML 1.2, merge keys, and bounds on what a small text may unfold to.

PyYAML (libyaml, where it is there) finds the structure; what a scalar means is decided here, by the core schema of
YAML 1.2.2 (§10.3.2). So `yes`, `1:30`, `1_000` and dates are text. A number with leading zeros, which is octal in one
version of YAML and decimal in the other, is text too, and refused where a number belongs.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import yaml

from orchestrator.config.problems import shown
from orchestrator.errors import UsageError

MAX_BYTES = 8 * 2**20
MAX_DEPTH = 50
MAX_VALUES = 1_000_000  # with aliases unfolded
LARGEST_INTEGER = 2**63 - 1  # in Parquet and in databases
MERGE = "<<"

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_CORE = "tag:yaml.org,2002:"
_SCALAR_TAGS = {"!", *(f"{_CORE}{name}" for name in ("str", "int", "float", "bool", "null"))}
_WORDS = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_DECIMAL = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_IN_BASE = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_LEADING_ZEROS = re.compile(r"[-+]?0[0-9]+")
_INFINITY = re.compile(r"([-+]?)\.(inf|Inf|INF)")
_NOT_A_NUMBER = (".nan", ".NaN", ".NAN")
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


def read_text(path: Path) -> str:
    """The text of a sweep file; a pipe can be read once only.

    Raises:
        UsageError: it can't be read, is no text, or is too large.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise UsageError(f"{path}: is too large for a sweep file, which has at most {MAX_BYTES / 2**20:g} MiB")
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: not a YAML text file in UTF-8: {str(error).splitlines()[0]}") from error
    except OSError as error:
        raise UsageError(f"{path}: can't be read: {error.strerror}") from error


def read_mapping(path: Path, text: str | None = None) -> dict[str, Any]:
    """The mapping in a sweep file, or in its text where that has been read already.

    Raises:
        UsageError: it can't be read, is no YAML mapping, or is beyond the bounds; one line with the number of the line.
    """
    try:
        content = parse(read_text(path) if text is None else text)
    except _RefusedError as error:
        raise UsageError(f"{path}: line {error.line}: {error}") from error
    except yaml.MarkedYAMLError as error:
        line = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise UsageError(f"{path}: {line}not valid YAML: {error.problem}") from error
    except yaml.YAMLError as error:
        raise UsageError(f"{path}: not a YAML text file in UTF-8: {str(error).splitlines()[0]}") from error
    if content is None:
        raise UsageError(f"{path}: is empty; `renyi sweeps` shows files to start from")
    if not isinstance(content, dict):
        raise UsageError(f"{path}: must be a mapping of keys such as name, data, grid; got {type(content).__name__}")
    return content


def parse(text: str) -> Any:
    """The value of a YAML text with one document; mappings have keys of text alone."""
    tree = _Tree()
    for event in yaml.parse(text, Loader=_LOADER):
        tree.add(event)
    return tree.root.value if tree.root else None


class _RefusedError(Exception):
    """What is wrong, and in which line."""

    def __init__(self, line: int, problem: str) -> None:
        super().__init__(problem)
        self.line = line


@dataclass(frozen=True)
class _Node:
    """A value with what the bounds, keys and merges ask about it."""

    value: Any
    line: int
    size: int = 1  # values in it, itself included
    height: int = 1
    text: str | None = None  # of a scalar
    plain: bool = False  # without quotes


@dataclass
class _Collection:
    """A sequence or mapping whose end has not come yet."""

    event: Any
    nodes: list[_Node] = field(default_factory=list)  # of a mapping: key, value, key, value, …


class _Tree:
    """The values of a text, made from the events of the parser without recursion."""

    def __init__(self) -> None:
        self.root: _Node | None = None
        self._open: list[_Collection] = []
        self._anchors: dict[str, _Node | None] = {}  # None: of a collection whose end has not come yet
        self._documents = 0

    def add(self, event: Any) -> None:
        """Take the next event."""
        line = event.start_mark.line + 1
        match event:
            case yaml.DocumentStartEvent():
                self._documents += 1
                if self._documents > 1:
                    raise _RefusedError(line, "a second document begins (---); a sweep file has one")
            case yaml.AliasEvent():
                self._close(self._aliased(str(event.anchor), line), None)
            case yaml.ScalarEvent():
                self._close(_scalar(event, line), event.anchor)
            case yaml.CollectionStartEvent():
                if event.tag not in (None, "!", f"{_CORE}seq", f"{_CORE}map"):
                    _refuse_tag(line, event.tag)
                if event.anchor:
                    self._anchors[event.anchor] = None
                self._open.append(_Collection(event))
                if len(self._open) > MAX_DEPTH:
                    raise _RefusedError(line, f"lists and mappings are nested more than {MAX_DEPTH} deep")
            case yaml.CollectionEndEvent():
                done = self._open.pop()
                make = _sequence if isinstance(done.event, yaml.SequenceStartEvent) else _mapping
                nodes, line = done.nodes, done.event.start_mark.line + 1
                size, height = 1 + sum(node.size for node in nodes), 1 + max((node.height for node in nodes), default=0)
                if size > MAX_VALUES or height > MAX_DEPTH:
                    raise _RefusedError(line, f"aliases unfold it beyond {MAX_VALUES} values or {MAX_DEPTH} levels")
                self._close(_Node(make(nodes), line, size, height), done.event.anchor)

    def _close(self, node: _Node, anchor: str | None) -> None:
        if anchor:
            self._anchors[anchor] = node
        if self._open:
            self._open[-1].nodes.append(node)
        else:
            self.root = node

    def _aliased(self, anchor: str, line: int) -> _Node:
        if anchor not in self._anchors:
            raise _RefusedError(line, f"there is no anchor &{anchor} above *{anchor}")
        node = self._anchors[anchor]
        if node is None:
            raise _RefusedError(line, f"*{anchor} is inside its own anchor &{anchor}")
        return node


def _sequence(nodes: list[_Node]) -> list[Any]:
    return [node.value for node in nodes]


def _mapping(nodes: list[_Node]) -> dict[str, Any]:
    own: dict[str, Any] = {}
    merged: dict[str, Any] | None = None
    for key, node in zip(nodes[::2], nodes[1::2], strict=True):
        if key.text is None:
            raise _RefusedError(key.line, "a key must be a word, not a list or a mapping")
        is_merge = key.plain and key.text == MERGE
        if key.text in own or (is_merge and merged is not None):
            remedy = "; merge several mappings as <<: [*a, *b]" if is_merge else "; keep one"
            raise _RefusedError(key.line, f"the key {shown(key.text)} is given twice{remedy}")
        if is_merge:
            merged = dict(_merges(node))
        else:
            own[key.text] = node.value
    return {**(merged or {}), **own}


def _merges(node: _Node) -> Iterator[tuple[str, Any]]:
    """The keys and values that a merge key brings; of several mappings, the first that has a key comes last."""
    mappings = node.value if isinstance(node.value, list) else [node.value]
    for mapping in reversed(mappings):
        if not isinstance(mapping, dict):
            raise _RefusedError(node.line, f"<<: must be a mapping or a list of them; got {shown(mapping)}")
        yield from mapping.items()


def _scalar(event: Any, line: int) -> _Node:
    text, plain = event.value, event.style is None or event.style == ""
    strange = _UNPRINTABLE.search(text)
    if strange:
        raise _RefusedError(line, f"has the character {strange[0]!a}, which is no text")
    if event.tag is not None and event.tag not in _SCALAR_TAGS:
        _refuse_tag(line, event.tag)
    as_text = not plain if event.tag is None else event.tag in ("!", f"{_CORE}str")
    return _Node(text if as_text else _meaning(text, line), line, text=text, plain=plain)


def _meaning(text: str, line: int) -> Any:
    """A plain scalar by the core schema."""
    if text in _WORDS:
        return _WORDS[text]
    if _DECIMAL.fullmatch(text) or _IN_BASE.fullmatch(text):
        digits = len(str(LARGEST_INTEGER)) + 1
        value = int(text, 0) if len(text.lstrip("+-0xo")) <= digits else LARGEST_INTEGER + 1
        if abs(value) > LARGEST_INTEGER:
            raise _RefusedError(line, f"the integer {shown(text)} is beyond ±{LARGEST_INTEGER}")
        return value
    if _FLOAT.fullmatch(text) and not _LEADING_ZEROS.fullmatch(text):
        return float(text)
    infinity = _INFINITY.fullmatch(text)
    if infinity:
        return float(f"{infinity[1]}inf")
    return float("nan") if text in _NOT_A_NUMBER else text


def _refuse_tag(line: int, tag: str) -> NoReturn:
    raise _RefusedError(line, f"the tag {shown(tag)} has no meaning here; leave it out")
