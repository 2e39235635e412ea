"""From clusters/local.yaml to a finished sweep on three hosts, one of which joins late and is cut off on the way.

The tests are one story and run in the order of the file: each takes up the cluster as the one before left it.
"""

import contextlib
import platform
import re
import shutil
import subprocess
import sysconfig
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from orchestrator.store.activity import NodeActivity, read_activity
from tests.hosts import hosts as hosts_module
from tests.hosts.hosts import HOME, REPOSITORY, Host, Hosts, provision
from tests.hosts.staged_model import FAULT, GATE
from tests.trainables.data.images import draw, encode, write_parquet
from trainables.trial.storage import open_folder

pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]

CLUSTER = f"--cluster {HOME}/local.yaml"
START_RAY = "bash ~/renyi-sharpness/clusters/start_ray.sh"
TRIALS = 6
SWEEP = """\
name: hosts
data: {dataset: digits}
model: staged_model.digits_cnn
training: {epochs: 6}
grid:
  - optimizer: sgd
    coupled: {learning_rate: [0.02, 0.05, 0.1], batch_size: [16, 32, 32]}
    weight_decay: [1e-5, 1e-3]
sharpness: {samples: 20, orders: [0.5, 1.5], num_probes: 2, num_matvecs: 5, measures: [renyi, trace, l2]}
resources:
  trial: {cpus: 1}
  pool: {actors: 1, cpus: 1}
"""


@pytest.fixture(scope="module")
def hosts() -> Iterator[Hosts]:
    reason = hosts_module.missing()
    if reason:
        pytest.skip(f"NO MULTI-HOST TEST: {reason}")
    with hosts_module.started() as hosts:
        yield hosts


@pytest.fixture(scope="module", autouse=True)
def cluster(hosts: Hosts) -> None:
    """The cluster of the shipped file, its addresses and account filled in, started by `ray up`."""
    text = (REPOSITORY / "clusters" / "local.yaml").read_text()
    workers = ", ".join(worker.address for worker in hosts.workers)
    for shipped, own in (
        ("head_ip: 192.168.1.10", f"head_ip: {hosts.head.address}"),
        ("[192.168.1.11, 192.168.1.12]", f"[{workers}]"),
        ("ssh_user: renyi", "ssh_user: root"),
    ):
        assert shipped in text
        text = text.replace(shipped, own)
    (hosts.laptop.home / "local.yaml").write_text(text)
    write_sweep(hosts, "hosts.yaml", SWEEP)
    for host in hosts.all.values():  # as a package of the user's own would be
        shutil.copy(Path(__file__).with_name("staged_model.py"), next(host.home.glob("venv/lib/python*/site-packages")))
    hosts.laptop.run("ray get-auth-token --generate > /dev/null")
    hosts.laptop.run("ray up --yes ~/local.yaml", timeout=240)


def write_sweep(hosts: Hosts, name: str, text: str) -> None:
    (hosts.laptop.home / name).write_text(text)


def until(condition: Callable[[], bool], seconds: float, what: str) -> None:
    deadline = time.monotonic() + seconds
    while True:
        asked = time.monotonic()
        if condition():
            return
        assert asked < deadline, f"{what}: not so after {seconds:.0f} s"
        time.sleep(max(0.2, time.monotonic() - asked))  # half of the time for what is waited for, not for asking


def renyi(hosts: Hosts, words: str, *, timeout: float = 240) -> "subprocess.CompletedProcess[str]":
    return hosts.laptop.run(f"python -m orchestrator.cli {words} {CLUSTER}", check=False, timeout=timeout)


def running_nodes(hosts: Hosts) -> int:
    status = hosts.head.run(". ~/renyi.env; ray status", check=False).stdout
    counts = re.findall(r"^ (\d+) local.cluster.node", status.partition("Pending")[0], re.MULTILINE)
    return sum(map(int, counts))


