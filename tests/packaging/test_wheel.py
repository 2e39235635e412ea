"""What is built of this repository: the same bytes every time, and a wheel that works where nothing else of it is."""

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
BUILT_FROM = (
    *("renyi.py", "orchestrator", "trainables", "analysis", "tests", "benchmarks", "docs", "examples", "clusters"),
    *(
        "cluster.yaml",
        "constraints.txt",
        "requirements.lock",
        "Makefile",
        "LICENSE",
        "CITATION.cff",
        "pyproject.toml",
        ".gitignore",
    ),
)


def build(folder: Path, mode: int) -> dict[str, bytes]:
    """The wheel and the source archive of a copy of this repository, by name; `mode` is that of its files."""
    source = folder / "source"
    source.mkdir(parents=True)
    for name in (*BUILT_FROM, *(path.name for path in REPOSITORY.glob("*.md"))):
        place = REPOSITORY / name
        if place.is_dir():
            unwanted = shutil.ignore_patterns("__pycache__")
            shutil.copytree(place, source / name, copy_function=shutil.copyfile, ignore=unwanted)
        elif place.exists():
            shutil.copyfile(place, source / name)
    for path in source.rglob("*"):
        if path.is_file():
            path.chmod(mode)
            os.utime(path, (1.6e9 + mode, 1.6e9 + mode))
    command = [sys.executable, "-m", "hatchling", "build", "--directory", str(folder / "built")]
    subprocess.run(command, cwd=source, check=True, capture_output=True)
    return {path.name: path.read_bytes() for path in (folder / "built").iterdir()}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel and the source archive."""
    folder = tmp_path_factory.mktemp("first")
    build(folder, 0o644)
    return folder / "built"


@pytest.mark.system
def test_it_is_built_twice_with_the_same_bytes(built: Path, tmp_path: Path) -> None:
    first = {path.name: path.read_bytes() for path in built.iterdir()}
    assert sorted(name.rpartition(".")[2] for name in first) == ["gz", "whl"]
    assert build(tmp_path / "second", 0o600) == first


@pytest.mark.system
def test_the_wheel_works_in_an_environment_of_its_own(built: Path, tmp_path: Path) -> None:
    """The environment has our wheel, and this environment's other packages, which take minutes to install."""
    home = tmp_path / "environment"
    venv.create(home)
    python = home / "bin" / "python"
    (wheel,) = built.glob("*.whl")
    install = ["install", "--quiet", "--no-index", "--no-deps", str(wheel)]
    subprocess.run([sys.executable, "-m", "pip", "--python", str(python), *install], check=True)
    (own,) = home.glob("lib/python*/site-packages")
    # As a path alone: what this environment's own path files add, such as this repository, is not added.
    (own / "others.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "RENYI"))}
    environment |= {"RENYI_STORAGE": str(tmp_path / "storage"), "RENYI_CACHE": str(tmp_path / "cache")}

    def renyi(*words: str) -> str:
        command = [str(home / "bin" / "renyi"), *words]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    where = [str(python), "-c", "import orchestrator, trainables; print(orchestrator.__path__, trainables.__path__)"]
    found = subprocess.run(where, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    assert found.stdout.count(str(own)) == 2
    assert "digits" in renyi("sweeps")
    assert "1 trained, 1 measured" in renyi("run", "digits", "--limit", "1", "--executor", "inline")
