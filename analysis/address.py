"""Addresses of storages, databases and servers: without their secrets, and whom they give the user's credentials."""

import re
from urllib.parse import urlsplit

HIDDEN = "***"
_ADDRESS = re.compile(r"(?P<scheme>[a-zA-Z][\w+-]*)://(?P<rest>\S*)")
_IN_TEXT = re.compile(r"(?P<scheme>\b[a-zA-Z][\w+-]*)://(?P<rest>[^\s'\"`<>]*)")
_OF_DATABASES = re.compile(r"(postgres|postgresql|mysql|mariadb|mssql|oracle|mongodb|redis|amqp)\b")
_CONTAINERS = ("abfs", "abfss", "wasb", "wasbs")  # where what is before the @ may be a container's name
_HARMLESS = frozenset(  # keys of an address' query whose values are shown
    {
        *("endpoint_override", "region", "scheme", "allow_bucket_creation", "allow_bucket_deletion"),
        *("retry_limit_seconds", "anonymous", "background_writes", "tls_ca_file_path", "enable_tls"),
        *("replication", "buffer_size", "default_block_size", "kerb_ticket"),
        *("sslmode", "charset", "driver", "host", "port", "connect_timeout", "target_session_attrs", "timeout"),
        *("workflowType", "viewStateShareKey"),  # of pages of MLflow
    }
)
BUCKETS = ("s3", "gs", "gcs")  # schemes of addresses that name a bucket and no host


def without_secrets(text: str) -> str:
    """A text in which every address may be shown: without user, password, and values in the query that may be secret.

    Passwords may hold `@` and `/`. A path with an `@`, as in `s3://bucket/a@b`, is left as it is, unless the address
    is a database's.
    """
    alone = _ADDRESS.fullmatch(text)
    return _shown(alone) if alone else _IN_TEXT.sub(_shown, text)


def _shown(match: "re.Match[str]") -> str:
    scheme, rest = match["scheme"], match["rest"]
    before, mark, query = rest.partition("?")
    authority = before.partition("/")[0]
    if scheme.lower() == "sqlite":
        return f"{scheme}://{before}{mark}{_without_values(query)}"
    if "@" not in before and "@" in query and _has_password(authority):
        before, mark, query = rest, "", ""  # the question mark is the password's
    user_info, at, place = before.rpartition("@")
    if at and not _is_path(scheme.lower(), user_info):
        before = f"{HIDDEN}@{place}"
    return f"{scheme}://{before}{mark}{_without_values(query)}"


def _is_path(scheme: str, user_info: str) -> bool:
    """Whether what is before the last `@` belongs to the path, or names a container."""
    authority, slash, _ = user_info.partition("/")
    if scheme in _CONTAINERS and ":" not in authority:
        return True
    return bool(slash) and "@" not in authority and not _OF_DATABASES.match(scheme) and not _has_password(authority)


def _has_password(authority: str) -> bool:
    """Whether what follows a colon is no port."""
    _, colon, port = authority.rpartition(":")
    return bool(colon) and not port.isdigit() and not authority.startswith("[")


def _without_values(query: str) -> str:
    def shown(part: str) -> str:
        key, mark, value = part.partition("=")
        return part if key in _HARMLESS or not value else f"{key}{mark}{HIDDEN}"

    return "&".join(map(shown, query.split("&"))) if query else ""


def names_a_host(address: str) -> bool:
    """Whether an address may send the user's credentials to a host that it names itself.

    A path does not, and neither does a plain `s3://bucket/key` or `gs://bucket/key`: those are asked of the provider,
    or of the endpoint that the user's own environment names.
    """
    if "://" not in address or address.startswith("file:"):
        return False
    scheme, _, rest = address.partition("://")
    return scheme.lower() not in BUCKETS or "?" in rest or "@" in rest.partition("/")[0]


def same_server(first: str, second: str) -> bool:
    """Whether two addresses name the same host and port."""
    try:
        one, other = urlsplit(first), urlsplit(second)
        return (one.hostname, one.port) == (other.hostname, other.port)
    except ValueError:
        return False
