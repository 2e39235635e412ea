"""Hosts on this machine: each has namespaces of its own for network, processes, mounts and name, and its own sshd.

Nothing of them exists outside: the bridge lies in the laptop's network namespace, so their addresses can't collide with
this machine's or with another test's, and everything ends with the processes that hold the namespaces, which the
kernel ends when this process does.

What they share with this machine is its root file system, read as a machine image with the heavy packages installed:
each host's ~/venv sees the site-packages that the tests run with. Home, /tmp, /run and /dev/shm are the host's own.
/mnt/renyi is the folder that all have mounted.
"""

import contextlib
import os
import shlex
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parents[2]
HOME = "/srv"  # of root on the hosts: not /root, where the interpreter may live
SHARED = "/mnt/renyi"
NETWORK = "10.213.77"
NUMBERS = {"laptop": 1, "head": 10, "worker1": 11, "worker2": 12}  # the last part of each address
TOOLS = ("sshd", "ssh", "ssh-keygen", "ip", "rsync", "nft", "unshare", "nsenter", "setpriv")
PREFIX = "renyi-hosts-"

INIT = """
set -e
mount --make-rprivate /
mount --bind {folder}/home /srv
mount --bind {shared} /mnt
mount --bind {folder}/passwd /etc/passwd
mount --bind {folder}/hosts /etc/hosts
mount --bind /dev/null /etc/resolv.conf
keep() {{ mkdir -p "{folder}/tmp$1"; mount --bind "/tmp$1" "{folder}/tmp$1"; }}
{keep}
mount --rbind {folder}/tmp /tmp
mount -t tmpfs -o mode=755 tmpfs /run
mount -t tmpfs -o mode=1777,size=2g tmpfs /dev/shm
mkdir -p /run/sshd
hostname {name}
ip link set lo up
touch {folder}/ready
{serve}
while :; do sleep 1; done  # as the first process, the shell also collects the ended ones
"""


def missing() -> str | None:
    """Why there can be no hosts here, or None."""
    if os.geteuid() != 0:
        return "needs root, for namespaces"
    lacking = [tool for tool in TOOLS if shutil.which(tool) is None and not Path("/usr/sbin", tool).exists()]
    if lacking:
        packages = "openssh-server iproute2 nftables rsync"
        return f"needs {', '.join(lacking)} (Debian: {packages}; `make test-system` installs them)"
    probe = subprocess.run(["unshare", "--net", "--mount", "--pid", "--uts", "--fork", "true"], capture_output=True)
    return None if probe.returncode == 0 else f"no namespaces here: {probe.stderr.decode().strip()}"


@dataclass
class Host:
    """One host; `laptop` has no sshd and holds the bridge."""

    name: str
    folder: Path
    holder: "subprocess.Popen[bytes]" = field(repr=False)  # ends the host when it ends
    init: int  # its first process, as this machine counts

    @property
    def address(self) -> str:
        return f"{NETWORK}.{NUMBERS[self.name]}"

    @property
    def home(self) -> Path:
        """Its home folder, as seen from this machine."""
        return self.folder / "home"

    def enter(self, *namespaces: str) -> list[str]:
        """The words before a command that is to run on it, by default wholly."""
        chosen = namespaces or ("--mount", "--net", "--pid", "--uts")
        return ["nsenter", "--target", str(self.init), *chosen, "--"]

    def environment(self) -> dict[str, str]:
        """That of a login, and the few variables that keep tests small."""
        return {
            "HOME": HOME,
            "USER": "root",
            "LANG": "C.UTF-8",
            "PATH": f"{HOME}/venv/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        }

    def start(self, command: str, environment: Mapping[str, str] | None = None, **options: Any) -> Any:
        """Start a shell command on it."""
        words = [*self.enter(), "bash", "-c", f"cd {shlex.quote(str(REPOSITORY))}; {command}"]
        return subprocess.Popen(words, env={**self.environment(), **(environment or {})}, text=True, **options)

    def run(self, command: str, *, check: bool = True, timeout: float = 120) -> "subprocess.CompletedProcess[str]":
        """Run a shell command on it to its end."""
        pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "stdin": subprocess.DEVNULL}
        process = self.start(command, start_new_session=True, **pipes)
        try:
            output, _ = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            output, _ = process.communicate()
            raise AssertionError(f"{self.name}: {command}: not done in {timeout} s\n{output}") from None
        done = subprocess.CompletedProcess(command, process.returncode, output, "")
        assert not check or done.returncode == 0, f"{self.name}: {command}: exit code {done.returncode}\n{output}"
        return done

    def processes(self) -> list[str]:
        """Command lines of what runs on it."""
        lines = self.run("ps -eo stat=,args=").stdout.splitlines()
        return [line.split(maxsplit=1)[1] for line in lines if not line.startswith("Z")]


