import gc

from torch import nn

from trainables.optimizers.live_objects import live_instances


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
    hidden = Kind()
    gc.freeze()
    try:
        count = gc.get_freeze_count()
        assert set(live_instances(Kind)) == {hidden}
        assert gc.get_freeze_count() >= count
    finally:
        gc.unfreeze()
