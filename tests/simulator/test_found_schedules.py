"""Schedules in which something was wrong once, made as short as possible: which choices were not the quiet ones."""

import pytest

from tests.simulator.choices import Choices
from tests.simulator.schedules import play

FOUND = [
    # A driver whose clock was ahead died; the others believed its last heartbeat for as long.
    ("leases", "nfs", {1: 6, 3: 3, 5: 3, 6: 2, 77: 1}),
    # A server of NFS lost its answer to `link` and was asked again; the driver was refused because of itself.
    (
        "leases",
        "nfs",
        {
            0: 2,
            3: 2,
            11: 3,
            15: 6,
            17: 213,
            20: 215,
            22: 87,
            23: 238,
            28: 7,
            29: 55,
            32: 32,
            33: 3,
            90: 265,
            91: 4,
            92: 8,
            93: 268,
            96: 122,
            97: 10,
            98: 37,
            99: 4,
            100: 49,
            101: 1,
            106: 1,
            107: 94,
            108: 226,
            109: 1,
            122: 2,
            123: 66,
        },
    ),
    # A worker that was replaced finished just before, and the new one finished the training again.
    ("trials", "disk", {0: 1, 2: 2, 5: 4, 8: 2, 11: 10, 18: 4, 108: 5, 109: 2, 144: 5, 145: 80}),
    # NFS listed a lease that was gone, for so long that the look for it went too deep.
    (
        "leases",
        "nfs",
        {
            1: 4,
            3: 1,
            5: 3,
            7: 2,
            8: 2,
            26: 3,
            27: 110,
            30: 37,
            31: 10,
            52: 233,
            53: 4,
            54: 68,
            55: 202,
            56: 9,
            57: 95,
            62: 9,
            63: 49,
            78: 20,
            79: 3,
            90: 3,
            91: 238,
            98: 5,
            99: 27,
            106: 2,
            107: 3,
            112: 161,
            113: 3,
            114: 49,
            115: 1,
            125: 4,
            128: 215,
            129: 9,
            130: 77,
        },
    ),
    # Two actors wrote the same measurement at the same time.
    ("trials", "disk", {160: 5, 161: 4, 166: 5, 167: 47}),
    # A worker stood still between its check and its write.
    ("trials", "nfs", {0: 1, 1: 2, 2: 1, 5: 3, 13: 2, 14: 1, 33: 1, 43: 3}),
]


@pytest.mark.parametrize(("scenario", "kind", "made"), FOUND)
def test_it_is_right_now(scenario: str, kind: str, made: dict[int, int]) -> None:
    given = [made.get(index, 0) for index in range(max(made) + 1)]
    assert play(scenario, kind, Choices(given=given)) == ""
