"""Paths and addresses of a sweep: where each form leads, and which lead nowhere."""

from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.config.load import load, shipped_sweeps
from orchestrator.config.locations import locate
from orchestrator.config.sweep_text import read_mapping
from orchestrator.errors import UsageError
from trainables.trial.storage import open_folder

SweepFile = Callable[..., Path]
PARQUET = "data: {{dataset: parquet, train: {train}, test: [{test}]}}"


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, which is not that of the sweep file."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PLACE", "/of/place")
    return folder


def with_key(sweep_file: SweepFile, key: str, value: str) -> Path:
    quoted = value.replace("'", "''")
    return sweep_file(("name: small", f"name: small\n{key}: '{quoted}'"))


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("results", "{file}/results"),
        ("./results", "{file}/results"),
        ("../results", "{above}/results"),
        ("~/results", "{home}/results"),
        ("$PLACE/x", "/of/place/x"),
        ("${PLACE}x", "/of/placex"),
        ("/a/$$PLACE", "/a/$PLACE"),
        ("/a/b$", "/a/b$"),
        ("file:///a/b%20c", "/a/b c"),
        ("file://localhost/a", "/a"),
        ("file:/a?b#c", "/a?b#c"),
        ("/a b/c#d'e\"f", "/a b/c#d'e\"f"),
        ("/a/100%", "/a/100%"),
    ],
)
def test_a_storage_in_the_file(
    sweep_file: SweepFile, tmp_path: Path, elsewhere: Path, written: str, meant: str
) -> None:
    expected = meant.format(file=tmp_path, above=tmp_path.parent, home=tmp_path / "home")
    path = with_key(sweep_file, "storage", written)
    assert load(str(path), tracking="http://host:5000").storage == expected


def test_options_and_the_environment_begin_at_the_current_folder(
    sweep_file: SweepFile, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = str(sweep_file())
    assert load(path, storage="x").storage == f"{elsewhere}/x"
    assert load(path, tracking="sqlite:///own.db").tracking_uri == f"sqlite:///{elsewhere}/own.db"
    monkeypatch.setenv("RENYI_STORAGE", "y")
    monkeypatch.setenv("RENYI_TRACKING", "sqlite:///z.db")
    config = load(path)
    assert (config.storage, config.tracking_uri) == (f"{elsewhere}/y", f"sqlite:///{elsewhere}/z.db")


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("sqlite:///rel.db", "sqlite:///{file}/rel.db"),
        ("sqlite:///sub/rel.db", "sqlite:///{file}/sub/rel.db"),
        ("sqlite:///~/rel.db", "sqlite:///{home}/rel.db"),
        ("sqlite:///$PLACE/rel.db", "sqlite:////of/place/rel.db"),
        ("sqlite:////abs/own.db?timeout=9", "sqlite:////abs/own.db?timeout=9"),
        ("sqlite+pysqlite:///rel.db", "sqlite+pysqlite:///{file}/rel.db"),
        ("http://host:5000/sub", "http://host:5000/sub"),
        ("http://[::1]:5000", "http://[::1]:5000"),
        ("mysql+pymysql://me@host/db", "mysql+pymysql://me@host/db"),
    ],
)
def test_a_tracking_address_in_the_file(
    sweep_file: SweepFile, tmp_path: Path, elsewhere: Path, written: str, meant: str
) -> None:
    config = load(str(with_key(sweep_file, "tracking", written)))
    assert config.tracking_uri == meant.format(file=tmp_path, home=tmp_path / "home")


def test_data_lies_beside_the_file(sweep_file: SweepFile, tmp_path: Path, elsewhere: Path) -> None:
    data = PARQUET.format(train="pictures/train/*.parquet", test="~/test.parquet, s3://bucket/x.parquet")
    found = load(str(sweep_file(("data: {dataset: digits}", data)))).data
    assert found.train == (f"{tmp_path}/pictures/train/*.parquet",)
    assert found.test == (f"{tmp_path}/home/test.parquet", "s3://bucket/x.parquet")
    assert found.name == "train"
    assert load(str(sweep_file(("dataset: digits", "dataset: digits, root: $PLACE")))).data.root == "/of/place"


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("storage", "$NOWHERE/x", "$NOWHERE is not set; set it, or write $$"),
        ("storage", "~nouser/x", "the home folder of ~nouser is not known"),
        ("storage", "/tmp/" + "x" * 300, "is too long: a name has"),
        ("storage", "/tmp" + "/xxxxxxxxx" * 500, "is too long: a name has"),
        ("storage", "/dev/null", "a part of '/dev/null/small' is a file"),
        ("storage", "/dev/null/x", "a part of"),
        ("storage", "file://host/x", "must be file:///absolute/path"),
        ("storage", "file:x", "must be file:///absolute/path"),
        ("storage", "ftp://host/x", "must be a folder or an address (s3://, gs://"),
        ("storage", "s3:///x", "has no bucket"),
        ("storage", "s3://[", "is not a valid address"),
        ("storage", "/a/b?c", "MLflow can't keep a SQLite file in '/a/b?c'"),
        ("storage", "/a/b%20c", "MLflow can't keep a SQLite file"),
        ("tracking", "http://[", "is not a valid address (Invalid IPv6 URL)"),
        ("tracking", "http://host:99999", "is not a valid address"),
        ("tracking", "http://", "has no host"),
        ("tracking", "http:/host", "must be the address of an MLflow server"),
        ("tracking", "./mlruns", "must be the address of an MLflow server"),
        ("tracking", "file:///mlruns", "must be the address of an MLflow server"),
        ("tracking", "sqlite://", "names no file"),
        ("tracking", "sqlite:///:memory:", "names no file"),
        ("tracking", "sqlite:////tmp", "/tmp is a folder, not a SQLite file"),
        ("tracking", "sqlite:///$NOWHERE.db", "$NOWHERE is not set"),
        ("tracking", "no", "must be the address"),
    ],
)
def test_what_leads_nowhere_is_one_line_and_creates_nothing(
    sweep_file: SweepFile, storage: Path, elsewhere: Path, key: str, value: str, said: str
) -> None:
    path = with_key(sweep_file, key, value)
    with pytest.raises(UsageError) as caught:
        load(str(path))
    problem, *others = caught.value.problems
    assert all("tracking is missing" in other for other in others)
    assert problem.startswith(f"{path}: {key}: ")
    assert said in problem
    assert len(problem) < 600
    assert not storage.exists()
    assert not list(elsewhere.iterdir())


