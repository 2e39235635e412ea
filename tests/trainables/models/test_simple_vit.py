"""Forward passes and gradients against vit_pytorch's network with the same weights; sizes; order of layers."""

import importlib

import pytest
import torch

from analysis.sharpness import weight_layers
from tests.trainables.models.twins import assert_same_logits_and_gradients
from trainables.models import build_model
from trainables.models.simple_vit import SimpleViT, simple_vit


def test_simple_vit_equals_vit_pytorch() -> None:
    oracle = importlib.import_module("vit_pytorch.simple_vit")
    torch.manual_seed(0)
    model = SimpleViT(10, image_size=16, width=32, depth=2, heads=4, head_width=8, mlp_width=48).double()
    twin = oracle.SimpleViT(
        image_size=16, patch_size=4, num_classes=10, dim=32, depth=2, heads=4, dim_head=8, mlp_dim=48
    ).double()
    assert [p.shape for p in model.parameters()] == [p.shape for p in twin.parameters()]
    twin.load_state_dict(dict(zip(twin.state_dict(), model.parameters(), strict=True)))
    assert_same_logits_and_gradients(model, twin, torch.randn(3, 3, 16, 16, dtype=torch.float64))


def test_other_image_size_is_refused() -> None:
    with pytest.raises(RuntimeError, match="unflatten"):
        simple_vit()(torch.zeros(1, 3, 64, 64))
    with pytest.raises(ValueError, match="multiple of patch_size"):
        SimpleViT(10, image_size=30)
    with pytest.raises(ValueError, match="at least 8"):
        SimpleViT(10, width=4)


def test_layers_of_the_transformer_are_the_patch_four_a_block_and_the_head() -> None:
    with torch.device("meta"):
        layers = weight_layers(build_model("simple_vit", 10))
    assert layers[0] == "patch_embedding.weight"
    assert layers[1:5] == [
        "blocks.0.attention.to_qkv.weight",
        "blocks.0.attention.to_out.weight",
        "blocks.0.mlp.1.weight",
        "blocks.0.mlp.3.weight",
    ]
    assert layers[-1] == "head.weight"
