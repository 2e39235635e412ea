import gc

import pytest
from torch import nn

from tests.trainables.optimizers.networks import batches, network, train
from trainables.optimizers import SAM
from trainables.optimizers.step.live_objects import live_instances


@pytest.fixture
def young_heap() -> None:
    """Search the whole heap in this file."""


class Kind(nn.Module):
    """A class of the test's own, so that no other test has objects of it."""


class Special(Kind):
    """One of its subclasses."""


def test_objects_of_a_class_and_of_its_subclasses_are_found() -> None:
    found = [Kind(), Special(), nn.Sequential(Kind())]
    assert set(live_instances(Kind)) == {found[0], found[1], found[2][0]}  # type: ignore[index]


def test_objects_are_not_kept_alive() -> None:
    alone = Kind()
    found = live_instances(Kind)
    assert len(found) == 1
    del alone
    gc.collect()
    assert len(found) == 0


def test_objects_that_were_hidden_from_the_collector_are_found_and_stay_hidden() -> None:
    hidden, model = Kind(), network()
    gc.freeze()
    count = gc.get_freeze_count()
    assert set(live_instances(Kind)) == {hidden}
    assert gc.get_freeze_count() >= count
    train(model, SAM(model.parameters(), lr=0.0), batches(3))
    assert model[1].num_batches_tracked == 3, "batch-norm moves once a step"