def test_all_problems_of_all_kinds_are_told_at_once(sweep_file: SweepFile) -> None:
    path = sweep_file(
        ("name: small", "name: small\nstorage: ~nouser/x\ntracking: http://["),
        ("dataset: digits", "dataset: digits, root: $NOWHERE"),
        ("epochs: 2", "epochs: yes"),
        ("[0.05, 0.1]", "[1:30]"),
    )
    with pytest.raises(UsageError) as caught:
        load(str(path))
    keys = {problem.removeprefix(f"{path}: ").partition(": ")[0] for problem in caught.value.problems}
    assert keys == {"storage", "tracking", "data.root", "training.epochs", "grid[0].learning_rate"}


@pytest.mark.parametrize(
    "name", ["mlflow.db", "MLflow.DB", "mlflow.db-wal", "mlartifacts", "..", ".", "a/b", "x" * 300]
)
def test_names_that_mean_something_else(sweep_file: SweepFile, name: str) -> None:
    path = sweep_file(("name: small", f"name: {name}"))
    with pytest.raises(UsageError) as caught:
        load(str(path))
    assert len(caught.value.problems) == 1


@pytest.mark.parametrize("value", ["2024", "0x1F", "1e3", "true", "~", "[a]"])
def test_a_name_that_is_no_text_is_told_how_to_be_one(sweep_file: SweepFile, value: str) -> None:
    with pytest.raises(UsageError) as caught:
        load(str(sweep_file(("name: small", f"name: {value}"))))
    (problem,) = caught.value.problems
    assert "name: should be" in problem
    assert ("put it in quotes" in problem) == (value not in ("~", "[a]"))
    if value not in ("~", "[a]"):
        assert load(str(sweep_file(("name: small", f"name: '{value}'")))).name == value


def test_a_database_may_not_be_the_folder_of_results(sweep_file: SweepFile, storage: Path) -> None:
    with pytest.raises(UsageError, match="is the folder of results; name another file"):
        load(str(sweep_file()), tracking=f"sqlite:///{storage}/small")


def test_what_earlier_versions_left_in_the_current_folder_is_named(
    sweep_file: SweepFile, tmp_path: Path, elsewhere: Path
) -> None:
    path = with_key(sweep_file, "storage", "results")
    (elsewhere / "results" / "small").mkdir(parents=True)
    with pytest.raises(UsageError, match="begins at the sweep file") as caught:
        load(str(path))
    assert f"write {elsewhere}/results" in str(caught.value)
    assert load(str(path), storage=str(elsewhere / "results")).folder == f"{elsewhere}/results/small"
    (tmp_path / "results" / "small").mkdir(parents=True)
    assert load(str(path)).folder == f"{tmp_path}/results/small"
    path = with_key(sweep_file, "tracking", "sqlite:///own.db")
    (elsewhere / "own.db").touch()
    with pytest.raises(UsageError, match="begins at the sweep file"):
        load(str(path))


def test_shipped_sweeps_name_no_places() -> None:
    for name in shipped_sweeps():
        raw = read_mapping(Path(__file__).parents[3] / "orchestrator" / "sweeps" / f"{name}.yaml")
        assert not {"storage", "tracking"} & set(raw)
        assert not {"root", "train", "test"} & set(raw["data"])


def test_on_another_machine_variables_are_its_own_and_relative_paths_are_refused() -> None:
    raw = {"name": "a", "storage": "$THERE/x", "tracking": "sqlite:////$THERE.db", "data": {"root": "~/d"}}
    assert locate(raw, Path("/here"), {}, elsewhere=True).problems == []
    raw = {"name": "a", "storage": "x", "tracking": "sqlite:///y.db", "data": {"train": ["z"]}}
    problems = locate(raw, Path("/here"), {}, elsewhere=True).problems
    assert [problem.key for problem in problems] == ["storage", "tracking", "data.train[0]"]
    assert all("on the cluster" in problem.message for problem in problems)


def test_a_folder_is_opened_by_its_address_as_by_its_path(tmp_path: Path) -> None:
    open_folder(f"file://{tmp_path}/a%20b").write("x", b"1")
    assert open_folder(f"{tmp_path}/a b").read("x") == b"1"
    assert [path.name for path in tmp_path.iterdir()] == ["a b"]
