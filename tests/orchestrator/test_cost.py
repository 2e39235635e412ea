import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from orchestrator.cost import MODEL_SIZES
from trainables.data import load_dataset
from trainables.models import build_model
from trainables.specs import DataSpec


@pytest.mark.parametrize("name", MODEL_SIZES)
def test_sizes_of_networks_are_counted(name: str) -> None:
    data = load_dataset(DataSpec(dataset="digits"))
    model = build_model(name, data.num_classes, data.in_channels).eval()
    assert sum(parameter.numel() for parameter in model.parameters()) == MODEL_SIZES[name].parameters
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(data.normalize(data.train.images[:1]))
    assert counter.get_total_flops() == MODEL_SIZES[name].flops
