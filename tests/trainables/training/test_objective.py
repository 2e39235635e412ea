"""Label smoothing and mixed classes, against torch's own losses of smoothed and of soft targets."""

import math

import pytest
import torch
from torch.nn.functional import cross_entropy, one_hot

from trainables.data.mixup import Mixture
from trainables.training.objective import objective

CLASSES = 5


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(7, CLASSES, generator=generator, dtype=torch.float64)
    return logits.requires_grad_(), torch.randint(CLASSES, (7,), generator=generator)


MIXTURES = [None, Mixture(torch.tensor([3, 0, 2, 1, 6, 4, 5]), 0.3), Mixture(torch.arange(7), 0.8)]


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.9])
@pytest.mark.parametrize("mixture", MIXTURES)
def test_the_loss_is_that_of_soft_targets_and_so_is_its_gradient(smoothing: float, mixture: Mixture | None) -> None:
    logits, targets = batch()
    soft = one_hot(targets, CLASSES).double()
    if mixture is not None:
        soft = mixture.share * soft + (1 - mixture.share) * soft[mixture.partners]
    lowered, reported = objective(logits, targets, smoothing, mixture)
    expected = cross_entropy(logits, (1 - smoothing) * soft + smoothing / CLASSES)
    torch.testing.assert_close(lowered, expected, rtol=0, atol=1e-12)
    torch.testing.assert_close(
        torch.autograd.grad(lowered, logits)[0], torch.autograd.grad(expected, logits)[0], rtol=0, atol=1e-12
    )
    torch.testing.assert_close(reported, cross_entropy(logits, soft).detach(), rtol=0, atol=1e-12)
    assert not reported.requires_grad


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.9])
def test_without_a_mixture_it_is_torchs_label_smoothing_bit_for_bit(smoothing: float) -> None:
    logits, targets = batch()
    lowered, reported = objective(logits, targets, smoothing)
    assert torch.equal(lowered, cross_entropy(logits, targets, label_smoothing=smoothing))
    assert torch.equal(reported, cross_entropy(logits, targets))


def test_smoothing_in_closed_form() -> None:
    """Two classes, logits (z, 0), class 0: log(1 + e^−z) + ε z/2."""
    lowered, reported = objective(torch.tensor([[2.0, 0.0]]).double(), torch.tensor([0]), 0.2)
    assert reported.item() == pytest.approx(math.log1p(math.exp(-2)), abs=1e-12)
    assert lowered.item() == pytest.approx(math.log1p(math.exp(-2)) + 0.2, abs=1e-12)
