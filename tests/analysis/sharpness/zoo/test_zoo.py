"""The smaller networks of the zoo, a few layers each; all layers of all networks: `benchmarks/model_matrix.py`."""

from importlib import import_module

import pytest
import torch

from analysis.sharpness.hessian import block_operator
from analysis.sharpness.layers import weight_layers
from tests.analysis.sharpness.zoo.comparison import TOLERANCE, compare
from tests.analysis.sharpness.zoo.entry import Entry

LAYERS = 2  # of each network
FAMILIES = ("recurrent", "timm", "torchvision", "transformers")


def small(family: str) -> list[Entry]:
    """The smaller networks; their packages take seconds to import, and not in every process of a test run."""
    entries: list[Entry] = import_module(f"tests.analysis.sharpness.zoo.{family}_models").SMALL_ENTRIES
    return entries


@pytest.mark.parametrize("family", FAMILIES)
def test_products_and_traces_are_those_of_double_backward_by_hand(family: str) -> None:
    for entry in small(family):
        torch.manual_seed(0)
        case = entry.build()
        layers = weight_layers(case.model)
        findings = compare(case, every=max(1, len(layers) // LAYERS))
        assert len(findings.layers) >= 2 * min(LAYERS, len(layers)), entry.name
        assert {
            f"{found.layer}, {found.curvature}": found.product for found in findings.layers if found.product > TOLERANCE
        } == {}, entry.name
        assert {found.layer: found.trace for found in findings.layers if (found.trace or 0) > TOLERANCE} == {}
        assert findings.said == [], entry.name  # no engine failed the self-check


def test_the_head_of_a_network_with_a_class_token_has_its_closed_form() -> None:
    torch.manual_seed(0)
    (vit,) = [entry for entry in small("torchvision") if entry.name == "ViT"]
    case = vit.build()
    assert block_operator(case.model, case.inputs, case.targets, "heads.head.weight").engine == "head"