@contextlib.contextmanager
def other_torch_release(host: Host) -> Iterator[None]:
    """A torch that says another version, on one host alone."""
    torch = Path(sysconfig.get_path("purelib")) / "torch"
    text = re.sub(r"__version__ = .*", "__version__ = '2.0.0+other'", (torch / "version.py").read_text())
    (host.folder / "version.py").write_text(text)
    host.run(f"mount -t tmpfs tmpfs {torch}/__pycache__ && mount --bind {host.folder}/version.py {torch}/version.py")
    yield
    host.run(f"umount {torch}/version.py {torch}/__pycache__")


@contextlib.contextmanager
def read_only_storage(host: Host) -> Iterator[None]:
    """The shared folder, as one host has it mounted, can't be written."""
    host.run("mount -o remount,bind,ro /mnt")
    yield
    host.run("mount -o remount,bind,rw /mnt")


@contextlib.contextmanager
def another_folder(host: Host) -> Iterator[None]:
    """A disk of one host's own where the others have the shared folder."""
    host.run("mount -t tmpfs tmpfs /mnt")
    yield
    host.run("umount /mnt")


@contextlib.contextmanager
def other_python(hosts: Hosts, host: Host) -> Iterator[str]:
    """The host's Ray runs on this machine's other Python of the same minor release; where there is none, as before."""
    python = Path("/usr/bin/python3")
    words = [str(python), "-c", "import platform; print(platform.python_version())"]
    release = subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()
    if release == platform.python_version() or release.split(".")[:2] != platform.python_version().split(".")[:2]:
        yield platform.python_version()
        return
    host.run("mv ~/venv ~/venv-right")
    provision(host.home / "venv", python)
    host.run("bash ~/renyi-sharpness/clusters/install.sh")
    host.run(f". ~/renyi.env; ray stop; {START_RAY} --address={hosts.head.address}:6379")
    yield release
    host.run(". ~/renyi.env; ray stop; rm -r ~/venv && mv ~/venv-right ~/venv")


def test_every_machine_joins(hosts: Hosts) -> None:
    until(lambda: running_nodes(hosts) == 3, 90, "three nodes")
    told = hosts.laptop.run("ray exec ~/local.yaml 'tail -n 100 /tmp/ray/session_latest/logs/monitor*'").stdout
    assert "Ray runtime started" in told  # on the worker that joined last


def listeners(host: Host) -> list[tuple[str, int, str]]:
    """Address, port and program of all that listens."""
    lines = host.run("ss -Hltnp").stdout.splitlines()
    found = []
    for line in lines:
        address, _, port = line.split()[3].rpartition(":")
        found.append((address, int(port), line.split('"')[1]))
    return found


def test_pages_for_people_listen_on_the_head_itself_alone(hosts: Hosts) -> None:
    addresses = {port: address for address, port, _ in listeners(hosts.head) if port in (5000, 8265)}
    assert addresses == {5000: "127.0.0.1", 8265: "127.0.0.1"}
    for port in (5000, 8265):
        refused = hosts.laptop.run(f"curl --silent --max-time 5 http://{hosts.head.address}:{port}", check=False)
        assert refused.returncode == 7  # could not connect


def reachable(source: Host, target: Host) -> set[int]:
    """The ports of a host that another one can connect to."""
    address = target.address
    ports = sorted({port for _, port, _ in listeners(target)})
    probe = f"[print(p) for p in {ports} if not socket.socket().connect_ex(('{address}', p))]"
    return {int(port) for port in source.run(f'python -c "import socket; {probe}"').stdout.split()}


def test_nothing_but_ssh_can_be_reached_from_outside_the_cluster(hosts: Hosts) -> None:
    for host in (hosts.head, *hosts.workers):
        assert reachable(hosts.laptop, host) == {22}
    assert reachable(hosts.workers[0], hosts.head) >= {22, 6379}
    assert len(reachable(hosts.head, hosts.workers[0])) > 4


def test_ray_does_not_start_where_its_ports_can_not_be_closed(hosts: Hosts) -> None:
    host = hosts.workers[0]
    host.run("mount --bind /dev/null /usr/sbin/nft")
    refused = host.run(f". ~/renyi.env; {START_RAY} --address={hosts.head.address}:6379", check=False)
    host.run("umount /usr/sbin/nft")
    assert refused.returncode == 2
    assert "worker1: ports 6379, 17000-17999 can't be closed to other machines" in refused.stdout


