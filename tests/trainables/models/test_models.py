"""Parameter counts, layer lists and traceability of every network of the paper."""

import pytest
import torch
from torch import nn
from torch.func import functional_call, jvp, linearize

from analysis.sharpness import weight_layers
from trainables.catalogue import NETWORKS
from trainables.errors import TrainingError
from trainables.models import build_model
from trainables.models.resnet import BasicBlock, Bottleneck, ResNet
from trainables.models.simple_vit import SimpleViT
from trainables.models.wide_resnet import WideResNet


@pytest.mark.parametrize(
    ("name", "num_classes", "parameters", "layers"),
    [
        ("resnet18", 10, 11_173_962, 21),
        ("resnet18", 100, 11_220_132, 21),
        ("resnet18", 200, 11_271_432, 21),
        ("resnet18_tiny", 200, 11_279_112, 21),
        ("resnet34", 10, 21_282_122, 37),
        ("resnet34", 100, 21_328_292, 37),
        ("resnet34", 200, 21_379_592, 37),
        ("resnet50_tiny", 10, 23_520_842, 54),
        ("resnet50_tiny", 100, 23_705_252, 54),
        ("resnet50_tiny", 200, 23_910_152, 54),
        ("resnet20", 10, 272_474, 22),
        ("resnet20", 100, 278_324, 22),
        ("resnet56", 10, 855_770, 58),
        ("resnet56", 100, 861_620, 58),
        ("wide_resnet28_10", 10, 36_479_194, 29),
        ("wide_resnet28_10", 100, 36_536_884, 29),
        ("simple_vit", 10, 18_927_114, 26),
        ("simple_vit", 100, 18_973_284, 26),
    ],
)
def test_parameter_and_layer_counts(name: str, num_classes: int, parameters: int, layers: int) -> None:
    with torch.device("meta"):
        model = build_model(name, num_classes)
    assert sum(parameter.numel() for parameter in model.parameters()) == parameters
    assert len(weight_layers(model)) == layers


@pytest.mark.parametrize(
    ("name", "shortcuts"),
    [
        ("resnet18", [8, 13, 18]),
        ("resnet18_tiny", [8, 13, 18]),
        ("resnet34", [10, 19, 32]),
        ("resnet20", [10, 17]),
        ("resnet56", [22, 41]),
        ("resnet50_tiny", [5, 15, 28, 47]),
        ("wide_resnet28_10", [4, 13, 22]),
    ],
)
def test_shortcuts_are_layers_right_after_the_convolutions_of_their_block(name: str, shortcuts: list[int]) -> None:
    with torch.device("meta"):
        layers = weight_layers(build_model(name, 10))
    found = [number for number, layer in enumerate(layers, start=1) if "downsample" in layer or "shortcut" in layer]
    assert found == shortcuts
    assert layers[0] == "conv1.weight"
    assert layers[-1] == "fc.weight"


def small_models() -> dict[str, nn.Module]:
    torch.manual_seed(0)
    return {
        "basic": ResNet(BasicBlock, (1, 1), (4, 8), 5, in_channels=2),
        "bottleneck": ResNet(Bottleneck, (1, 1), (4, 8), 5, in_channels=2, stem="7x7"),
        "wide": WideResNet(1, 1, 5, in_channels=2),
        "vit": SimpleViT(5, 2, image_size=16, width=16, depth=2, heads=2, head_width=8, mlp_width=8),
    }


@pytest.mark.parametrize("name", list(small_models()))
def test_symbolic_trace_computes_the_same(name: str) -> None:
    model = small_models()[name].eval()
    images = torch.randn(3, 2, 16, 16)
    torch.testing.assert_close(torch.fx.symbolic_trace(model)(images), model(images), rtol=0, atol=0)


@pytest.mark.filterwarnings("ignore:Attempted to insert a get_attr Node", "ignore:`torch.jit.script` is deprecated")
@pytest.mark.parametrize("name", list(small_models()))
def test_linearized_network_stays_right_from_call_to_call(name: str) -> None:
    """An in-place operation on an activation that is constant for the layer would spoil the second call.

    For the last layer, all before it is constant.
    """
    model = small_models()[name].double().eval()
    images = torch.randn(3, 2, 16, 16, dtype=torch.float64)
    layers = weight_layers(model)
    for layer in (layers[0], layers[-1]):
        weight = dict(model.named_parameters())[layer].detach()

        def logits(value: torch.Tensor, layer: str = layer) -> torch.Tensor:
            result: torch.Tensor = functional_call(model, {layer: value}, (images,))
            return result

        direction = torch.randn_like(weight)
        expected = jvp(logits, (weight,), (direction,))[1]
        _, product = linearize(logits, weight)
        for _ in range(3):
            torch.testing.assert_close(product(direction), expected)


@pytest.mark.parametrize("name", ["resnet20", "simple_vit"])
def test_gray_images_are_taken(name: str) -> None:
    assert build_model(name, 7, in_channels=1).eval()(torch.zeros(2, 1, 32, 32)).shape == (2, 7)


@pytest.mark.parametrize("name", list(NETWORKS))
def test_every_name_builds(name: str) -> None:
    with torch.device("meta"):
        assert isinstance(build_model(name, 10), nn.Module)


def test_unknown_name_lists_the_known() -> None:
    with pytest.raises(TrainingError, match=r"'resnet19' is neither one of .*resnet18"):
        build_model("resnet19", 10)


def test_dotted_path() -> None:
    assert isinstance(build_model("trainables.models.resnet.resnet20", 10), ResNet)
    with pytest.raises(TrainingError, match="can't be imported"):
        build_model("trainables.models.resnet.resnet21", 10)
    with pytest.raises(TrainingError, match="must return a torch"):
        build_model("builtins.range", 10)
