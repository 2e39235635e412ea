"""Cotangents that are one map of positions, scaled, are the same as those written out."""

import torch
from torch import Tensor, nn

from analysis.sharpness.hessian.tape.cotangents import Cotangents
from analysis.sharpness.hessian.tape.operations import Operation, step_of_module


def draw(*size: int, seed: int = 0) -> Tensor:
    return torch.randn(*size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def pooling() -> tuple[Operation, object]:
    """Of (2, 3, 4, 4) images to one position, with what its primal pass saves."""
    operation = step_of_module(nn.AdaptiveAvgPool2d(1))
    assert operation is not None
    return operation, operation.primal(draw(2, 3, 4, 4))[1]


def test_below_a_pooling_all_cotangents_share_a_map_of_positions() -> None:
    operation, saved = pooling()
    dy = draw(2, 5, 3, 1, 1, seed=1)
    below = Cotangents(dy).pull(operation, saved)
    assert below.scales is not None
    assert below.values.shape == (2, 1, 3, 4, 4)
    assert torch.allclose(below.dense(), operation.pull(saved, dy))


def test_one_cotangent_is_not_split() -> None:
    operation, saved = pooling()
    assert Cotangents(draw(2, 1, 3, 1, 1)).pull(operation, saved).scales is None


def test_a_sum_overwrites_only_what_is_owned() -> None:
    kept, owned = draw(2, 5, 3), draw(2, 5, 3, seed=1)
    expected, before = kept + owned, kept.clone()
    total = Cotangents(kept).plus(Cotangents(owned, owned=True))
    assert torch.equal(total.dense(), expected)
    assert torch.equal(kept, before)
    assert total.values is owned
    assert not total.shared().owned
