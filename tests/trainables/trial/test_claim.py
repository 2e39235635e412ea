from pathlib import Path

import pytest

from trainables.errors import ReplacedError
from trainables.trial.claim import Claim
from trainables.trial.manifest import CheckedFolder
from trainables.trial.storage import LocalFolder


def test_the_last_claim_counts_and_ends_a_write_that_was_checked_before_it(tmp_path: Path) -> None:
    folder = CheckedFolder(LocalFolder(tmp_path), "trial")
    first, second = Claim(folder), Claim(folder)
    assert not first.is_taken
    first.take("a")
    first.check()
    folder.write("a", b"first", first.check)

    def check_then_be_replaced() -> None:
        first.check()
        second.take("a")

    calls = [check_then_be_replaced, first.check]
    with pytest.raises(ReplacedError, match="now works on"):
        folder.write("a", b"too late", lambda: calls.pop(0)())
    assert folder.read("a") == b"first"
    folder.write("a", b"second", second.check)
    with pytest.raises(ReplacedError):
        folder.write("a", b"later still", first.check)
    assert folder.read("a") == b"second"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "worker.json"]


def test_bytes_that_a_claim_removed_which_is_void_itself_are_written_again(tmp_path: Path) -> None:
    folder = CheckedFolder(LocalFolder(tmp_path), "trial")
    claim = Claim(folder)
    claim.take("a")
    removals = [lambda: folder.clear("a")]

    def check() -> None:
        claim.check()
        if removals:
            removals.pop()()

    folder.write("a", b"whole", check)
    assert folder.read("a") == b"whole"
