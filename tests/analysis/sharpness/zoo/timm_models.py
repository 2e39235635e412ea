"""Networks of timm, in small configurations."""

import timm

from tests.analysis.sharpness.zoo.entry import NUM_CLASSES, Case, Entry, images

_PATCHES = {"img_size": 16, "patch_size": 4, "embed_dim": 16, "depth": 2, "num_heads": 2}
_MIXER = {"img_size": 16, "patch_size": 4, "embed_dim": 16, "num_blocks": 2}
_WINDOWS = {"img_size": 16, "patch_size": 2, "embed_dim": 8, "depths": (2, 2), "num_heads": (2, 2), "window_size": 4}


def _case(name: str, size: int = 32, **options: object) -> Case:
    return images(timm.create_model(name, num_classes=NUM_CLASSES, **options), size, 4)


SMALL_ENTRIES = [
    Entry("ViT", "timm", lambda: _case("vit_tiny_patch16_224", 16, **_PATCHES)),
    Entry("ConvNeXt", "timm", lambda: _case("convnext_atto", depths=(1, 1, 1, 1), dims=(8, 16, 16, 24))),
    Entry("Swin", "timm", lambda: _case("swin_tiny_patch4_window7_224", 16, **_WINDOWS)),
]
ENTRIES = [
    *SMALL_ENTRIES,
    Entry("EVA-02", "timm", lambda: _case("eva02_tiny_patch14_224", 16, **_PATCHES)),
    Entry("MLP-Mixer", "timm", lambda: images(timm.models.MlpMixer(NUM_CLASSES, **_MIXER), 16, 4)),
    Entry("ResNet-D", "timm", lambda: _case("resnet10t")),
    Entry("BiT, standardized", "timm", lambda: _case("resnetv2_50", layers=(1, 1, 1, 1), channels=(16, 16, 32, 32))),
    Entry("RegNetY", "timm", lambda: _case("regnety_002")),
    Entry("MobileNetV3", "timm", lambda: _case("mobilenetv3_small_050")),
]
