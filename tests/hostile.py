"""Stores as somebody hostile would send them: their seals and manifests are right, and what they say is not."""

import io
import json
import pickle
import random
import shutil
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from trainables.trial.manifest import MANIFEST_FILE, Entry, Manifest
from trainables.trial.seal import sealed_json, unsealed_json

MODULE = "their_hostile_module"  # importable where the commands run; its import leaves MARK
MARK = "executed"
TEXTS = [
    *("", "..", "../../outside", "/etc/passwd", "~nouser/x", "a\0b", "\ud800", "x" * 5000, "é\u202e", "\u2028\n"),
    *(
        "[/bold]",
        "\x1b]0;title\x07",
        "\x1b]52;c;aGk=\x07",
        "=cmd|' /c calc'!A0",
        "<!--<script>alert(1)</script>",
        "`id`",
    ),
    *(f"{MODULE}.build", "s3://b/t?endpoint_override=127.0.0.1:1", "http://127.0.0.1:1/x", "runs:/x", "models:/m/1"),
]
VALUES: list[Any] = [
    *(*TEXTS, None, True, -1, 0, 10**400, -(2**63) - 1, 1e308, float("nan"), float("inf"), [], {}, [[]], {"a": None}),
    *([1] * 1000, {"__class__": "x"}, [["x"] * 3] * 3),
]


class Runs:
    """A pickle that runs a module."""

    def __reduce__(self) -> tuple[Callable[[str], object], tuple[str]]:
        return __import__, (MODULE,)


def attack(sweep: Path, draw: random.Random) -> str:
    """Do one hostile thing to a sweep's folder; what it was, and where."""
    kind = draw.choice([_json, _json, _json, _deep, _tables, _pickled, _bomb, _link, _folder, _names])
    return f"{kind.__name__.strip('_')}: {kind(sweep, draw)}"


def _some(sweep: Path, draw: random.Random, pattern: str) -> Path:
    return draw.choice(sorted(path for path in sweep.rglob(pattern) if path.is_file()))


def _json(sweep: Path, draw: random.Random) -> str:
    """Another value at a random place of a random record."""
    path = _some(sweep, draw, "*.json")
    content = _content(sweep, path)
    place, parent, key = draw.choice(list(_places(content)) or [("", content, "new")])
    parent[key] = value = draw.choice(VALUES)
    _write(sweep, path, content)
    return f"{path.relative_to(sweep)}{place} = {value!a:.60}"


def _deep(sweep: Path, draw: random.Random) -> str:
    path = _some(sweep, draw, "*.json")
    path.write_bytes(b'{"a":' + b"[" * 200_000)
    return str(path.relative_to(sweep))


def _tables(sweep: Path, draw: random.Random) -> str:
    """Hostile names, and numbers that are none, in a table."""
    path = _some(sweep, draw, "*.parquet")
    table = pq.read_table(path)
    name = draw.choice(table.column_names)
    text = draw.choice([text for text in TEXTS if text.isprintable() or "\x1b" in text])
    column = pa.array([text] * table.num_rows) if draw.random() < 0.7 else pa.array([None] * table.num_rows)
    buffer = io.BytesIO()
    pq.write_table(table.set_column(table.column_names.index(name), name, column), buffer)
    _replace(sweep, path, buffer.getvalue())
    return f"{path.relative_to(sweep)} {name} = {text!a:.40}"


def _pickled(sweep: Path, draw: random.Random) -> str:
    path = _some(sweep, draw, "*.pt")
    _replace(sweep, path, draw.choice([pickle.dumps(Runs(), protocol=2), _archive(pickle.dumps(Runs(), protocol=2))]))
    return str(path.relative_to(sweep))


def _bomb(sweep: Path, draw: random.Random) -> str:
    path = _some(sweep, draw, "*.pt")
    _replace(sweep, path, _archive(b"\0" * 100_000_000, zipfile.ZIP_DEFLATED))
    return str(path.relative_to(sweep))


def _link(sweep: Path, draw: random.Random) -> str:
    path = draw.choice(sorted(sweep.rglob("*")))
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    target = draw.choice(["/dev/null", "/", "../../outside", "/etc/passwd", "."])
    path.symlink_to(target)
    return f"{path.relative_to(sweep)} -> {target}"


def _folder(sweep: Path, draw: random.Random) -> str:
    """A folder where a file belongs, or a file where a folder does."""
    path = draw.choice(sorted(sweep.rglob("*")))
    if path.is_dir():
        shutil.rmtree(path)
        path.write_text("x")
    else:
        path.unlink()
        path.mkdir()
    return str(path.relative_to(sweep))


def _names(sweep: Path, draw: random.Random) -> str:
    """Names of files and trials that are none."""
    name = draw.choice(["[/bold]", "=1+1", "a\x1b[2Jb", "-rf", "x" * 200, "²3.json", "\udcff", "<script>"])
    folder = draw.choice([path for path in (sweep, *sweep.rglob("*")) if path.is_dir()])
    (folder / name).mkdir() if draw.random() < 0.5 else (folder / name).write_text("{}")
    return f"{folder.relative_to(sweep)}/{name!a}"


def _places(value: Any, place: str = "") -> Iterator[tuple[str, Any, Any]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield f"{place}[{key}]", value, key
        yield from _places(inner, f"{place}[{key}]")


def _place(sweep: Path, path: Path) -> str:
    parts = path.relative_to(sweep).parts
    return "/".join(parts[1:]) if parts[0] == "trials" else "/".join(parts) if parts[0] == "report" else parts[-1]


def _content(sweep: Path, path: Path) -> Any:
    content = json.loads(path.read_bytes())
    return unsealed_json(_place(sweep, path), path.read_bytes()) if isinstance(content, dict) else content


def _write(sweep: Path, path: Path, content: Any) -> None:
    try:
        sealed = isinstance(content, dict) and path.name not in ("spec.json", "samples.json")
        data = sealed_json(_place(sweep, path), content) if sealed else json.dumps(content).encode()
    except (ValueError, UnicodeEncodeError):
        data = repr(content).encode(errors="backslashreplace")
    _replace(sweep, path, data)


def _replace(sweep: Path, path: Path, data: bytes) -> None:
    """Put bytes into a file, and their digest into the manifest beside it."""
    path.write_bytes(data)
    listing = path.parent / MANIFEST_FILE
    if path.name == MANIFEST_FILE or not listing.is_file() or listing.parent == sweep:
        return
    place = _place(sweep, listing)
    manifest = Manifest.from_json(unsealed_json(place, listing.read_bytes()))
    if path.name in manifest.files:
        files = {**manifest.files, path.name: Entry.of(data)}
        listing.write_bytes(sealed_json(place, asdict(Manifest(manifest.written, files, manifest.environment))))


def _archive(data: bytes, kind: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", kind) as archive:
        archive.writestr("archive/data.pkl", data)
        archive.writestr("archive/version", "3")
    return buffer.getvalue()
