"""Pages of the site that are written from the code: commands with their options, measures, files of the source."""

from pathlib import Path
from typing import Any

import typer

from analysis.measures import MEASURES
from orchestrator.cli import app

LANGUAGES = {".py": "python", ".yaml": "yaml", ".toml": "toml", ".sh": "sh"}
SKIPPED = ("__pycache__",)


def commands_page() -> str:
    """Every command of `renyi`: what its help says, as Markdown."""
    group: Any = typer.main.get_command(app)
    parts = ["# Commands", "What `renyi COMMAND --help` says. `X` is a sweep file, or the name of a shipped sweep."]
    for name, command in group.commands.items():
        parts += [f"## renyi {name}", _unwrapped(command.help or "")]
        rows = [_option(parameter) for parameter in command.params if not getattr(parameter, "hidden", False)]
        parts.append("\n".join(["| argument or option | |", "|---|---|", *rows]))
    return "\n\n".join(parts) + "\n"


def measures_page() -> str:
    """Every measure of the catalogue, as a table."""
    about = "The built-in measures, by the keys that `sharpness.measures` of a sweep file takes; `all` is every one."
    rows = ["| key | title | what it measures | parameter |", "|---|---|---|---|"]
    rows += [
        f"| `{key}` | {_cell(measure.title)} | {_cell(measure.summary)} | {measure.symbol or ''} |"
        for key, measure in MEASURES.items()
    ]
    return f"# Measures\n\n{about}\n\n" + "\n".join(rows) + "\n"


def source_page(root: Path, path: str) -> str:
    """A file of the source, or every file of a folder, as blocks of code."""
    place = root / path
    files = [place] if place.is_file() else sorted(file for file in place.rglob("*") if file.is_file())
    parts = [f"# {path}"]
    for file in files:
        if any(part in SKIPPED for part in file.parts):
            continue
        if place.is_dir():
            parts.append(f"## {file.relative_to(place)}")
        text = file.read_text(encoding="utf-8").rstrip()
        parts.append(f"````{LANGUAGES.get(file.suffix, 'text')}\n{text}\n````")
    return "\n\n".join(parts) + "\n"


def _option(parameter: Any) -> str:
    names = [f"`{name}`" for name in (*parameter.opts, *parameter.secondary_opts) if name.startswith("-")]
    words = ", ".join(names) or f"`{parameter.name.upper()}`"
    return f"| {words} | {_cell(getattr(parameter, 'help', None) or '')} |"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _unwrapped(text: str) -> str:
    return "\n".join(line.strip() for line in text.replace("\b", "").splitlines())
