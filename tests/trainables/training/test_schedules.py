import pytest
import torch

from trainables.training.schedules import learning_rate_factor
from trainables.trial.specs import TrainingSpec


@pytest.mark.parametrize(
    ("epoch", "rate"),
    [(0, 0.0001), (1, 0.01009), (5, 0.05005), (9, 0.09001), (10, 0.1), (105, 0.05), (199, 6.83e-6)],
)
def test_warmup_then_cosine_as_in_the_authors_code(epoch: int, rate: float) -> None:
    training = TrainingSpec(epochs=200, batch_size=128, warmup_epochs=10)
    assert 0.1 * learning_rate_factor(epoch, training) == pytest.approx(rate, rel=1e-3)


def test_constant_after_warmup() -> None:
    training = TrainingSpec(epochs=20, batch_size=128, warmup_epochs=2, schedule="constant")
    assert [learning_rate_factor(epoch, training) for epoch in (2, 10, 19)] == [1.0, 1.0, 1.0]


@pytest.mark.parametrize(("milestones", "factor"), [((30, 60, 80), 0.1), ((1,), 0.5), ((2, 3, 99), 0.2)])
def test_multi_step_is_torchs(milestones: tuple[int, ...], factor: float) -> None:
    training = TrainingSpec(
        epochs=100, batch_size=128, schedule="multi_step", milestones=milestones, decay_factor=factor
    )
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.1)
    scheduler = torch.optim.lr_scheduler.MultiStepLR(optimizer, milestones, factor)
    for epoch in range(100):
        assert 0.1 * learning_rate_factor(epoch, training) == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-12)
        optimizer.step()
        scheduler.step()


def test_multi_step_after_a_warm_up_falls_by_ten_where_nothing_else_is_given() -> None:
    training = TrainingSpec(epochs=9, batch_size=1, warmup_epochs=2, schedule="multi_step", milestones=(4, 7))
    factors = [learning_rate_factor(epoch, training) for epoch in range(9)]
    assert factors == pytest.approx([0.001, 0.5005, 1, 1, 0.1, 0.1, 0.1, 0.01, 0.01])
