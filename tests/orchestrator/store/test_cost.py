import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from trainables.catalogue import MODEL_SIZES
from trainables.models import build_model

SHAPES = {"digits": (10, 1, 8), "cifar10": (10, 3, 32), "cifar100": (100, 3, 32), "tiny_imagenet": (200, 3, 64)}


@pytest.mark.parametrize(("name", "dataset"), MODEL_SIZES)
def test_sizes_of_networks_are_counted(name: str, dataset: str) -> None:
    num_classes, channels, size = SHAPES[dataset]
    with torch.device("meta"):
        model = build_model(name, num_classes, channels).eval()
        image = torch.zeros(1, channels, size, size)
    assert sum(parameter.numel() for parameter in model.parameters()) == MODEL_SIZES[name, dataset].parameters
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(image)
    assert counter.get_total_flops() == MODEL_SIZES[name, dataset].flops