def test_ray_refuses_who_has_no_token(hosts: Hosts) -> None:
    command = f"RAY_ADDRESS={hosts.head.address}:6379 RAY_AUTH_MODE={{}} HOME=/tmp ray status"
    wrong = f"RAY_AUTH_TOKEN={'0' * 64} " + command.format("token")
    for attempt in (wrong, command.format("disabled")):
        done = hosts.workers[0].run(attempt, check=False, timeout=120)
        assert done.returncode != 0
        assert "local.cluster.node" not in done.stdout


def test_preflight_finds_nothing_wrong_and_brings_the_data_to_every_node(hosts: Hosts) -> None:
    encoded = [encode(pixels) for pixels in draw(40, size=8)]
    for name, rows in (("train", slice(0, 30)), ("test", slice(30, 40))):
        write_parquet(hosts.shared / "images" / f"{name}.parquet", encoded[rows], [k % 2 for k in range(40)][rows])
    data = "{dataset: parquet, train: /mnt/images/train.parquet, test: /mnt/images/test.parquet}"
    write_sweep(hosts, "images.yaml", SWEEP.replace("{dataset: digits}", data).replace("name: hosts", "name: images"))
    done = renyi(hosts, "preflight ~/images.yaml")
    assert done.returncode == 0, done.stdout
    assert "preflight: 3 nodes" in done.stdout
    for host in (hosts.head, *hosts.workers):
        assert len(list((host.home / ".cache" / "renyi").glob("*/train_images.npy"))) == 1
    assert not list(hosts.shared.glob("renyi/images/.preflight*"))


def test_preflight_names_all_that_is_wrong_at_once(hosts: Hosts) -> None:
    first, second = hosts.workers
    with other_torch_release(first), read_only_storage(second):
        text = SWEEP.replace("{dataset: digits}", "{dataset: cifar10}").replace("name: hosts", "name: wrong")
        text = text.replace("staged_model.digits_cnn", "resnet18")
        text = text.replace("trial: {cpus: 1", "trial: {cpus: 1, gpus: 1")
        write_sweep(hosts, "wrong.yaml", text)
        done = renyi(hosts, "run ~/wrong.yaml --tracking http://127.0.0.1:5999")
    lines = [line for line in done.stdout.splitlines() if line.strip()]
    assert done.returncode == 2, done.stdout
    every_node = "head (10.213.77.10), worker1 (10.213.77.11), worker2 (10.213.77.12)"
    for expected in (
        "tracking: http://127.0.0.1:5999 does not answer ([Errno 111] Connection refused); start the server",
        "together 1; the cluster has 0. Lower resources.pool or resources.trial",
        "worker1 (10.213.77.11) has torch 2.0.0+other, the driver on head (10.213.77.10)",
        "storage: /mnt/renyi/wrong can't be written from worker2 (10.213.77.12) (Read-only file system)",
        f"data: on {every_node}: data.root: /srv/data has no cifar-10-batches-py, and the download failed",
    ):
        assert [expected in line for line in lines].count(True) == 1, (expected, done.stdout)
    assert "Traceback" not in done.stdout


def test_preflight_sees_folders_that_are_not_one_and_a_cluster_too_small(hosts: Hosts) -> None:
    first, second = hosts.workers
    write_sweep(
        hosts, "big.yaml", SWEEP.replace("name: hosts", "name: big").replace("trial: {cpus: 1}", "trial: {cpus: 9}")
    )
    with another_folder(first), other_python(hosts, second) as release:
        done = renyi(hosts, "preflight ~/big.yaml")
    assert done.returncode == 2, done.stdout
    assert (
        "storage: /mnt/renyi/big on worker1 (10.213.77.11) is another folder than on head (10.213.77.10)" in done.stdout
    )
    assert "takes 1 CPUs and a trial 9, together 10; the cluster has 6" in done.stdout
    here = platform.python_version()
    expected = f"worker2 (10.213.77.12) has Python {release}, the driver on head (10.213.77.10) {here}; install"
    if release == here:
        warnings.warn(f"NOT TESTED: /usr/bin/python3 is Python {here}, as the tests' own", stacklevel=1)
    else:
        assert expected in done.stdout


