"""What an autoscaler could bring, by the file that the cluster was launched from."""

from pathlib import Path

import yaml

from orchestrator.executors.ray.nodes import avoiding, launchable_nodes
from orchestrator.executors.ray.placement import Node

OUR_CLUSTER = Path(__file__).parents[4] / "cluster.yaml"
KINDS = {
    "head": {"resources": {"CPU": 2}},
    "small": {"resources": {"CPU": 8, "GPU": 1}, "max_workers": 2},
    "large": {"resources": {"CPU": 32}},
}


def test_all_nodes_that_the_file_allows_are_counted(tmp_path: Path) -> None:
    file = tmp_path / "cluster.yaml"
    file.write_text(
        yaml.safe_dump({"max_workers": 3, "head_node_type": "head", "available_node_types": KINDS}, sort_keys=False)
    )
    assert launchable_nodes(file) == [Node("", 2, 0), *[Node("", 8, 1)] * 2, *[Node("", 32, 0)] * 3]


def test_our_cluster_file_says_how_large_its_nodes_are() -> None:
    head, *workers = launchable_nodes(OUR_CLUSTER) or []
    assert (head.cpus, head.gpus) == (0, 0)  # trials and measuring stay off the head
    assert workers
    assert all(node.gpus == 1 for node in workers)


def test_limits_that_are_not_known_refuse_nothing(tmp_path: Path) -> None:
    file = tmp_path / "cluster.yaml"
    assert launchable_nodes(file) is None
    kinds = {**KINDS, "found_by_the_provider": {"max_workers": 2}}
    file.write_text(yaml.safe_dump({"head_node_type": "head", "available_node_types": kinds}))
    assert launchable_nodes(file) is None


def test_no_node_is_avoided_without_a_reason() -> None:
    assert avoiding([]) is None
    assert avoiding({"b", "a"}) == {"ray.io/node-id": "!in(a, b)"}
