import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from trainables.catalogue import DATA_SETS, NETWORKS, size_of
from trainables.data import load_dataset
from trainables.models import build_model
from trainables.trial.specs import DataSpec

SHAPES = {"digits": (10, 1, 8), "cifar10": (10, 3, 32), "cifar100": (100, 3, 32), "tiny_imagenet": (200, 3, 64)}
RECORDED = [(name, data_set) for name, network in NETWORKS.items() for data_set in network.sizes]


@pytest.mark.parametrize(("name", "data_set"), RECORDED)
def test_recorded_sizes_are_those_of_the_network(name: str, data_set: str) -> None:
    num_classes, channels, pixels = SHAPES[data_set]
    size = size_of(name, data_set)
    assert size is not None
    with torch.device("meta"):
        model = build_model(name, num_classes, channels).eval()
        images = torch.empty(1, channels, pixels, pixels)
    assert sum(parameter.numel() for parameter in model.parameters()) == size.parameters
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(images)
    assert counter.get_total_flops() == size.flops


def test_the_recorded_number_of_digits_is_right() -> None:
    assert len(load_dataset(DataSpec(dataset="digits")).train.targets) == DATA_SETS["digits"].train_images


def test_the_recorded_sides_are_those_of_the_images() -> None:
    assert {name: known.side for name, known in DATA_SETS.items() if known.side} == {
        name: pixels for name, (_, _, pixels) in SHAPES.items()
    }
    assert load_dataset(DataSpec(dataset="digits")).train.images.shape[2:] == (8, 8)


def test_a_network_of_ones_own_has_no_recorded_size() -> None:
    assert size_of("my.network", "digits") is None
    assert size_of("resnet18", "parquet") is None
