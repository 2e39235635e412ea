"""Every fenced block of code in the README and the documents: what runs it, or why it is not run.

`python -m tests.snippets` counts them. A comment on the line before a block, which no reader sees, may say
`<!-- not run: the reason -->`; `<!-- with: a setup -->` for Python that needs objects which the reader has (`SETUPS` of
tests/test_snippets.py); or `<!-- file: name -->` for what the reader puts into a file of that name.
"""

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
FENCE = re.compile(
    r"(?:^<!-- (?P<note>not run|with|file): (?P<words>.*?) -->\n)?^```(?P<language>\w+)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
RECIPE = re.compile(r"^`[^`]+`(?: \(new\)|, (?:with the imports|at its end|at the end of `\w+`)):\n\n\Z", re.MULTILINE)

# Commands of a shell that are not run here, by how they begin.
ELSEWHERE = {
    "make": "the continuous integration itself",
    "pip install": "asks a package registry",
    "python3 -m venv": "asks a package registry",
    "~/venv/bin/pip": "asks a package registry",
    ".venv/bin/pip": "asks a package registry",
    "git clone": "needs the address of a repository",
    "python examples/": "tests/examples/test_scripts.py",
    "python benchmarks/": "takes minutes",
    "OMP_NUM_THREADS=1 python benchmarks/": "needs tables that others published",
    "renyi ui": "a server that runs until it is interrupted: tests/orchestrator/tracking/test_ui.py",
    "renyi run optimizers-digits": "takes minutes",
    "renyi run table1-": "takes GPU hours",
    "renyi report table1-": "takes the results of GPU hours",
}


@dataclass(frozen=True)
class Snippet:
    """One block of code of a document."""

    document: Path
    line: int
    language: str
    text: str
    setup: str | None  # the key of the objects that it needs
    file: str | None  # the file that it is
    reason: str | None  # why it is not run here

    @property
    def place(self) -> str:
        """Document and line."""
        return f"{self.document.relative_to(ROOT)}:{self.line}"


@dataclass(frozen=True)
class Command:
    """One command of a block of shell lines."""

    words: str
    reason: str | None


def snippets(document: Path) -> list[Snippet]:
    """The blocks of a document, in order."""
    text = document.read_text(encoding="utf-8")
    found = []
    for match in FENCE.finditer(text):
        note, words = match["note"], match["words"]
        reason = words if note == "not run" else None
        if RECIPE.search(text[: match.start()]):
            reason = "a recipe: tests/test_contributing.py"
        line = text.count("\n", 0, match.start("language")) + 1
        setup, file = (words if note == kind else None for kind in ("with", "file"))
        found.append(Snippet(document, line, match["language"], match["text"], setup, file, reason))
    return found


def commands(snippet: Snippet) -> list[Command]:
    """The commands of a block of shell lines, without comments and with continued lines joined."""
    lines = snippet.text.replace("\\\n", " ").splitlines()
    return [
        Command(_without_comment(line), snippet.reason or _reason(line)) for line in lines if _without_comment(line)
    ]


def _without_comment(line: str) -> str:
    return line.strip() if line.count("'") % 2 else re.split(r"(?:^|\s)#\s", line)[0].strip()


def _reason(line: str) -> str | None:
    if "○" in line:
        return "needs an account or a cluster of one's own"
    if "●" in line or "--cluster" in line:
        return "needs several hosts: tests/hosts"
    words = line.strip()
    return next((reason for start, reason in ELSEWHERE.items() if words.startswith(start)), None)


def counted() -> tuple[Counter[str], Counter[str]]:
    """How many blocks and commands are run, by language; and how many are not, by reason."""
    run: Counter[str] = Counter()
    left: Counter[str] = Counter()
    for document in DOCUMENTS:
        for snippet in snippets(document):
            parts = commands(snippet) if snippet.language == "sh" else [snippet]
            for part in parts:
                if part.reason is None:
                    run[snippet.language] += 1
                else:
                    left[part.reason] += 1
    return run, left


if __name__ == "__main__":
    run, left = counted()
    print(f"run: {run.total()}", *(f"{number:5} {language}" for language, number in run.most_common()), sep="\n")
    print(f"not run here: {left.total()}", *(f"{number:5} {reason}" for reason, number in left.most_common()), sep="\n")
