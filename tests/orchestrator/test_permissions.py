import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator import permissions
from orchestrator.permissions import Access, files_for, keep_token_private


@pytest.mark.parametrize(
    ("access", "file", "folder"), [("owner", 0o600, 0o700), ("group", 0o660, 0o770), ("everyone", 0o644, 0o755)]
)
def test_files_of_this_process_and_of_those_it_starts(tmp_path: Path, access: Access, file: int, folder: int) -> None:
    before = os.umask(0o022)
    try:
        with files_for(access):
            (tmp_path / "here").mkdir()
            subprocess.run([sys.executable, "-c", "open('there', 'w')"], cwd=tmp_path, check=True)
        assert os.umask(0o022) == 0o022
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "here").stat().st_mode) == folder
    assert stat.S_IMODE((tmp_path / "there").stat().st_mode) == file


def test_the_token_of_ray_is_for_its_owner_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    token = tmp_path / "auth_token"
    monkeypatch.setattr(permissions, "RAY_TOKEN", token)
    keep_token_private()  # there is none
    token.write_text("secret")
    token.chmod(0o644)
    keep_token_private()
    assert stat.S_IMODE(token.stat().st_mode) == 0o600
