"""Samples in numpy archives."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trainables.data.arrays import load_arrays
from trainables.errors import TrainingError


@pytest.mark.parametrize("names", [("inputs", "targets"), ("X", "y"), ("images", "labels")])
def test_samples_are_drawn_in_pairs(names: tuple[str, str], tmp_path: Path) -> None:
    path = tmp_path / "samples.npz"
    arrays: dict[str, Any] = {names[0]: np.arange(20.0)[:, None], names[1]: np.arange(20)}
    np.savez(path, **arrays)
    inputs, targets = load_arrays(path, 8)
    assert len(set(targets.tolist())) == 8
    assert np.array_equal(inputs[:, 0], targets)
    assert np.array_equal(targets, load_arrays(path, 8)[1])
    assert load_arrays(path, 30)[1].tolist() == list(range(20))


def test_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "samples.npz"
    with pytest.raises(TrainingError, match="no such file"):
        load_arrays(path, 8)
    path.write_bytes(b"no zip")
    with pytest.raises(TrainingError, match=r"not a readable .npz"):
        load_arrays(path, 8)
    np.savez(path, a=np.zeros(3))
    with pytest.raises(TrainingError, match="must hold the arrays `inputs` and `targets`; it holds a"):
        load_arrays(path, 8)
    np.savez(path, inputs=np.zeros(3), targets=np.zeros(4))
    with pytest.raises(TrainingError, match="must have one length"):
        load_arrays(path, 8)
    np.savez(path, inputs=np.array([{}]), targets=np.zeros(1))
    with pytest.raises(TrainingError, match="archive of numbers"):
        load_arrays(path, 8)