def test_the_sweep_outlives_the_laptop_and_a_host_that_joined_late(hosts: Hosts) -> None:
    late = hosts.workers[1]
    late.run(". ~/renyi.env; ray stop")
    hosts.cut_off(late)  # till the sweep has begun
    for file in (FAULT, GATE):
        (hosts.shared / Path(file).name).touch()
    watching = hosts.laptop.start(
        f"exec python -m orchestrator.cli run ~/hosts.yaml --no-rehearsal {CLUSTER}",
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
    )
    seen = []
    for line in watching.stdout:
        seen.append(line)
        if "starting the ray executor" in line:
            break
    assert any("preflight: 2 nodes" in line for line in seen), "".join(seen)
    hosts.join(late)
    until(lambda: any(node.training for node in activity_on(hosts, "worker2")), 150, "the late host trains")
    hosts.laptop.run("pkill -KILL -f orchestrator.cli")
    watching.wait(timeout=30)
    hosts.cut_off(late)
    (hosts.shared / Path(GATE).name).unlink()

    done = renyi(hosts, "run ~/hosts.yaml", timeout=420)
    hosts.join(late)  # the autoscaler takes it back, which is waited for below
    print(done.stdout)
    assert "hosts is running already" in done.stdout
    assert re.search(r"its process on worker2(/\w+)? died", done.stdout), done.stdout
    assert "Downloading artifacts" not in done.stdout
    assert "Traceback" not in done.stdout
    assert done.returncode == 1, done.stdout
    assert f"{TRIALS - 1} trained, {TRIALS - 1} measured; {TRIALS} trials in all" in done.stdout
    assert "in training: RuntimeError: the machine had a bad moment" in done.stdout


def activity_on(hosts: Hosts, name: str) -> list[NodeActivity]:
    """What a host does and did, as the driver of the sweep wrote it: once for each time that the host joined."""
    activity = read_activity(open_folder(str(hosts.shared / "renyi" / "hosts")))
    nodes = activity.nodes if activity else {}
    return [node for each, node in nodes.items() if each.partition("/")[0] == name]


def test_retry_runs_the_failed_trial_and_nothing_else(hosts: Hosts) -> None:
    done = renyi(hosts, "retry ~/hosts.yaml")
    assert done.returncode == 0, done.stdout
    assert f"1 trained, 1 measured; {TRIALS} trials in all" in done.stdout


def test_running_it_again_trains_nothing(hosts: Hosts) -> None:
    done = renyi(hosts, "run ~/hosts.yaml")
    assert done.returncode == 0, done.stdout
    assert f"0 trained, 0 measured; {TRIALS} trials in all" in done.stdout


def test_remeasure_measures_on_every_host_and_trains_nothing(hosts: Hosts) -> None:
    text = SWEEP.replace("samples: 20", "samples: 25").replace("actors: 1", "actors: auto")
    write_sweep(hosts, "remeasured.yaml", text)
    until(lambda: running_nodes(hosts) == 3, 120, "three nodes again")
    done = renyi(hosts, "remeasure ~/remeasured.yaml")
    assert done.returncode == 0, done.stdout
    assert f"0 trained, {TRIALS} measured; {TRIALS} trials in all" in done.stdout
    for name in ("head", "worker1", "worker2"):
        assert any(node.measured for node in activity_on(hosts, name))


def test_status_and_report_are_told_on_the_laptop(hosts: Hosts) -> None:
    assert f"{TRIALS} measured" in renyi(hosts, "status ~/hosts.yaml").stdout
    report = renyi(hosts, "report ~/hosts.yaml")
    assert report.returncode == 0, report.stdout
    assert "report.html" in report.stdout


