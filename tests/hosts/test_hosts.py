"""From clusters/local.yaml to a finished sweep on three hosts, one of which is cut off on the way.

The tests are one story and run in the order of the file: each takes up the cluster as the one before left it.
"""

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator

import pytest

from tests.hosts import hosts as hosts_module
from tests.hosts.hosts import HOME, REPOSITORY, Host, Hosts

pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]

CLUSTER = f"--cluster {HOME}/local.yaml"
TRIALS = 12
SWEEP = """\
name: hosts
data: {dataset: digits}
model: digits_cnn
training: {epochs: 25}
grid:
  - optimizer: sgd
    coupled: {learning_rate: [0.02, 0.05, 0.1], batch_size: [16, 32, 32]}
    weight_decay: [1e-5, 1e-4, 1e-3, 3e-3]
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
    hosts.laptop.run("ray get-auth-token --generate > /dev/null")
    hosts.laptop.run("ray up --yes ~/local.yaml", timeout=240)


def write_sweep(hosts: Hosts, name: str, text: str) -> None:
    (hosts.laptop.home / name).write_text(text)


def until(condition: Callable[[], bool], seconds: float, what: str) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not so after {seconds:.0f} s"
        time.sleep(1)


def renyi(hosts: Hosts, words: str, *, timeout: float = 240) -> "subprocess.CompletedProcess[str]":
    return hosts.laptop.run(f"python -m orchestrator.cli {words} {CLUSTER}", check=False, timeout=timeout)


def running_nodes(hosts: Hosts) -> int:
    status = hosts.head.run(". ~/renyi.env; ray status", check=False).stdout
    counts = re.findall(r"^ (\d+) local.cluster.node", status.partition("Pending")[0], re.MULTILINE)
    return sum(map(int, counts))


def test_every_machine_joins(hosts: Hosts) -> None:
    until(lambda: running_nodes(hosts) == 3, 90, "three nodes")


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


def test_only_ssh_and_ray_listen_to_the_network(hosts: Hosts) -> None:
    for host in (hosts.head, *hosts.workers):
        open_to_network = {program for address, _, program in listeners(host) if not address.endswith("127.0.0.1]")}
        programs = {program for address, _, program in listeners(host) if "127.0.0.1" not in address}
        assert open_to_network >= programs
        assert programs <= {"sshd", "raylet", "gcs_server", "python", "ray::DashboardA", "ray::RuntimeEnv"}


def test_ray_refuses_who_has_no_token(hosts: Hosts) -> None:
    command = f"RAY_ADDRESS={hosts.head.address}:6379 RAY_AUTH_MODE={{}} HOME=/tmp ray status"
    wrong = f"RAY_AUTH_TOKEN={'0' * 64} " + command.format("token")
    for attempt in (wrong, command.format("disabled")):
        done = hosts.workers[0].run(attempt, check=False, timeout=120)
        assert done.returncode != 0
        assert "local.cluster.node" not in done.stdout


def test_preflight_finds_nothing_wrong(hosts: Hosts) -> None:
    done = renyi(hosts, "preflight ~/hosts.yaml")
    assert done.returncode == 0, done.stdout
    assert "preflight: 3 nodes" in done.stdout


def test_the_sweep_outlives_the_laptop_and_a_host(hosts: Hosts) -> None:
    watching = hosts.laptop.start(
        f"exec python -m orchestrator.cli run ~/hosts.yaml {CLUSTER}",
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
    )
    seen = []
    for line in watching.stdout:
        seen.append(line)
        if "/12 trained" in line:
            break
    assert any("/12 trained" in line for line in seen), "".join(seen)
    hosts.laptop.run("pkill -KILL -f orchestrator.cli")
    watching.wait(timeout=30)
    cut = hosts.workers[1]
    assert any("ray::" in process and "IDLE" not in process for process in cut.processes())
    hosts.cut_off(cut)

    done = renyi(hosts, "run ~/hosts.yaml", timeout=420)
    print(done.stdout)
    assert "hosts is running already" in done.stdout
    assert done.returncode == 0, done.stdout
    assert f"{TRIALS} trained, {TRIALS} measured; {TRIALS} trials in all" in done.stdout


def test_running_it_again_trains_nothing(hosts: Hosts) -> None:
    done = renyi(hosts, "run ~/hosts.yaml")
    assert done.returncode == 0, done.stdout
    assert f"0 trained, 0 measured; {TRIALS} trials in all" in done.stdout


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
print("trials", len(trials), "runs", sum(trials.values()), {run.info.status for run in runs})
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
    write_sweep(hosts, "long.yaml", SWEEP.replace("name: hosts", "name: long").replace("epochs: 25", "epochs: 2000"))
    watching = hosts.laptop.start(
        f"exec python -m orchestrator.cli run ~/long.yaml {CLUSTER}",
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    )
    for line in watching.stdout:
        if "starting the ray executor" in line:
            break
    os.killpg(watching.pid, signal.SIGINT)  # as a terminal does, to everything in its foreground
    rest = watching.stdout.read()
    assert watching.wait(timeout=30) == 130
    assert "it goes on without this terminal" in rest
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
    assert len(token) > 20
    for host in (hosts.laptop, hosts.head, *hosts.workers):
        assert not any(token in process for process in host.processes())
        for secret in (token, key):
            command = f"grep -rlF --exclude-dir=sockets --devices=skip -e {secret} /tmp ~/mlflow ~/renyi.env /mnt/renyi"
            assert (
                host.run(command, check=False).stdout.replace("grep: /srv/mlflow: No such file or directory\n", "")
                == ""
            )


def test_ray_down_leaves_nothing_running(hosts: Hosts) -> None:
    hosts.join(hosts.workers[1])
    hosts.laptop.run("ray down --yes ~/local.yaml", timeout=120)
    for host in (hosts.head, *hosts.workers):
        key = "-i ~/.ssh/id_ed25519 -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null"
        hosts.laptop.run(f"ssh {key} root@{host.address} bash renyi-sharpness/clusters/stop_node.sh")
    for host in (hosts.head, *hosts.workers):
        left = [line for line in host.processes() if re.search(r"raylet|gcs_server|ray::|mlflow|monitor\.py", line)]
        assert left == []
