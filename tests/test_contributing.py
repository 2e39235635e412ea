"""CONTRIBUTING.md's recipes, applied to a copy of the repository as they are printed: each is complete by itself."""

import ast
import os
import re
import shutil
import subprocess
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
MOST_FILES = 3
SOURCE = (
    "renyi.py",
    "pyproject.toml",
    "analysis",
    "trainables",
    "orchestrator",
    "tests/__init__.py",
    "tests/conftest.py",
    "tests/forked_worker.py",
    "tests/small_pictures.py",
)
SWEEP = """\
name: recipes
data: {dataset: stripes}
model: digits_mlp
training: {epochs: 1, batch_size: 50}
grid:
  - {optimizer: sgd, learning_rate: [0.01, 0.05, 0.1], weight_decay: [1e-4, 1e-2]}
sharpness:
  {samples: 20, orders: [0.5, 1.5], estimator: paired, num_probes: 2, num_matvecs: 5, measures: [renyi, weight_spread]}
"""


@dataclass(frozen=True)
class Step:
    """A block of code, and where a recipe puts it."""

    path: str
    where: str  # "new", "with the imports", "at its end" or "at the end of NAME"
    code: str


def recipes() -> dict[str, list[Step]]:
    """The steps under each heading "To add a …"."""
    parts = re.split(r"^### (To add .*)$", (ROOT / "CONTRIBUTING.md").read_text(), flags=re.MULTILINE)
    pattern = r"^`([^`]+)`(?: \((new)\)|, (with the imports|at its end|at the end of `\w+`)):\n\n```python\n(.*?)^```$"
    return {
        heading: [
            Step(path, new or where.replace("`", ""), code)
            for path, new, where, code in re.findall(pattern, text.split("\n## ")[0], re.MULTILINE | re.DOTALL)
        ]
        for heading, text in zip(parts[1::2], parts[2::2], strict=True)
    }


def apply(step: Step, folder: Path) -> None:
    """Do in a folder what a step says."""
    path = folder / step.path
    if step.where == "new":
        assert not path.exists(), path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(step.code)
        return
    source = path.read_text()
    if step.where == "at its end":
        path.write_text(f"{source}\n\n{step.code}")
        return
    if step.where == "with the imports":
        line = max(
            node.end_lineno or 0 for node in ast.parse(source).body if isinstance(node, ast.Import | ast.ImportFrom)
        )
        lines = source.splitlines(keepends=True)
        path.write_text("".join([*lines[:line], step.code, *lines[line:]]))
        return
    position = end_of_literal(source, step.where.removeprefix("at the end of "))
    before, after = source[:position].rstrip(), source[position:]
    comma = "" if before.endswith((",", "(", "[", "{")) else ","
    path.write_text(f"{before}{comma}\n{textwrap.indent(step.code.rstrip(), ' ' * 8)},\n{after}")


def end_of_literal(source: str, name: str) -> int:
    """Where the closing bracket is of the first tuple, list or dict in what is assigned to a name."""
    assigned = (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Assign | ast.AnnAssign))
    for node in assigned:
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        if node.value is None or not any(isinstance(target, ast.Name) and target.id == name for target in targets):
            continue
        literal = next(part for part in ast.walk(node.value) if isinstance(part, ast.Tuple | ast.List | ast.Dict))
        assert literal.end_lineno is not None
        assert literal.end_col_offset is not None
        lines = source.encode().splitlines(keepends=True)
        before = b"".join(lines[: literal.end_lineno - 1]) + lines[literal.end_lineno - 1][: literal.end_col_offset - 1]
        return len(before.decode())
    raise AssertionError(f"nothing is assigned to {name}")


def copy_of_the_source(folder: Path) -> Path:
    """The source in a folder of its own."""
    for name in SOURCE:
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, target)
        else:
            shutil.copy(ROOT / name, target)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def extended(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the source with every recipe applied, and a sweep file that uses what they add."""
    folder = copy_of_the_source(tmp_path_factory.mktemp("recipes") / "copy")
    for steps in recipes().values():
        for step in steps:
            apply(step, folder)
    (folder / "recipes.yaml").write_text(SWEEP)
    return folder


@pytest.fixture(scope="module")
def report(extended: Path, empty_database: Path) -> Path:
    """The folder of the report, after the sweep was run in the copy."""
    (extended / "storage").mkdir()
    shutil.copy(empty_database, extended / "storage")
    ended = python(extended, "-m", "tests.small_pictures", "run", "recipes.yaml", "--executor", "inline")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "6 trained, 6 measured" in ended.stdout
    return extended / "storage" / "recipes" / "report"


def python(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(folder), "RENYI_STORAGE": str(folder / "storage"), "COLUMNS": "200"}
    environment.pop("RENYI_TRACKING", None)
    return subprocess.run(
        [sys.executable, *words], cwd=folder, env=environment, capture_output=True, text=True, timeout=240, check=False
    )


def test_there_is_a_recipe_for_each_kind() -> None:
    kinds = ("a measure", "a network", "a data set", "a figure", "a table", "an engine")
    assert set(recipes()) >= {f"To add {kind}" for kind in kinds}


@pytest.mark.parametrize("heading", list(recipes()))
def test_a_recipe_changes_at_most_three_files(heading: str, tmp_path: Path) -> None:
    folder = copy_of_the_source(tmp_path)
    before = contents(folder)
    for step in recipes()[heading]:
        apply(step, folder)
    after = contents(folder)
    assert set(before) <= set(after)
    assert 1 < sum(before.get(name) != content for name, content in after.items()) <= MOST_FILES


def test_what_is_added_is_planned(extended: Path) -> None:
    planned = python(extended, "-m", "renyi", "plan", "recipes.yaml").stdout
    assert "6 trials of digits_mlp on stripes" in planned
    assert "weight_spread" in planned


def test_what_is_added_passes_its_own_tests_and_the_static_checks(extended: Path) -> None:
    new = [step.path for steps in recipes().values() for step in steps if step.where == "new"]
    tests = [path for path in new if path.startswith("tests/")]
    assert len(tests) >= 4
    ended = python(extended, "-m", "pytest", "-p", "no:cacheprovider", *tests)
    assert ended.returncode == 0, ended.stdout
    formatted = python(extended, "-m", "ruff", "format", "--check", "--no-cache", *new)
    assert formatted.returncode == 0, formatted.stdout
    python(extended, "-m", "ruff", "format", "--no-cache", ".")  # as a contributor does with what was inserted
    checked = python(extended, "-m", "ruff", "check", "--fix", "--no-cache", ".")
    assert checked.returncode == 0, checked.stdout
    imports = python(extended, "-c", "from importlinter.cli import lint_imports_command as lint; lint()", "--no-cache")
    assert imports.returncode == 0, imports.stdout


def test_what_is_added_is_measured_and_reported(report: Path) -> None:
    page = (report / "report.html").read_text()
    for title in ("spread of the weights", "How far each trial got", "How far apart the trials are"):
        assert title in page
    assert "weight_spread" in (report / "headline.csv").read_text()
    assert "weight_spread" in (report / "ranges.csv").read_text()
    assert (report / "progress.svg").is_file()