COUNT_RUNS = """
from collections import Counter
from mlflow import MlflowClient
client = MlflowClient("http://127.0.0.1:5055")
experiment = client.get_experiment_by_name("hosts").experiment_id
runs = client.search_runs([experiment])
trials = Counter(run.data.tags["renyi.trial_id"] for run in runs if run.data.tags["renyi.kind"] == "trial")
states = {run.info.status for run in runs if run.data.tags["renyi.kind"] == "trial"}
print("trials", len(trials), "runs", sum(trials.values()), states)
"""


def test_mlflow_has_each_trial_once_and_is_seen_through_the_tunnel(hosts: Hosts) -> None:
    ui = hosts.laptop.start(
        f"exec python -m orchestrator.cli ui ~/hosts.yaml --port 5055 {CLUSTER}",
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        environment={"PYTHONUNBUFFERED": "1"},
    )
    address = next((line for line in ui.stdout if line.startswith("MLflow: ")), "no address")
    assert "http://127.0.0.1:5055/#/experiments/" in address
    (hosts.laptop.home / "count_runs.py").write_text(COUNT_RUNS)
    counted = hosts.laptop.run("python ~/count_runs.py")
    assert f"trials {TRIALS} runs {TRIALS} {{'FINISHED'}}" in counted.stdout
    hosts.laptop.run("pkill -INT -f 'orchestrator.cli ui'")
    assert ui.wait(timeout=30) == 0


def test_interrupting_the_view_leaves_the_job_and_stop_ends_it(hosts: Hosts) -> None:
    write_sweep(hosts, "long.yaml", SWEEP.replace("name: hosts", "name: long").replace("epochs: 6", "epochs: 2000"))
    watching = hosts.laptop.start(
        f"exec python -m orchestrator.cli run ~/long.yaml --no-rehearsal {CLUSTER}",
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
    )
    for line in watching.stdout:
        if "starting the ray executor" in line:
            break
    hosts.laptop.run("pkill -INT -f 'orchestrator.cli run|^ssh '")  # as a terminal does: all in its foreground
    rest = watching.stdout.read()
    assert watching.wait(timeout=30) == 130
    assert "goes on without this terminal" in rest
    driver = "renyi run"
    assert any(driver in process and "long.yaml" in process for process in hosts.head.processes())
    until(lambda: "training" in renyi(hosts, "status ~/long.yaml").stdout, 90, "a trial has a checkpoint")
    stopped = renyi(hosts, "stop ~/long.yaml")
    assert "long is stopped" in stopped.stdout
    assert not any(driver in process and "long.yaml" in process for process in hosts.head.processes())
    assert "long is not running" in renyi(hosts, "stop ~/long.yaml").stdout


def test_no_secret_is_in_a_log_or_a_command_line(hosts: Hosts) -> None:
    token = (hosts.laptop.home / ".ray" / "auth_token").read_text().strip()
    key = (hosts.laptop.home / ".ssh" / "id_ed25519").read_text().splitlines()[1]
    search = f"grep -rlF --devices=skip -e {token} -e {key} {{}} 2> /dev/null"
    assert hosts.laptop.run(search.format("~/.ray ~/.ssh")).stdout.split() == [
        f"{HOME}/.ray/auth_token",
        f"{HOME}/.ssh/id_ed25519",
    ]
    for host in (hosts.laptop, hosts.head, *hosts.workers):
        assert not any(token in process for process in host.processes())
        assert host.run(search.format("/tmp ~/mlflow ~/renyi.env /mnt"), check=False).stdout == ""


def test_ray_down_leaves_nothing_running(hosts: Hosts) -> None:
    hosts.laptop.run("ray down --yes ~/local.yaml", timeout=120)
    for host in (hosts.head, *hosts.workers):
        key = "-i ~/.ssh/id_ed25519 -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null"
        hosts.laptop.run(f"ssh {key} root@{host.address} bash renyi-sharpness/clusters/stop_node.sh")
    for host in (hosts.head, *hosts.workers):
        left = [line for line in host.processes() if re.search(r"raylet|gcs_server|ray::|mlflow|monitor\.py", line)]
        assert left == []
