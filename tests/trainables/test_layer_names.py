import torch

from analysis.sharpness import weight_layers
from trainables.catalogue import DATA_SETS, NETWORKS
from trainables.layer_names import layer_shapes, layers_in_words
from trainables.models import build_model


def test_the_recorded_shapes_are_those_of_the_networks() -> None:
    assert list(layer_shapes()) == list(NETWORKS)
    for name, shapes in layer_shapes().items():
        with torch.device("meta"):
            model = build_model(name, 10, 1 if name.startswith("digits") else 3)
        parameters = dict(model.named_parameters())
        assert {layer: list(parameters[layer].shape) for layer in weight_layers(model)} == shapes, name


def test_layers_are_told_apart_in_words() -> None:
    assert list(layers_in_words("digits_cnn").values()) == [
        "conv 1, 3×3, 8",
        "conv 2, 3×3, 12",
        "conv 3, 3×3, 16",
        "classifier, 64 inputs",
    ]
    assert layers_in_words("resnet18")["layer2.0.downsample.0.weight"] == "shortcut beside conv 7, 1×1, 128"
    assert layers_in_words("simple_vit")["blocks.3.mlp.3.weight"] == "block 4: MLP, second"
    assert layers_in_words("simple_vit")["patch_embedding.weight"] == "patch embedding, 48 to 512"
    for network in NETWORKS:
        words = list(layers_in_words(network).values())
        assert len(set(words)) == len(words), network
    assert layers_in_words("my_module.network") == {}


def test_the_test_images_of_the_digits_are_counted() -> None:
    from sklearn.datasets import load_digits

    assert DATA_SETS["digits"].train_images + DATA_SETS["digits"].test_images == len(load_digits().target)
