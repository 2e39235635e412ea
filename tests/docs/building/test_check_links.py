"""Broken links and what is loaded from elsewhere are found in a built site."""

from pathlib import Path

import pytest
from check_links import main, problems_of

GOOD = '<link rel="canonical" href="https://x.example/"><h2 id="a">A</h2><a href="b.html#b">b</a> <a href="#a">a</a>'
OTHER = '<h2 id="b">B</h2><a href="https://arxiv.org/abs/2510.07758">elsewhere, for the reader to follow</a>'


@pytest.fixture
def site(tmp_path: Path) -> Path:
    (tmp_path / "a.html").write_text(GOOD)
    (tmp_path / "b.html").write_text(OTHER)
    return tmp_path


def test_a_site_whose_links_lead_somewhere_passes(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(str(site)) == 0
    assert "2 pages, every link leads somewhere" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('<a href="d.html">d</a>', "c.html: d.html leads nowhere"),
        ('<a href=".">a folder</a>', "c.html: . leads nowhere"),
        ('<a href="a.html#c">c</a>', "c.html: a.html#c has no such heading"),
        ('<img src="pictures/no.png">', "c.html: pictures/no.png leads nowhere"),
        ('<script src="https://cdn.example/x.js"></script>', "c.html: loads https://cdn.example/x.js from elsewhere"),
        ('<link rel="stylesheet" href="//fonts.example/">', "c.html: loads //fonts.example/ from elsewhere"),
    ],
)
def test_what_is_wrong_is_named(site: Path, text: str, problem: str) -> None:
    (site / "c.html").write_text(text)
    assert problems_of(site) == [problem]


def test_a_style_that_fetches_is_named(site: Path) -> None:
    (site / "x.css").write_text("@import url(https://fonts.example/x);")
    assert problems_of(site) == ["x.css: a style from elsewhere"]


def test_an_empty_site_is_no_success(tmp_path: Path) -> None:
    assert main(str(tmp_path)) == 1
