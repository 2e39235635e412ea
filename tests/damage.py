"""Damage to files at rest, drawn at random: what happens to a file, and to which file of a store."""

import random
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path


class Damage(StrEnum):
    """What happens to a file."""

    FLIP = "one bit flipped"
    TRUNCATE = "cut short"
    DELETE = "deleted"
    OLDER = "an older version"
    FOREIGN = "another trial's"


def do(
    damage: Damage, path: Path, draw: random.Random, older: bytes | None = None, foreign: bytes | None = None
) -> None:
    """Damage a file; `older` and `foreign` are what takes its place, where that is the damage."""
    data = path.read_bytes()
    match damage:
        case Damage.FLIP:
            bit = draw.randrange(8 * len(data))
            flipped = bytearray(data)
            flipped[bit // 8] ^= 1 << bit % 8
            path.write_bytes(flipped)
        case Damage.TRUNCATE:
            path.write_bytes(data[: draw.randrange(len(data))])
        case Damage.DELETE:
            path.unlink()
        case Damage.OLDER:
            assert older is not None
            path.write_bytes(older)
        case Damage.FOREIGN:
            assert foreign is not None
            path.write_bytes(foreign)


def files(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, by its path there."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def restore(folder: Path, wanted: Mapping[str, bytes]) -> None:
    """Bring a folder back to files that it had."""
    for name in files(folder).keys() - wanted.keys():
        (folder / name).unlink()
    for name, data in wanted.items():
        path = folder / name
        if not path.exists() or path.read_bytes() != data:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
