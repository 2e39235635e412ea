"""How many samples are worked on at a time, and what is known of a network before an engine is chosen."""

import pytest

from analysis.sharpness.hessian import setting
from analysis.sharpness.hessian.setting import Setting
from analysis.sharpness.problem import pose
from tests.analysis.sharpness.hessian.networks import build, samples


def setting_of(network: str, num_samples: int = 7) -> Setting:
    problem = pose(build(network).eval(), *samples(num_samples))
    return Setting.of(problem, "hessian", 4 * 2**30, num_products=150)


def test_chunks_hold_one_sample_at_least_and_all_at_most() -> None:
    found = setting_of("resnet")
    assert found.chunk(found.memory // 3) == 3
    assert found.chunk(10 * found.memory) == 1
    assert found.chunk(1) == 7


def test_chunks_for_the_caches_are_of_nearly_equal_size(monkeypatch: pytest.MonkeyPatch) -> None:
    found, name = setting_of("resnet"), "conv1.weight"
    assert found.cached_chunk([name]) == 7
    monkeypatch.setattr(setting, "WEIGHTS_SHARE", 0)
    monkeypatch.setattr(setting, "CACHED_BYTES", 5 * found.profile.crest[name])
    assert found.cached_chunk([name]) == 4  # 4 and 3, rather than 5 and 2
    assert found.cached_chunk([name], cotangents=5) == 1


def test_a_factor_has_a_row_for_each_sample_and_direction_of_the_loss() -> None:
    assert setting_of("resnet").num_rows == 7 * (3 - 1)


def test_a_network_without_a_tape_says_why() -> None:
    assert setting_of("resnet").tape is not None
    smooth = setting_of("smooth_cnn")
    assert smooth.tape is None
    assert "SiLU" in smooth.tape_reason
