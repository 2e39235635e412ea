"""Whether Ray can start or be joined, found out in seconds and without starting anything."""

import os
import re
import socket
import sys
from pathlib import Path

from orchestrator.errors import UsageError

ANSWER_SECONDS = 5.0
LONGEST_SOCKET = 103 if sys.platform == "darwin" else 107  # bytes of the path of a Unix socket
SOCKET = f"ray/session_0000-00-00_00-00-00_000000_{2**22}/sockets/plasma_store"  # Ray's longest, in its folder
# A client's first bytes in HTTP/2, on which Ray's RPCs run (RFC 9113, §3.4); any server answers with settings.
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
SETTINGS = 4  # the type of that answer's frame, its fourth byte
REMEDY = "name a running cluster's head as host:6379, or unset RAY_ADDRESS to use this machine alone"


def ray_address() -> str | None:
    """The cluster that RAY_ADDRESS names; None where Ray is to be started on this machine."""
    address = os.environ.get("RAY_ADDRESS", "")
    return None if address in ("", "local") else address


def check_ray() -> None:
    """Check that a cluster answers at RAY_ADDRESS; or, without one, that Ray can make its sockets here.

    Ray itself would try for a minute, and then end the process.

    Raises:
        UsageError: no; one line with the remedy.
    """
    address = ray_address()
    if address is None:
        _check_sockets()
    elif address != "auto":
        _check_address(address, address.removeprefix("ray://"))
    else:
        _check_address(address, _found_by_ray())


def _check_sockets() -> None:
    variable = "RAY_TMPDIR" if "RAY_TMPDIR" in os.environ else "TMPDIR"
    folder = os.environ.get(variable) or "/tmp"  # as Ray chooses it
    size = len(os.fsencode(Path(folder) / SOCKET))
    if size > LONGEST_SOCKET:
        raise UsageError(
            f"{variable}: {folder} is too long for Ray: the path of a socket in it would have {size} bytes, of at most "
            f"{LONGEST_SOCKET}; set RAY_TMPDIR to a folder with a short path, such as /tmp"
        )


def _found_by_ray() -> str:
    from ray._private.services import canonicalize_bootstrap_address_or_die

    try:
        return canonicalize_bootstrap_address_or_die("auto")
    except (ConnectionError, ValueError) as error:
        raise UsageError(f"RAY_ADDRESS: auto: no Ray is running on this machine; {REMEDY}") from error


def _check_address(address: str, host_and_port: str) -> None:
    parts = re.fullmatch(r"(?:\[([^][]+)\]|([^][/:]+)):(\d{1,5})", host_and_port)
    if parts is None or not 0 < int(parts[3]) < 2**16:
        raise UsageError(f"RAY_ADDRESS: {address!r} is not of the form host:port; {REMEDY}")
    try:
        with socket.create_connection((parts[1] or parts[2], int(parts[3])), ANSWER_SECONDS) as connection:
            if os.environ.get("RAY_USE_TLS", "0") != "0":
                return
            connection.sendall(PREFACE)
            answer = connection.recv(9)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UsageError(f"RAY_ADDRESS: {address} does not answer ({reason}); {REMEDY}") from error
    if len(answer) < 4 or answer[3] != SETTINGS:
        raise UsageError(f"RAY_ADDRESS: what answers at {address} is not Ray's head; {REMEDY}")
