"""The Ray cluster that a sweep runs on: how to join it, and which nodes it has or could have."""

import gc
import logging
import os
import signal
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import ray
import yaml

from analysis.garbage import no_garbage_collection
from orchestrator.errors import UsageError
from orchestrator.executors.ray.address import check_ray, ray_address
from orchestrator.executors.ray.placement import Node
from orchestrator.permissions import keep_token_private

LAUNCHER_FILE = Path("~/ray_bootstrap_config.yaml")  # where `ray up` puts the cluster's description on the head
NODE_ID_LABEL = "ray.io/node-id"
NODE_GROUP_LABEL = "ray.io/node-group"  # on nodes that an autoscaler manages
SHORT_ID = 6
RAY_DIGITS = 4  # to which Ray rounds amounts of resources


def connect(own_code: Sequence[Path] = ()) -> None:
    """Join the cluster at RAY_ADDRESS, or start a quiet local one.

    Args:
        own_code: modules and packages of the user's that a cluster's nodes need; they are sent there.

    Raises:
        UsageError: there is no such cluster, or Ray can't start here.
    """
    check_ray()
    keep_token_private()
    address = ray_address()
    if address is None:
        os.environ.pop("RAY_ADDRESS", None)  # empty, it is no address for Ray
    ships = own_code and address is not None
    quiet = {
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_ENABLE_AUTO_CONNECT": "0",  # a thread that outlives the cluster must not start another
        "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # MLflow is the record; Tune's own CSV and JSON files cost memory
        "TUNE_DISABLE_SIGINT_HANDLER": "1",
        "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",  # tracebacks of a lost process; TrialLost and the store report it
        "RAY_AIR_NEW_OUTPUT": "0",  # the new reporter prints a table even with verbose=0
    }
    for name, value in quiet.items():
        os.environ.setdefault(name, value)
    on_sigterm = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(
            address=address or "local",
            log_to_driver=False,
            include_dashboard=False,
            configure_logging=True,
            logging_level=logging.ERROR,
            runtime_env={"py_modules": [str(path) for path in own_code]} if ships else None,
        )
    except (OSError, ValueError) as error:
        raise UsageError(f"Ray can't {'be joined' if address else 'start here'}: {error}".splitlines()[0]) from error
    keep_token_private()  # Ray may have made it
    signal.signal(signal.SIGTERM, on_sigterm)  # Ray's own handler would abort without a message


def leave() -> None:
    """Leave the cluster, and end it if it is a local one.

    Garbage is collected before, and none while Ray shuts down: if another thread frees a reference to one of Ray's
    objects during the shutdown, the process dies without a message.
    """
    gc.collect()
    with no_garbage_collection():
        ray.shutdown()


def present_nodes(avoided: Collection[str] = ()) -> list[Node]:
    """The nodes that are up, without those to be avoided."""
    return [
        _node(node["Resources"], node["NodeID"])
        for node in ray.nodes()
        if node["Alive"] and node["NodeID"] not in avoided
    ]


def unused() -> dict[str, tuple[float, float]]:
    """CPUs and GPUs of each node that no process has, as of about a second ago."""
    state = ray._private.state.state.available_resources_per_node()
    return {node_id: (float(free.get("CPU", 0)), float(free.get("GPU", 0))) for node_id, free in state.items()}


def placed_trials(bundle: Mapping[str, float]) -> Counter[str]:
    """How many trials have a place on each node, started or not: placement groups of one such bundle."""
    wanted = {name: round(amount, RAY_DIGITS) for name, amount in bundle.items() if amount}
    return Counter(
        group["bundles_to_node_id"][0]
        for group in ray.util.placement_group_table().values()
        if group["state"] == "CREATED" and [_rounded(each) for each in group["bundles"].values()] == [wanted]
    )


def _rounded(bundle: Mapping[str, float]) -> dict[str, float]:
    return {name: round(amount, RAY_DIGITS) for name, amount in bundle.items()}


def names_of_nodes() -> dict[str, str]:
    """The name of each node by its id, dead nodes included: its host, and the start of its id on a shared host."""
    nodes = {node["NodeID"]: node["NodeManagerHostname"] for node in ray.nodes()}
    hosts = list(nodes.values())
    return {
        node_id: host if hosts.count(host) == 1 else f"{host}/{node_id[:SHORT_ID]}" for node_id, host in nodes.items()
    }


def possible_nodes() -> list[Node] | None:
    """All nodes that the cluster can have at its largest; None where that is not known.

    Without an autoscaler, these are the nodes that are up. With one, its limits come from its report to Ray (KubeRay),
    or from the launcher's file on the head.
    """
    alive = [node for node in ray.nodes() if node["Alive"]]
    if not any(node["Labels"].get(NODE_GROUP_LABEL) for node in alive):
        return present_nodes()
    reported = ray._private.state.state.get_cluster_config()
    if reported is not None and reported.node_group_configs:
        groups = [(group.resources, group.max_count) for group in reported.node_group_configs]
        if any(count < 0 for _, count in groups):
            return None
        return [_node(resources) for resources, count in groups for _ in range(count)]
    return launchable_nodes(LAUNCHER_FILE.expanduser())


def launchable_nodes(file: Path) -> list[Node] | None:
    """All nodes that a cluster launcher's file allows; None without a file, or where it does not state their sizes."""
    if not file.is_file():
        return None
    config = yaml.safe_load(file.read_text())
    most = config.get("max_workers", 2)
    nodes = []
    for name, kind in config.get("available_node_types", {}).items():
        if not kind.get("resources"):
            return None
        count = 1 if name == config.get("head_node_type") else min(kind.get("max_workers", most), most)
        nodes += [_node(kind["resources"])] * count
    return nodes


def avoiding(nodes: Collection[str]) -> dict[str, str] | None:
    """The label selector that keeps a process off some nodes; None if there are none to avoid."""
    return {NODE_ID_LABEL: f"!in({', '.join(sorted(nodes))})"} if nodes else None


def _node(resources: Any, node_id: str = "") -> Node:
    def amount(name: str) -> float:
        return float(resources[name]) if name in resources else 0.0

    return Node(node_id, amount("CPU"), amount("GPU"))
