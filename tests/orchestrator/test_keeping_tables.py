import pytest

from orchestrator.keeping_tables import show_list, size_text
from orchestrator.store.listing import ListedSweep


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (123_456, "123.5 kB"), (999_949, "999.9 kB"), (999_951, "1.0 MB"),
     (2_500_000_000, "2.5 GB"), (3 * 10**15, "3000.0 TB"), (None, "")],
)  # fmt: skip
def test_sizes(size: int | None, text: str) -> None:
    assert size_text(size) == text


def test_names_and_states_of_any_length_fit_80_columns(capsys: pytest.CaptureFixture[str]) -> None:
    states = {"pending": 12345, "training": 100, "trained": 200, "measured": 10_000, "failed": 17}
    sweeps = [
        ListedSweep("cifar100-resnet34-product-exact-" * 3, "here", states, 12, 1e9, 1.7e9, 10**12),
        ListedSweep("a", "here"),
    ]
    show_list(sweeps, "here")
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    text = " ".join(lines)
    assert all(word in text for word in ("22662:", "12345", "pending", "10000", "17 failed", "2001-09-09", "1.0 TB"))