class Hosts:
    """A laptop, a head and two workers on one bridge."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.shared = folder / "shared"
        self.all: dict[str, Host] = {}
        (self.shared / "renyi").mkdir(parents=True)
        key = folder / "key"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
        self.laptop = self._start("laptop")
        self._in_laptop("ip link add br0 type bridge && ip link set br0 up")
        self._in_laptop(f"ip addr add {self.laptop.address}/24 dev br0")
        shutil.copy(key, self.laptop.home / ".ssh" / "id_ed25519")
        self.head = self._start("head")
        self.workers = [self._start("worker1"), self._start("worker2")]

    def cut_off(self, host: Host) -> None:
        """Pull its network cable."""
        self._in_laptop(f"ip link set {host.name} down")

    def join(self, host: Host) -> None:
        """Plug its network cable in again."""
        self._in_laptop(f"ip link set {host.name} up")

    def end(self) -> None:
        """End every process of every host; the namespaces, and all they hold, go with them."""
        for host in self.all.values():
            host.holder.kill()
        for host in self.all.values():
            host.holder.wait(timeout=30)

    def _start(self, name: str) -> Host:
        folder = self._folder / name
        for each in ("home/.ssh", "tmp"):
            (folder / each).mkdir(parents=True)
        (folder / "tmp").chmod(0o1777)
        self._write_identity(folder, name)
        serve = "" if name == "laptop" else _sshd(folder, self._folder / "key.pub")
        keep = "\n".join(f"keep {shlex.quote(path)}" for path in _below_tmp())
        script = INIT.format(folder=folder, shared=self.shared, name=name, keep=keep, serve=serve)
        words = ["setpriv", "--pdeathsig", "KILL", "unshare", "--net", "--mount", "--pid", "--uts", "--ipc"]
        words += ["--fork", "--kill-child", "--mount-proc", "bash", "-c", script]
        with (folder / "log").open("wb") as log:
            holder = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env={"PATH": _PATH})
        _wait_for(lambda: (folder / "ready").exists() or holder.poll() is not None, 20)
        assert holder.poll() is None, (folder / "log").read_text()
        init = int(Path(f"/proc/{holder.pid}/task/{holder.pid}/children").read_text().split()[0])
        host = self.all[name] = Host(name, folder, holder, init)
        if name != "laptop":
            self._in_laptop(f"ip link add {name} type veth peer name eth0 netns {init}")
            self._in_laptop(f"ip link set {name} master br0 up")
            host.run(f"ip addr add {host.address}/24 dev eth0 && ip link set eth0 up")
            host.run(f"ip route add default via {self.laptop.address}")  # leads nowhere: the laptop forwards nothing
        return host

    def _write_identity(self, folder: Path, name: str) -> None:
        accounts = [line.split(":") for line in Path("/etc/passwd").read_text().splitlines()]
        for account in accounts:
            if account[0] == "root":
                account[5:] = [HOME, "/bin/bash"]
        (folder / "passwd").write_text("".join(":".join(account) + "\n" for account in accounts))
        names = [f"{NETWORK}.{number} {name}\n" for name, number in NUMBERS.items()]
        (folder / "hosts").write_text("".join(["127.0.0.1 localhost\n", *names]))
        (folder / "home" / ".bashrc").write_text("")
        (folder / "home" / ".profile").write_text('[ -n "$BASH" ] && . ~/.bashrc\n')
        provision(folder / "home" / "venv", Path(sys.executable))
        configuration = folder / "home" / ".config" / "pip"
        configuration.mkdir(parents=True)
        (configuration / "pip.conf").write_text("[global]\nno-index = true\nno-build-isolation = false\n")

    def _in_laptop(self, command: str) -> None:
        words = [*self.laptop.enter("--net"), "bash", "-c", command]
        subprocess.run(words, check=True, env={"PATH": _PATH}, timeout=20)


_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def provision(venv: Path, python: Path) -> None:
    """A virtual environment that sees the packages that the tests run with, as on a machine image that has them."""
    subprocess.run([python, "-m", "venv", "--without-pip", "--clear", venv], check=True)
    site_packages = next(venv.glob("lib/python*/site-packages"))
    (site_packages / "image.pth").write_text(sysconfig.get_path("purelib") + "\n")
    for name, module, function in (("ray", "ray.scripts.scripts", "main"), ("mlflow", "mlflow.cli", "cli")):
        script = venv / "bin" / name
        script.write_text(f"#!{HOME}/venv/bin/python\nfrom {module} import {function}\n{function}()\n")
        script.chmod(0o755)


@contextlib.contextmanager
def started() -> Iterator[Hosts]:
    """Hosts, ended and deleted at the end."""
    folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir="/var/tmp"))
    hosts = None
    try:
        hosts = Hosts(folder)
        yield hosts
    finally:
        if hosts is not None:
            hosts.end()
        shutil.rmtree(folder, ignore_errors=True)


def _sshd(folder: Path, public_key: Path) -> str:
    shutil.copy(public_key, folder / "home" / ".ssh" / "authorized_keys")
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / "host_key")], check=True)
    options = {"UsePAM": "no", "StrictModes": "no", "PermitRootLogin": "prohibit-password", "PidFile": "none"}
    words = ["/usr/sbin/sshd", "-D", "-e", "-f", "/dev/null", "-h", str(folder / "host_key")]
    return shlex.join([*words, *(f"-o{name}={value}" for name, value in options.items())]) + " &"


def _below_tmp() -> list[str]:
    """What the hosts must see although it lies in this machine's /tmp, without that."""
    needed = {Path(sys.prefix), Path(sys.base_prefix), REPOSITORY}
    return [str(path)[len("/tmp") :] for path in needed if path.is_relative_to("/tmp")]


def _wait_for(condition: Any, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not so after {seconds} s"
        time.sleep(0.1)
