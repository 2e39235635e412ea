"""Sweep files drawn at random, bytes and almost valid ones: a plan or exit code 2, no traceback, nothing written."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from orchestrator.cli import app
from orchestrator.config.load import load
from orchestrator.errors import UsageError
from orchestrator.exit_codes import ExitCode
from tests.conftest import SMALL_SWEEP

HOSTILE = [
    *("", "..", "~", "~nouser/x", "mlflow.db", "a b", "$NOWHERE", "$$", "${", "http://[", "s3://", "file:", ".x", "x."),
    *("yes", "1:30", "010", "1_000", "1e400", ".inf", "[/bold]", "x" * 500, "é\u202e", "<<", "\u2028", "%s{0}"),
    *(True, None, 0, -1, 2**63 - 1, 1.5, float("inf"), float("nan"), -0.0, 1e308),
]
KEYS = [*("name", "data", "model", "training", "grid", "seeds", "sharpness", "resources", "storage", "tracking", "x-a")]
VALUES = st.recursive(
    st.sampled_from(HOSTILE) | st.text(max_size=8) | st.integers() | st.floats(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=6,
)
SMALL = yaml.safe_load(SMALL_SWEEP)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to every value inside a value."""
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield (*path, key)
        yield from places(inner, (*path, key))


@st.composite
def almost_valid(draw: st.DrawFn) -> str:
    """The small sweep with one to three of its values replaced, or keys added."""
    content = yaml.safe_load(SMALL_SWEEP)
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(list(places(content))))
        inner = content
        for key in path[:-1]:
            inner = inner[key]
        if isinstance(inner, dict) and draw(st.booleans()):
            inner[draw(st.sampled_from(KEYS) | st.text(max_size=4))] = draw(VALUES)
        else:
            inner[path[-1]] = draw(VALUES)
    return yaml.safe_dump(content, allow_unicode=draw(st.booleans()))


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """The text of the small sweep with a piece of it replaced by other bytes."""
    data = SMALL_SWEEP.encode()
    start = draw(st.integers(0, len(data)))
    syntax = st.text(alphabet="[]{}&*!|>'\"%@`-?:,#<~ \n\t\\\0", max_size=6).map(str.encode)
    return data[:start] + draw(st.binary(max_size=6) | syntax) + data[start + draw(st.integers(0, 8)) :]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The current folder and the home, in which nothing may appear but the sweep file."""
    folder = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(folder))
        patch.setenv("RENYI_STORAGE", str(folder / "storage"))
        patch.chdir(folder)
        yield folder


def check(home: Path, data: bytes) -> None:
    (home / "sweep.yaml").write_bytes(data)
    problems: tuple[str, ...] = ()
    try:
        load("sweep.yaml")
    except UsageError as error:
        problems = error.problems
    assert all(problem and "\n" not in problem and len(problem) < 1000 for problem in problems)
    assert [path.name for path in home.iterdir()] == ["sweep.yaml"]


quickly = settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


@quickly
@given(data=st.binary(max_size=60) | damaged())
def test_any_bytes(home: Path, data: bytes) -> None:
    check(home, data)


@quickly
@given(text=almost_valid() | VALUES.map(lambda value: yaml.safe_dump(value)))
def test_any_structure(home: Path, text: str) -> None:
    check(home, text.encode("utf-8", "surrogatepass"))


@settings(quickly, max_examples=15)
@given(text=almost_valid())
def test_the_command_ends_with_a_plan_or_with_exit_code_2(home: Path, text: str) -> None:
    (home / "sweep.yaml").write_bytes(text.encode("utf-8", "surrogatepass"))
    result = CliRunner().invoke(app, ["plan", "sweep.yaml"])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code in (ExitCode.ALL_MEASURED, ExitCode.BAD_INPUT)
    assert [path.name for path in home.iterdir()] == ["sweep.yaml"]
