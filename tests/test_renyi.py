"""The public face, in processes of its own: what it loads, and what it says where another package has our name."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import renyi

ROOT = Path(__file__).resolve().parent.parent
SWEEP = """\
name: small
data: {dataset: digits}
model: digits_cnn
training: {epochs: 1, batch_size: 64}
grid: [{optimizer: sgd, learning_rate: 0.05}]
sharpness: {samples: 20}
"""


def python(*words: str, folder: Path, path: str = str(ROOT)) -> subprocess.CompletedProcess[str]:
    """Run Python in a folder; as `python -c` and `-m` do, it looks there first, and a script looks in its own."""
    environment = {**os.environ, "PYTHONPATH": path, "RENYI_STORAGE": str(folder / "storage"), "COLUMNS": "200"}
    return subprocess.run(
        [sys.executable, *words], cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False
    )


@pytest.fixture
def command(tmp_path: Path) -> str:
    """The script that pip writes for the command, in a folder of its own."""
    script = tmp_path / "bin" / "renyi"
    script.parent.mkdir()
    script.write_text("import sys\nfrom renyi import main\nif __name__ == '__main__':\n    sys.exit(main())\n")
    return str(script)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder of the user's, with a sweep file in it."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "small.yaml").write_text(SWEEP)
    return folder


def test_every_public_name_is_there() -> None:
    for name in renyi.__all__:
        assert getattr(renyi, name) is not None
    assert set(renyi.__all__) <= set(dir(renyi))
    with pytest.raises(AttributeError, match="no attribute 'measures'"):
        renyi.measures  # type: ignore[attr-defined] # noqa: B018


def test_names_are_those_of_the_packages() -> None:
    from analysis.sharpness import measure
    from trainables.optimizers import SAM

    assert renyi.measure is measure
    assert renyi.SAM is SAM


def test_import_alone_loads_nothing_heavy(tmp_path: Path) -> None:
    code = "import sys, renyi; print(*{name.partition('.')[0] for name in sys.modules})"
    loaded = set(python("-c", code, folder=tmp_path).stdout.split())
    assert "renyi" in loaded
    assert not loaded & {"torch", "numpy", "pandas", "ray", "mlflow", "typer", "analysis", "trainables", "orchestrator"}


def test_version(tmp_path: Path) -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+", renyi.__version__)
    alone = tmp_path / "clone"
    alone.mkdir()
    (alone / "renyi.py").write_text((ROOT / "renyi.py").read_text())
    # Without site-packages there is no metadata of an installed package.
    printed = python("-S", "-c", "import renyi; print(renyi.__version__)", folder=alone, path="")
    assert printed.stdout == "0+unknown\n", printed.stderr


@pytest.mark.parametrize("package", ["analysis", "trainables", "orchestrator"])
def test_a_folder_of_the_users_shadows_a_package(package: str, project: Path) -> None:
    (project / package).mkdir()
    (project / package / "__init__.py").touch()
    ended = python("-c", "import renyi", folder=project)
    last = ended.stderr.splitlines()[-1]
    assert last.startswith(f"ImportError: the folder {project / package} shadows the package `{package}`")
    assert str(ROOT) in last
    assert "Rename that folder" in last


def test_a_script_beside_a_file_of_the_users(project: Path, tmp_path: Path) -> None:
    (project / "analysis.py").write_text("x = 1\n")
    (project / "study.py").write_text("import analysis\nfrom renyi import measure\n")
    ended = python(str(project / "study.py"), folder=tmp_path)
    assert ended.returncode == 1
    assert f"ImportError: the file {project / 'analysis.py'} shadows" in ended.stderr.splitlines()[-1]


def test_a_folder_on_pythonpath(project: Path, tmp_path: Path) -> None:
    (project / "trainables").mkdir()
    (project / "trainables" / "__init__.py").touch()
    ended = python("-c", "import renyi", folder=tmp_path, path=f"{project}{os.pathsep}{ROOT}")
    assert f"{project / 'trainables'} shadows" in ended.stderr
    after_ours = python("-c", "import renyi", folder=tmp_path, path=f"{ROOT}{os.pathsep}{project}")
    assert after_ours.returncode == 0


def test_a_script_that_puts_ours_first(project: Path) -> None:
    (project / "analysis.py").write_text("x = 1\n")
    (project / "study.py").write_text(
        f"import sys\nsys.path.insert(0, {str(ROOT)!r})\nfrom renyi import renyi_entropy\nprint(renyi_entropy.__name__)"
    )
    assert python("study.py", folder=project).stdout == "renyi_entropy\n"


def test_a_folder_without_init_does_not_shadow(project: Path) -> None:
    (project / "analysis").mkdir()
    (project / "analysis" / "study.py").touch()
    ended = python("-c", "from renyi import renyi_entropy", folder=project)
    assert ended.returncode == 0, ended.stderr


def test_a_package_shadowed_after_the_import_is_noticed_at_the_first_use(project: Path) -> None:
    (project / "analysis.py").write_text("x = 1\n")
    ended = python("-c", f"import renyi, sys; sys.path.insert(0, {str(project)!r}); renyi.measure", folder=ROOT)
    assert f"ImportError: the file {project / 'analysis.py'} shadows" in ended.stderr


def test_the_command_ends_in_one_line(command: str, project: Path, tmp_path: Path) -> None:
    (project / "analysis").mkdir()
    (project / "analysis" / "__init__.py").touch()
    on_path = python(command, "plan", "small.yaml", folder=project, path=f"{project}{os.pathsep}{ROOT}")
    as_module = python("-m", "renyi", "plan", "small.yaml", folder=project)
    for ended in (on_path, as_module):
        assert ended.returncode == 2
        assert ended.stdout == ""
        assert len(ended.stderr.splitlines()) == 1
        assert ended.stderr.startswith(f"the folder {project / 'analysis'} shadows")


def test_what_starts_no_ray_works_beside_a_folder_of_the_users(command: str, project: Path) -> None:
    (project / "analysis").mkdir()
    (project / "analysis" / "__init__.py").touch()
    planned = python(command, "plan", "small.yaml", folder=project)
    assert planned.returncode == 0, planned.stderr
    assert "1 trial" in planned.stdout
    # Ray's workers have the current folder first on their path, whatever the driver has.
    refused = python(command, "run", "small.yaml", folder=project)
    assert refused.returncode == 2
    assert f"the folder {project / 'analysis'} shadows" in refused.stderr
    assert "Ray's workers" in refused.stderr
    assert python(command, "run", "--help", folder=project).returncode == 0


def test_ray_may_start_in_a_clone(command: str, project: Path) -> None:
    (project / "analysis").mkdir()
    (project / "analysis" / "__init__.py").touch()
    (project / "renyi.py").write_text((ROOT / "renyi.py").read_text())
    ended = python(command, "run", "no_such_sweep", folder=project)
    assert ended.returncode == 2
    assert "shadows" not in ended.stderr


def test_the_wheel_and_the_sdist_name_the_face() -> None:
    with (ROOT / "pyproject.toml").open("rb") as file:
        content = tomllib.load(file)
    targets = content["tool"]["hatch"]["build"]["targets"]
    assert "renyi.py" in targets["wheel"]["only-include"]
    assert "renyi.py" in targets["sdist"]["include"]
    assert content["project"]["scripts"] == {"renyi": "renyi:main"}
    for package in ("analysis", "trainables", "orchestrator"):
        assert (ROOT / package / "py.typed").is_file()
