"""Dotted paths: what they lead to, and one line about those that lead to nothing."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from analysis.dotted import import_dotted


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Write `homemade/networks.py`, which is then on the path."""
    monkeypatch.syspath_prepend(tmp_path)
    for name in [name for name in sys.modules if name.startswith("homemade")]:
        monkeypatch.delitem(sys.modules, name)

    def write(text: str) -> None:
        (tmp_path / "homemade").mkdir()
        (tmp_path / "homemade" / "__init__.py").touch()
        (tmp_path / "homemade" / "networks.py").write_text(text)

    return write


def test_it_leads_to_an_object() -> None:
    assert import_dotted("pathlib.Path") is Path


@pytest.mark.parametrize("path", ["", ".", "network", ".x.y", "x..y", "x.y.", "a-b.c", "a b.c", "../x.py"])
def test_what_is_no_path_is_said_to_be_none(path: str) -> None:
    with pytest.raises(ImportError, match=r"^it is not a dotted path such as"):
        import_dotted(path)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        (
            "homemade.networks.Tinny",
            r"homemade.networks \(.*networks.py\) has no 'Tinny'; did you mean homemade.networks.Tiny\?$",
        ),
        ("homemade.networks.zzz", r"has no 'zzz'$"),
        (
            "homemade.netwroks.Tiny",
            r"^No module named 'homemade.netwroks'; did you mean homemade.networks.Tiny\?; the package",
        ),
        ("homemde.networks.Tiny", r"^No module named 'homemde'; did you mean homemade.networks.Tiny\?; the package"),
        ("homemade.networks.Tiny.inner", r"^No module named 'homemade.networks.Tiny'"),
        ("qqqqqq.networks.Tiny", r"^No module named 'qqqqqq'; the package must be installed, beside the sweep file"),
    ],
)
def test_the_nearest_name_is_given(package: Callable[[str], None], path: str, message: str) -> None:
    package("class Tiny: pass\n")
    with pytest.raises(ImportError, match=message):
        import_dotted(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "\nimport not_there_at_all\n",
            r"^No module named 'not_there_at_all', which .*networks.py, line 2 imports; install",
        ),
        ("from pathlib import Pth\n", r"^ImportError: cannot import name 'Pth' .*networks.py, line 1\)$"),
        ("def f(:\n", r"^SyntaxError: .*networks.py, line 1\)$"),
        ("x = 1\ny = x / 0\n", r"^ZeroDivisionError: division by zero \(.*networks.py, line 2\)$"),
        ("raise ValueError('\\n\\x1b[1mnot\\x1b[0m so\\nmore')\n", r"^ValueError: not so \(.*networks.py, line 1\)$"),
    ],
)
def test_a_module_that_fails_is_told_with_its_line(package: Callable[[str], None], text: str, message: str) -> None:
    package(text)
    with pytest.raises(ImportError, match=message):
        import_dotted("homemade.networks.Tiny")
