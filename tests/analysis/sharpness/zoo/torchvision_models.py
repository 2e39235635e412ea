"""Networks of torchvision, in small configurations."""

from collections.abc import Callable
from functools import partial

from torch import nn
from torchvision import models
from torchvision.models import convnext, densenet, efficientnet, resnet, segmentation

from tests.analysis.sharpness.zoo.entry import NUM_CLASSES, Case, Entry, images


def narrow_resnet18() -> nn.Module:
    """ResNet-18 with an eighth of the channels, which its class has no option for."""
    model = models.resnet18(num_classes=NUM_CLASSES)
    for path, module in list(model.named_modules()):
        if isinstance(module, nn.Conv2d):
            channels = (module.in_channels // 8 or 3, module.out_channels // 8)
            _put(model, path, nn.Conv2d(*channels, module.kernel_size, module.stride, module.padding, bias=False))  # type: ignore[arg-type]
        elif isinstance(module, nn.BatchNorm2d):
            _put(model, path, nn.BatchNorm2d(module.num_features // 8))
    model.fc = nn.Linear(512 // 8, NUM_CLASSES)
    return model


def _put(model: nn.Module, path: str, module: nn.Module) -> None:
    parent, _, name = path.rpartition(".")
    setattr(model.get_submodule(parent), name, module)


def _efficientnet() -> nn.Module:
    setting, last = efficientnet._efficientnet_conf("efficientnet_b0", width_mult=0.25, depth_mult=0.5)
    return efficientnet.EfficientNet(setting, 0.2, num_classes=NUM_CLASSES, last_channel=last)


def _convnext() -> nn.Module:
    widths = (8, 16, 24, 32)
    setting = [convnext.CNBlockConfig(a, b, 1) for a, b in zip(widths, (*widths[1:], None), strict=True)]
    return convnext.ConvNeXt(setting, layer_scale=0.5, num_classes=NUM_CLASSES)


def _vit() -> nn.Module:
    model = models.VisionTransformer(32, 8, 2, 2, 16, 32, num_classes=NUM_CLASSES)
    nn.init.normal_(model.heads.head.weight, std=0.3)  # torchvision's is zero, and so is then the rest of the Hessian
    return model


def _segmentation() -> nn.Module:
    backbone = models.mobilenetv3.mobilenet_v3_large(width_mult=0.25, dilated=True)
    return segmentation.lraspp._lraspp_mobilenetv3(backbone, NUM_CLASSES)


def _fcn() -> nn.Module:
    backbone = resnet.ResNet(resnet.Bottleneck, [1, 1, 1, 1], replace_stride_with_dilation=[False, True, True])
    return segmentation.fcn._fcn_resnet(backbone, NUM_CLASSES, aux=True)


_SWIN = {"patch_size": [2, 2], "embed_dim": 8, "depths": [2, 2], "num_heads": [2, 4], "window_size": [4, 4]}
_FULL = partial(images, size=32, num_samples=4)  # a network whose class has no option for fewer channels

SMALL: dict[str, Callable[[], Case]] = {
    "ResNet-18": lambda: images(narrow_resnet18()),
    "MobileNetV2": lambda: images(models.mobilenet_v2(num_classes=NUM_CLASSES, width_mult=0.25)),
    "MobileNetV3-Small": lambda: images(models.mobilenet_v3_small(num_classes=NUM_CLASSES, width_mult=0.25)),
    "EfficientNet-B0": lambda: images(_efficientnet()),
    "DenseNet": lambda: images(densenet.DenseNet(4, (2, 2, 2, 2), 8, num_classes=NUM_CLASSES)),
    "ConvNeXt": lambda: images(_convnext()),
    "Swin": lambda: images(models.SwinTransformer(**_SWIN, mlp_ratio=2.0, num_classes=NUM_CLASSES)),
    "ViT": lambda: images(_vit()),
}
LARGE: dict[str, Callable[[], Case]] = {
    "GoogLeNet, auxiliary heads": lambda: _FULL(
        models.GoogLeNet(NUM_CLASSES, aux_logits=True, init_weights=False), size=48
    ),
    "SqueezeNet": lambda: _FULL(models.squeezenet1_1(num_classes=NUM_CLASSES), size=48),
    "ShuffleNetV2": lambda: _FULL(models.shufflenet_v2_x0_5(num_classes=NUM_CLASSES)),
    "MNASNet": lambda: _FULL(models.mnasnet0_5(num_classes=NUM_CLASSES)),
    "LR-ASPP, pixels": lambda: _FULL(_segmentation(), dense=True),
    "FCN-ResNet, pixels": lambda: images(_fcn(), 24, 2, dense=True),
}
SMALL_ENTRIES = [Entry(name, "torchvision", build) for name, build in SMALL.items()]
ENTRIES = SMALL_ENTRIES + [Entry(name, "torchvision", build) for name, build in LARGE.items()]
