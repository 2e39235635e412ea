"""Check the pages of a built site: every link leads to a page and heading that exist, nothing is loaded from elsewhere.

    python docs/building/check_links.py build/docs

A link to another site is left to the reader; a script, style, picture or font from there is an error, because the pages
must be complete without a network. Exit code 1 where something is wrong.
"""

import re
import sys
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

LOADING = {"script": "src", "img": "src", "iframe": "src", "source": "src", "link": "href"}  # unlike `a`, at once
OF_SERVERS = "404.html"  # is shown under any address, so its links begin at the root
HARMLESS = ("canonical", "next", "prev")  # kinds of `link` that load nothing
ELSEWHERE = re.compile(r"""url\(\s*["']?(?:https?:)?//|@import\s+["'](?:https?:)?//""")


@dataclass
class Found(HTMLParser):
    """What one page has: its anchors, its links, and what it loads."""

    anchors: set[str] = field(default_factory=set)
    links: list[str] = field(default_factory=list)
    loaded: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an opening tag."""
        given = {name: value or "" for name, value in attrs}
        self.anchors |= {given[name] for name in ("id", "name") if name in given}
        if tag == "a" and given.get("href"):
            self.links.append(given["href"])
        if tag in LOADING and given.get(LOADING[tag]) and given.get("rel") not in HARMLESS:
            self.loaded.append(given[LOADING[tag]])


def read(page: Path) -> Found:
    """The links and anchors of a page."""
    found = Found()
    found.feed(page.read_text(encoding="utf-8"))
    return found


def problems_of(site: Path) -> list[str]:
    """A line for every broken link, and for everything that a page or style loads from elsewhere."""
    pages = {page.resolve(): read(page) for page in sorted(site.rglob("*.html")) if page.name != OF_SERVERS}
    problems = [] if pages else [f"{site}: no page is there"]
    for page, found in pages.items():
        name = page.relative_to(site.resolve())
        for target in [*found.links, *found.loaded]:
            address = urlsplit(target)
            if address.scheme or address.netloc:
                if target in found.loaded and address.scheme != "data":
                    problems.append(f"{name}: loads {target} from elsewhere")
                continue
            place = (page.parent / unquote(address.path)).resolve() if address.path else page
            if not place.is_file():
                problems.append(f"{name}: {target} leads nowhere")
            elif address.fragment and place in pages and unquote(address.fragment) not in pages[place].anchors:
                problems.append(f"{name}: {target} has no such heading")
    styles = (path for path in site.rglob("*.css") if ELSEWHERE.search(path.read_text(encoding="utf-8")))
    return [*problems, *(f"{path.relative_to(site)}: a style from elsewhere" for path in styles)]


def main(folder: str) -> int:
    """Print the problems of a site; the exit code."""
    site = Path(folder)
    problems = problems_of(site)
    print("\n".join(problems) or f"{folder}: {len(list(site.rglob('*.html')))} pages, every link leads somewhere")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
