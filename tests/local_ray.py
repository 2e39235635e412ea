"""A Ray of one machine for the tests of one file."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import ray


@contextmanager
def local_ray(dashboard: bool = False) -> Iterator[Mapping[str, str]]:
    """Two processors; what Ray says of it, such as `node_id` and `webui_url`."""
    context: Any = ray.init(
        "local", num_cpus=2, include_dashboard=dashboard, log_to_driver=False, configure_logging=False
    )
    try:
        yield context.address_info
    finally:
        ray.shutdown()
