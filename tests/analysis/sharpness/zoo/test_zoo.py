"""The smaller networks of the zoo, a few layers each; all layers of all networks: `benchmarks/model_matrix.py`."""

import pytest
import torch

from analysis.sharpness.hessian import block_operator
from analysis.sharpness.layers import weight_layers
from tests.analysis.sharpness.zoo import recurrent_models, timm_models, torchvision_models, transformers_models
from tests.analysis.sharpness.zoo.comparison import TOLERANCE, compare
from tests.analysis.sharpness.zoo.entry import Entry

LAYERS = 3  # of each network
SMALL = [
    *torchvision_models.SMALL_ENTRIES,
    *timm_models.SMALL_ENTRIES,
    *transformers_models.SMALL_ENTRIES,
    *recurrent_models.ENTRIES,
]


@pytest.mark.parametrize("entry", SMALL, ids=lambda entry: f"{entry.name} of {entry.source}")
def test_products_and_traces_are_those_of_double_backward_by_hand(entry: Entry) -> None:
    torch.manual_seed(0)
    case = entry.build()
    every = max(1, len(weight_layers(case.model)) // LAYERS)
    findings = compare(case, every)
    assert len(findings.layers) >= 2 * min(LAYERS, len(weight_layers(case.model)))
    assert {
        f"{found.layer}, {found.curvature}": found.product for found in findings.layers if found.product > TOLERANCE
    } == {}
    assert {found.layer: found.trace for found in findings.layers if (found.trace or 0) > TOLERANCE} == {}
    assert findings.said == []  # no engine failed the self-check


def test_the_head_of_a_network_with_a_class_token_has_its_closed_form() -> None:
    torch.manual_seed(0)
    (vit,) = [entry for entry in torchvision_models.SMALL_ENTRIES if entry.name == "ViT"]
    case = vit.build()
    assert block_operator(case.model, case.inputs, case.targets, "heads.head.weight").engine == "head"
