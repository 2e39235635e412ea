"""clusters/slurm.sh in a Slurm cluster of three hosts: a controller, and two nodes that run the sweep."""

import os
import shutil
from collections.abc import Iterator

import pytest

from tests.conftest import SMALL_SWEEP
from tests.hosts import hosts as hosts_module
from tests.hosts.hosts import HOME, REPOSITORY, Hosts

pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]

TOOLS = ("munged", "slurmctld", "slurmd", "sbatch")
CONFIGURATION = """\
ClusterName=renyi
SlurmctldHost=head
AuthType=auth/munge
AuthInfo=socket=/run/munge/socket
SlurmUser=root
SlurmdUser=root
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
StateSaveLocation=/tmp/slurmctld
SlurmdSpoolDir=/tmp/slurmd
SlurmctldPidFile=/run/slurmctld.pid
SlurmdPidFile=/run/slurmd.pid
ReturnToService=2
NodeName=worker[1-2] CPUs=2 RealMemory=1000
PartitionName=all Nodes=ALL Default=YES State=UP
"""
MUNGE = (
    "mkdir -m 755 /run/munge && munged --force --key-file=/mnt/munge.key --socket=/run/munge/socket "
    "--pid-file=/run/munge/pid --seed-file=/run/munge/seed --log-file=/tmp/munged.log"
)


@pytest.fixture(scope="module")
def hosts() -> Iterator[Hosts]:
    """Hosts on which Slurm runs, the package is installed, and the token lies, as in a home that all share."""
    lacking = [tool for tool in TOOLS if shutil.which(tool, path=f"/usr/sbin:{os.environ['PATH']}") is None]
    reason = hosts_module.missing() or (f"needs {', '.join(lacking)}; `make test-system` installs them" * bool(lacking))
    if reason:
        pytest.skip(f"NO SLURM TEST: {reason}")
    with hosts_module.started() as hosts:
        (hosts.shared / "slurm.conf").write_text(CONFIGURATION)
        (hosts.shared / "munge.key").write_bytes(os.urandom(128))
        (hosts.shared / "munge.key").chmod(0o600)
        (hosts.shared / "sweep.yaml").write_text(SMALL_SWEEP)
        hosts.laptop.run("ray get-auth-token --generate > /dev/null")
        hosts.head.run(f"python -m pip wheel --quiet --no-deps --wheel-dir /mnt {REPOSITORY}")
        for host in (hosts.head, *hosts.workers):
            host.run(f"{MUNGE} && python -m pip install --quiet --no-deps --no-compile /mnt/*.whl")
            shutil.copytree(hosts.laptop.home / ".ray", host.home / ".ray")
        hosts.head.run("mkdir /tmp/slurmctld && SLURM_CONF=/mnt/slurm.conf slurmctld -L /tmp/slurmctld.log")
        for worker in hosts.workers:
            worker.run(f"mkdir /tmp/slurmd && SLURM_CONF=/mnt/slurm.conf slurmd -N {worker.name} -L /tmp/slurmd.log")
        yield hosts


def submit(hosts: Hosts, sweep: str = "/mnt/sweep.yaml", code: int = 0) -> str:
    """Run the shipped script to its end, on nodes without GPUs; what it wrote."""
    log = hosts.shared / "sweep.log"
    log.unlink(missing_ok=True)
    settings = "export SLURM_CONF=/mnt/slurm.conf RENYI_STORAGE=/mnt/renyi"
    script = f"{REPOSITORY}/clusters/slurm.sh"
    command = f"{settings} && sbatch --wait --gres=none --output=/mnt/sweep.log {script} {sweep}"
    done = hosts.head.run(command, check=False, timeout=280)
    text = log.read_text() if log.exists() else ""
    assert done.returncode == code, f"{done.stdout}\n{text}"
    return text


def test_a_sweep_runs_on_all_nodes_of_an_allocation_and_resumes(hosts: Hosts) -> None:
    first = submit(hosts)
    assert "preflight: 2 nodes" in first
    assert "4 trained, 4 measured; 4 trials in all" in first
    assert "0 trained, 0 measured; 4 trials in all" in submit(hosts)
    assert (hosts.shared / "renyi" / "small" / "report" / "report.html").is_file()
    status = hosts.head.run(f"{HOME}/venv/bin/renyi status /mnt/sweep.yaml --storage /mnt/renyi").stdout
    assert "4 measured" in status
    for worker in hosts.workers:
        assert not [process for process in worker.processes() if "raylet" in process or "gcs_server" in process]


def test_the_exit_code_of_the_job_is_that_of_the_sweep(hosts: Hosts) -> None:
    assert "no such file, and no shipped sweep of that name" in submit(hosts, "/mnt/nothing.yaml", code=2)
