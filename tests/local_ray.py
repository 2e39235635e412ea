"""A Ray of one machine for the tests of one file."""

from collections.abc import Iterator
from contextlib import contextmanager

import ray


@contextmanager
def local_ray() -> Iterator[str]:
    """Two processors; the id of the node."""
    ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False, configure_logging=False)
    try:
        node_id: str = ray.get_runtime_context().get_node_id()
        yield node_id
    finally:
        ray.shutdown()
