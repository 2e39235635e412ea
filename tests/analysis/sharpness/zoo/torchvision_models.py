"""Networks of torchvision, in small configurations."""

from collections.abc import Callable

from torch import nn
from torchvision import models
from torchvision.models import convnext, densenet, efficientnet, resnet, segmentation

from tests.analysis.sharpness.zoo.entry import NUM_CLASSES, Case, Entry, images


def narrowed(model: nn.Module, factor: int = 8) -> nn.Module:
    """The network with so many times fewer channels, for classes that have no option for it."""

    def less(width: int) -> int:
        return width if width in (3, NUM_CLASSES) else max(1, width // factor)

    for path, module in list(model.named_modules()):
        parent, _, name = path.rpartition(".")
        new: nn.Module | None = None
        if isinstance(module, nn.Conv2d):
            sizes = less(module.in_channels), less(module.out_channels)
            groups = 1 if module.groups == 1 else less(module.groups)
            places = module.kernel_size, module.stride, module.padding, module.dilation
            new = nn.Conv2d(*sizes, *places, groups, module.bias is not None)  # type: ignore[arg-type]
        elif isinstance(module, nn.BatchNorm2d):
            new = nn.BatchNorm2d(less(module.num_features))
        elif isinstance(module, nn.Linear):
            new = nn.Linear(less(module.in_features), less(module.out_features))
        if new is not None:
            setattr(model.get_submodule(parent), name, new)
    return model


def _efficientnet() -> nn.Module:
    setting, last = efficientnet._efficientnet_conf("efficientnet_b0", width_mult=0.25, depth_mult=0.5)
    model: nn.Module = efficientnet.EfficientNet(setting, 0.2, num_classes=NUM_CLASSES, last_channel=last)
    return model


def _convnext() -> nn.Module:
    widths = (8, 16, 24, 32)
    setting = [convnext.CNBlockConfig(a, b, 1) for a, b in zip(widths, (*widths[1:], None), strict=True)]
    model: nn.Module = convnext.ConvNeXt(setting, layer_scale=0.5, num_classes=NUM_CLASSES)
    return model


def _vit() -> nn.Module:
    model: nn.Module = models.VisionTransformer(32, 8, 2, 2, 16, 32, num_classes=NUM_CLASSES)
    # torchvision's head is zero, and so is then the rest of the Hessian.
    nn.init.normal_(model.get_parameter("heads.head.weight"), std=0.3)
    return model


def _googlenet() -> nn.Module:
    model: nn.Module = models.GoogLeNet(NUM_CLASSES, aux_logits=True, init_weights=False)
    return model


def _lraspp() -> nn.Module:
    backbone = models.mobilenetv3.mobilenet_v3_large(width_mult=0.25, dilated=True)
    model: nn.Module = segmentation.lraspp._lraspp_mobilenetv3(backbone, NUM_CLASSES)
    return model


def _fcn() -> nn.Module:
    backbone = resnet.ResNet(resnet.Bottleneck, [1, 1, 1, 1], replace_stride_with_dilation=[False, True, True])
    model: nn.Module = segmentation.fcn._fcn_resnet(backbone, NUM_CLASSES, aux=True)
    return model


_SWIN = {"patch_size": [2, 2], "embed_dim": 8, "depths": [2, 2], "num_heads": [2, 4], "window_size": [4, 4]}

SMALL: dict[str, Callable[[], Case]] = {
    "ResNet-18": lambda: images(narrowed(models.resnet18(num_classes=NUM_CLASSES))),
    "MobileNetV2": lambda: images(models.mobilenet_v2(num_classes=NUM_CLASSES, width_mult=0.25)),
    "MobileNetV3-Small": lambda: images(models.mobilenet_v3_small(num_classes=NUM_CLASSES, width_mult=0.25)),
    "EfficientNet-B0": lambda: images(_efficientnet()),
    "DenseNet": lambda: images(densenet.DenseNet(4, (2, 2, 2, 2), 8, num_classes=NUM_CLASSES)),
    "ConvNeXt": lambda: images(_convnext()),
    "Swin": lambda: images(models.SwinTransformer(**_SWIN, mlp_ratio=2.0, num_classes=NUM_CLASSES)),
    "ViT": lambda: images(_vit()),
}
LARGE: dict[str, Callable[[], Case]] = {
    "GoogLeNet, auxiliary heads": lambda: images(narrowed(_googlenet()), 48, 4),
    "SqueezeNet": lambda: images(narrowed(models.squeezenet1_1(num_classes=NUM_CLASSES)), 48, 4),
    "ShuffleNetV2": lambda: images(models.shufflenet_v2_x0_5(num_classes=NUM_CLASSES), num_samples=4),
    "MNASNet": lambda: images(narrowed(models.mnasnet1_0(num_classes=NUM_CLASSES)), num_samples=4),
    "LR-ASPP, pixels": lambda: images(_lraspp(), 24, 2, dense=True),
    "FCN-ResNet, pixels": lambda: images(narrowed(_fcn()), 24, 2, dense=True),
}
SMALL_ENTRIES = [Entry(name, "torchvision", build) for name, build in SMALL.items()]
ENTRIES = SMALL_ENTRIES + [Entry(name, "torchvision", build) for name, build in LARGE.items()]
