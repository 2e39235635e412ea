from pathlib import Path

import pytest

from orchestrator.errors import UsageError
from orchestrator.store.links import refuse_links
from trainables.trial.storage import LocalFolder


def test_links_that_lead_out_of_the_sweep_are_refused(tmp_path: Path) -> None:
    sweep, elsewhere = tmp_path / "sweep", tmp_path / "elsewhere"
    (sweep / "trials" / "a").mkdir(parents=True)
    elsewhere.mkdir()
    (sweep / "trials" / "b").symlink_to(sweep / "trials" / "a")  # stays inside
    (tmp_path / "link").symlink_to(sweep)
    refuse_links(LocalFolder(tmp_path / "link"))  # the folder itself may be one
    refuse_links(LocalFolder(tmp_path / "missing"))
    (sweep / "report").symlink_to(elsewhere)
    (sweep / "trials" / "a" / "last.pt").symlink_to(elsewhere / "missing")
    with pytest.raises(UsageError) as error:
        refuse_links(LocalFolder(sweep))
    assert f"{sweep}/report: is a link to {elsewhere}" in str(error.value)
    assert "last.pt: is a link" in str(error.value)
