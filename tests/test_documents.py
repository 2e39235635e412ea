"""The documents: links lead somewhere, files and commands that are named exist, versions agree."""

import re
import subprocess
import sys
import tomllib
from importlib.metadata import requires
from importlib.metadata import version as installed
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]
FILE_ENDS = (".py", ".md", ".yaml", ".toml", ".cff", ".txt", ".sh")


def ids(path: Path) -> str:
    return str(path.relative_to(ROOT))


def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def prose_of(path: Path) -> str:
    """A document without its blocks of code."""
    return re.sub(r"^```.*?^```$", "", text_of(path), flags=re.MULTILINE | re.DOTALL)


def anchors_of(path: Path) -> set[str]:
    """The anchors that GitHub gives to the headings of a document."""
    headings = re.findall(r"^#+ (.*)$", prose_of(path), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def project() -> dict[str, object]:
    content: dict[str, object] = tomllib.loads(text_of(ROOT / "pyproject.toml"))["project"]
    return content


@pytest.mark.parametrize("document", DOCUMENTS, ids=ids)
def test_every_link_leads_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", prose_of(document)):
        if target.startswith(("http://", "https://")):
            continue
        name, _, anchor = target.partition("#")
        path = (document.parent / name).resolve() if name else document
        assert path.exists(), target
        assert not anchor or anchor in anchors_of(path), target


@pytest.mark.parametrize("document", DOCUMENTS, ids=ids)
def test_every_file_that_is_named_exists(document: Path) -> None:
    text = re.sub(r"^`[^`]+` \(new\):$", "", prose_of(document), flags=re.MULTILINE)  # of a recipe
    top = {path.name for path in ROOT.iterdir()}
    for name in re.findall(r"`([\w./-]+)`", text):
        inside = "/" in name and name.split("/")[0] in top
        if inside or ("/" not in name and name.endswith(FILE_ENDS)):
            beside = document.parent / name
            tree = [path for path in (ROOT / name, beside) if path.exists()]
            assert tree or (not inside and any(ROOT.glob(f"[a-z]*/**/{name}"))), name


@pytest.mark.parametrize("document", DOCUMENTS, ids=ids)
def test_every_command_that_is_named_exists(document: Path, commands: set[str]) -> None:
    code = re.findall(r"`([^`\n]+)`", prose_of(document))
    code += re.findall(r"^```sh\n(.*?)^```$", text_of(document), flags=re.MULTILINE | re.DOTALL)
    named = {name for part in code for name in re.findall(r"(?<![\w/.-])renyi ([a-z_]+)", part)}
    assert named <= commands


@pytest.fixture(scope="module")
def commands() -> set[str]:
    """The names of all commands."""
    from orchestrator.cli import app

    return {command.name or command.callback.__name__ for command in app.registered_commands if command.callback}


def test_the_readme_has_every_command_and_links_every_document(commands: set[str]) -> None:
    readme = text_of(ROOT / "README.md")
    assert {name for name in commands if f"`renyi {name}" not in readme} == set()
    linked = {(ROOT / target.partition("#")[0]).resolve() for target in re.findall(r"\]\(([^)\s]+)\)", readme)}
    assert {document for document in DOCUMENTS if document.name != "README.md"} <= linked


def test_versions_agree() -> None:
    version = project()["version"]
    citation = yaml.safe_load(text_of(ROOT / "CITATION.cff"))
    assert citation["version"] == version
    assert citation["cff-version"] == "1.2.0"
    assert {"message", "title", "authors"} <= set(citation)
    assert re.findall(r"^## \[([^\]]+)\]", text_of(ROOT / "CHANGELOG.md"), flags=re.MULTILINE)[0] == version


def test_constraints_are_versions_of_what_is_required_that_fit() -> None:
    pins = {}
    for line in text_of(ROOT / "constraints.txt").splitlines():
        if line and not line.startswith("#"):
            name, _, number = line.partition("==")
            assert number, line
            pins[name] = number
    content = project()
    extras = content["optional-dependencies"]
    assert isinstance(extras, dict)
    assert isinstance(content["dependencies"], list)
    names = [
        *content["dependencies"],
        *(name for extra in ("dev", "docs", "models", "postgres") for name in extras[extra]),
    ]
    required = [Requirement(text) for text in names]
    for requirement in required:
        if requirement.name == content["name"]:  # an extra that includes another
            continue
        assert requirement.specifier.contains(pins[requirement.name.lower()]), requirement
    if installed("torchvision").partition("+")[0] == pins["torchvision"]:  # which names the torch it was built for
        pair = {Requirement(text).name: Requirement(text).specifier for text in requires("torchvision") or ()}
        assert pair["torch"].contains(pins["torch"])


def test_the_makefile_installs_with_constraints_where_it_is_asked_to() -> None:
    for words, expected in (([], False), (["CONSTRAINTS=constraints.txt"], True)):
        shown = subprocess.run(
            ["make", "--dry-run", "--always-make", "VENV=/nowhere", f"PYTHON={sys.executable}", "lint", *words],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        assert ("--constraint constraints.txt" in shown) is expected
