"""Seeds of independent random streams, named by what they are for."""

import hashlib


def derive_seed(*purpose: object) -> int:
    """A 63-bit seed that depends only on the given words, e.g. `derive_seed(0, "probes", "fc.weight")`.

    The same words give the same seed on every machine and in every process, so a draw can be repeated after a
    resume, and the same draw can be shared by all models (common random numbers).
    """
    digest = hashlib.sha256("\x1f".join(map(str, purpose)).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
