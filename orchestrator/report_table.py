"""`renyi report --table`: the verdict on anybody's models, from a file with one row each."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.display import announced, console, show_verdict
from orchestrator.errors import UsageError

if TYPE_CHECKING:
    from analysis.report.report import Report
    from analysis.results.reading import RawTable
    from analysis.results.table import Roles


def report_table(
    file: Path,
    axes: Sequence[str],
    gaps: Sequence[str],
    training_loss: str | None = None,
    measures: Sequence[str] | None = None,
    flip: Sequence[str] = (),
    output: Path | None = None,
    sample: int | None = None,
) -> "Report":
    """Judge a table, show the verdict, and write the report into a folder, by default `NAME-report` beside the file.

    Args:
        file: CSV or Parquet.
        axes, measures, flip: columns, or several separated by commas.
        gaps: the columns to predict; each has its own tables.
        training_loss: the column of the training loss.
        output: the folder.
        sample: judge a random draw of at most this many models.

    Raises:
        TableError: every problem of the table.
        UsageError: the folder can't be written.
    """
    from analysis.report.report import PAGE_FILE, build_table_report
    from analysis.results.reading import read_table
    from analysis.results.table import Roles, check_table, drawn

    raw = read_table(file)
    named = {option: _columns(words, raw) for option, words in (("axes", axes), ("measures", measures), ("flip", flip))}
    ranked = named["measures"] if measures is not None else None
    roles = Roles(named["axes"], _columns(gaps, raw), training_loss, ranked, named["flip"])
    table = check_table(raw, roles, file.stem)
    command = _command(file, roles)
    if sample is not None:
        table, command = drawn(table, sample), f"{command} --sample {sample}"
    with announced(f"judging the measures of {len(table.trials)} models and drawing the report"):
        report = build_table_report(table, [command])
    for name, lines in report.lines.items():
        show_verdict(name, lines, report.targets[name])
    folder = output or file.with_name(f"{file.stem}-report")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in report.files.items():
            (folder / name).write_bytes(data)
    except OSError as error:
        raise UsageError(f"--output {folder}: can't be written: {error.strerror}; name another folder") from error
    console.print(f"  the whole report: {folder / PAGE_FILE}")
    return report


def _columns(words: Sequence[str] | None, raw: "RawTable") -> list[str]:
    """The columns that words name: a word that is a column, or several columns separated by commas."""
    found: list[str] = []
    for word in words or ():
        found += [word] if word in raw.columns else [part.strip() for part in word.split(",") if part.strip()]
    return found


def _command(file: Path, roles: "Roles") -> str:
    """The command that makes the report again."""
    lists = (("--axes", roles.axes), ("--measures", roles.measures or ()), ("--flip", roles.flip))
    words = ["renyi", "report", "--table", str(file)]
    for option, names in lists:
        if any("," in name for name in names):
            words += [word for name in names for word in (option, name)]
        elif names:
            words += [option, ",".join(names)]
    words += [word for gap in roles.gaps for word in ("--gap", gap)]
    words += ["--training-loss", roles.training_loss] if roles.training_loss else []
    return shlex.join(words)
