"""What MkDocs does here besides: pages from outside `docs/`, pages written from the code, links to the source.

The same Markdown is read on GitHub, so links are those of the repository. On the site a link to a document outside
`docs/`, such as `../CONTRIBUTING.md`, leads to a page made of it, and a link to a file or folder of the source to a
page that shows it. A comment `<!-- ::: analysis.report.judge.judge renyi.judge -->` becomes the documentation of that
name, read from its docstring.
"""

import posixpath
import re
import sys
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]

from from_code import commands_page, measures_page, source_page  # noqa: E402

OUTSIDE = {"README.md": "index.md", **{name: name for name in ("CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")}}
LINK = re.compile(r"(\]\()([^)\s#]+)(#[^)\s]*)?(\))")
CODE = re.compile(r"(^```.*?^```$|`[^`\n]+`)", re.MULTILINE | re.DOTALL)
ELSEWHERE = ("http://", "https://", "mailto:")


def on_files(files: Files, config: Any) -> Files:
    """Add the pages that are no file of `docs/`."""
    written = {"commands.md": commands_page(), "measures.md": measures_page()}
    pages = {page: (ROOT / name).read_text(encoding="utf-8") for name, page in OUTSIDE.items()}
    for page, text in {**written, **pages}.items():
        files.append(File.generated(config, page, content=text))
    texts = {file.src_uri: file.content_string for file in files.documentation_pages()}
    for path in sorted({path for page, text in texts.items() for path in _sources(page, text)}):
        files.append(File.generated(config, _page_of(path), content=source_page(ROOT, path)))
    return files


def on_page_markdown(markdown: str, page: Page, config: Any, files: Files) -> str:
    """Turn the links of the repository into links of the site, and comments into documentation of names."""
    home = posixpath.dirname(_path_of(page.file.src_uri))
    here = posixpath.dirname(page.file.src_uri)

    def turned(match: re.Match[str]) -> str:
        opening, target, anchor, closing = match.groups()
        if target.startswith(ELSEWHERE):
            return match[0]
        path = posixpath.normpath(posixpath.join(home, target))
        return f"{opening}{posixpath.relpath(_page_of(path), here or '.')}{anchor or ''}{closing}"

    parts = CODE.split(markdown)
    text = "".join(part if CODE.fullmatch(part) else LINK.sub(turned, part) for part in parts)
    named = r"^<!-- ::: (\S+) (\S+) -->$"
    text = re.sub(named, r"::: \1\n    options: {heading: \2, toc_label: \2}", text, flags=re.MULTILINE)
    return re.sub(r"^<!-- (?:not run|with|file): .*? -->\n", "", text, flags=re.MULTILINE)


def _path_of(page: str) -> str:
    """Where the text of a page is in the repository."""
    outside = {made: name for name, made in OUTSIDE.items()}
    return outside.get(page, f"docs/{page}")


def _page_of(path: str) -> str:
    """The page, or picture, of the site that shows a file or folder of the repository."""
    if path in OUTSIDE:
        return OUTSIDE[path]
    return path.removeprefix("docs/") if path.startswith("docs/") else f"source/{path}.md"


def _sources(page: str, text: str) -> set[str]:
    """The files and folders of the source that a page links to."""
    home = posixpath.dirname(_path_of(page))
    prose = CODE.sub("", text)
    targets = {match[2] for match in LINK.finditer(prose) if not match[2].startswith(ELSEWHERE)}
    paths = {posixpath.normpath(posixpath.join(home, target)) for target in targets}
    return {path for path in paths if _page_of(path).startswith("source/")}
