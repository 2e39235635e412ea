"""Seals: every bit of a sealed file counts, and so does its place."""

import io
import json
import zipfile

import pytest

from trainables.trial.seal import (
    SealError,
    digest,
    is_sealed_json,
    seal_zip,
    sealed_json,
    trial_of_zip,
    unsealed_json,
)

CONTENT = {"reason": "ValueError: no", "count": 3}
SEALED = sealed_json("0105ba9dbfe1/failed.json", CONTENT)


def sealed_archive() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("archive/data.pkl", bytes(range(64)))
    seal_zip(buffer, "0105ba9dbfe1")
    return buffer.getvalue()


def test_the_digest_is_that_of_the_standard() -> None:
    assert digest(b"abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_json_comes_back_without_its_seal_and_people_can_read_it() -> None:
    assert unsealed_json("0105ba9dbfe1/failed.json", SEALED) == CONTENT
    assert json.loads(SEALED).keys() == {"reason", "count", "sha256"}
    assert is_sealed_json(SEALED)


def test_json_of_an_earlier_version_has_no_seal() -> None:
    data = json.dumps(CONTENT, indent=2).encode()
    assert not is_sealed_json(data)
    assert unsealed_json("anywhere", data) == CONTENT


def test_json_at_another_place_does_not_match() -> None:
    with pytest.raises(SealError, match=r"expected SHA-256 [0-9a-f]{64}, found [0-9a-f]{64}"):
        unsealed_json("ffffffffffff/failed.json", SEALED)


@pytest.mark.parametrize("data", [b"", b"[1]", b"{", b"\xff", b'"text"', b"null"])
def test_what_is_no_json_object_is_refused(data: bytes) -> None:
    with pytest.raises(SealError):
        unsealed_json("place", data)


def test_every_flipped_bit_of_json_and_every_cut_is_seen() -> None:
    for bit in range(8 * len(SEALED)):
        flipped = bytearray(SEALED)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(SealError):
            unsealed_json("0105ba9dbfe1/failed.json", bytes(flipped))
    for size in range(len(SEALED)):
        with pytest.raises(SealError):
            unsealed_json("0105ba9dbfe1/failed.json", SEALED[:size])


def test_an_archive_names_its_trial_and_is_read_as_before() -> None:
    data = sealed_archive()
    assert trial_of_zip(data) == "0105ba9dbfe1"
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.read("archive/data.pkl") == bytes(range(64))


def test_every_flipped_bit_of_an_archive_and_every_cut_is_seen() -> None:
    data = sealed_archive()
    for bit in range(8 * len(data)):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(SealError):
            trial_of_zip(bytes(flipped))
    for size in range(len(data)):
        with pytest.raises(SealError):
            trial_of_zip(data[:size])


def test_without_a_seal_the_checksums_of_the_archive_are_compared() -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("archive/data.pkl", bytes(1000))
    data = buffer.getvalue()
    assert trial_of_zip(data) is None
    with pytest.raises(SealError, match="checksum"):
        trial_of_zip(data[:500] + b"\x01" + data[501:])
