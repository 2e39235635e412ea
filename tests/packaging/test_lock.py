"""The lock has what pyproject.toml asks for, in the versions of constraints.txt, with a hash for every file."""

import re
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

REPOSITORY = Path(__file__).parents[2]


def locked() -> dict[str, tuple[Requirement, int]]:
    """Each entry of the lock by its name, and how many hashes it has."""
    text = (REPOSITORY / "requirements.lock").read_text().replace("\\\n", " ")
    found: dict[str, tuple[Requirement, int]] = {}
    for line in text.splitlines():
        requirement = Requirement(line.partition("--hash")[0])
        found[str(canonicalize_name(requirement.name))] = (
            requirement,
            len(re.findall(r"--hash=sha256:[0-9a-f]{64}", line)),
        )
    return found


def test_every_entry_is_one_version_with_hashes_and_names_no_place() -> None:
    entries = locked()
    assert len(entries) > 100
    for requirement, hashes in entries.values():
        assert re.fullmatch(r"==[\w.+!]+", str(requirement.specifier)), requirement
        assert requirement.url is None
        assert hashes > 0, requirement
    assert "://" not in (REPOSITORY / "requirements.lock").read_text()


def test_it_has_what_the_package_needs_in_the_tested_versions() -> None:
    entries = locked()
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
    needed = [*project["project"]["dependencies"], *project["build-system"]["requires"], "editables"]
    for requirement in map(Requirement, needed):
        entry, _ = entries[canonicalize_name(requirement.name)]
        (version,) = entry.specifier
        assert requirement.specifier.contains(version.version), requirement
        assert entry.marker is None, "needed on every system"
    constraints = (REPOSITORY / "constraints.txt").read_text().splitlines()
    for constraint in (Requirement(line) for line in constraints if line and not line.startswith("#")):
        if canonicalize_name(constraint.name) in entries:
            assert entries[canonicalize_name(constraint.name)][0].specifier == constraint.specifier
