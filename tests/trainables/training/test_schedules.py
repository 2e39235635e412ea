import pytest

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
