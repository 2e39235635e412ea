"""Mixup blends as it is defined to, with shares from Beta(α, α)."""

import numpy as np
import pytest
import torch
from scipy import stats

from trainables.data.mixup import Mixture, draw_mixtures


def test_images_are_blended_with_those_of_their_partners() -> None:
    inputs = torch.tensor([1.0, 10.0, 100.0]).reshape(3, 1, 1, 1)
    blended = Mixture(torch.tensor([2, 0, 1]), 0.75).apply(inputs)
    assert blended.flatten().tolist() == pytest.approx([0.75 + 25, 7.5 + 0.25, 75 + 2.5])


def test_a_share_of_one_changes_nothing() -> None:
    inputs = torch.randn(4, 3, 2, 2)
    assert torch.equal(Mixture(torch.tensor([3, 2, 1, 0]), 1.0).apply(inputs), inputs)


@pytest.mark.parametrize("alpha", [0.2, 1.0, 4.0])
def test_shares_are_beta_distributed(alpha: float) -> None:
    shares = [mixture.share for mixture in draw_mixtures(alpha, [2] * 4000, seed=0, epoch=0)]
    assert stats.kstest(shares, stats.beta(alpha, alpha).cdf).pvalue > 1e-3


@pytest.mark.parametrize("alpha", [1e-12, 1e-3, 1e6])
def test_shares_are_shares_at_any_alpha(alpha: float) -> None:
    shares = np.array([mixture.share for mixture in draw_mixtures(alpha, [1] * 200, seed=0, epoch=0)])
    assert ((shares >= 0) & (shares <= 1)).all()
    if alpha == 1e6:
        assert shares == pytest.approx(0.5, abs=0.01)


def test_partners_are_a_permutation_drawn_uniformly() -> None:
    drawn = [mixture.partners for mixture in draw_mixtures(1.0, [4] * 6000, seed=1, epoch=0)]
    codes = [int(partners @ torch.tensor([64, 16, 4, 1])) for partners in drawn]
    counts = np.unique(codes, return_counts=True)[1]
    assert len(counts) == 24
    assert stats.chisquare(counts).pvalue > 1e-3


def test_each_batch_has_partners_of_its_own_and_draws_depend_on_seed_and_epoch_alone() -> None:
    sizes = [96, 96, 40, 1]
    first, again, other_epoch, other_seed = (
        list(draw_mixtures(0.2, sizes, seed, epoch)) for seed, epoch in ((0, 1), (0, 1), (0, 2), (1, 1))
    )
    assert [len(mixture.partners) for mixture in first] == sizes
    for mine, same, later, other in zip(first[:3], again, other_epoch, other_seed, strict=False):
        assert mine.share == same.share
        assert torch.equal(mine.partners, same.partners)
        assert mine.share not in (later.share, other.share)
    assert not torch.equal(first[0].partners, first[1].partners)
