"""The networks, data sets and optimizers that have a name, with their sizes. Knows no torch."""

from dataclasses import dataclass

PASSES = {"sam": 2, "asam": 2, "eigen_sam": 2.2, "rsam": 2}  # of a step, where SGD takes 1


TRAIN_IMAGES = {"digits": 1000, "cifar10": 50_000, "cifar100": 50_000, "tiny_imagenet": 100_000}


@dataclass(frozen=True)
class ModelSize:
    """What one network costs to keep and to evaluate."""

    parameters: int
    flops: int  # of a forward pass on one image: two for each multiplication with an addition


# By network and data set. Counted by torch.utils.flop_counter; the tests count again.
MODEL_SIZES = {
    ("digits_cnn", "digits"): ModelSize(3_350, 51_968),
    ("digits_cnn_bn", "digits"): ModelSize(3_386, 51_968),
    ("resnet18", "cifar10"): ModelSize(11_173_962, 1_110_845_440),
    ("resnet18", "cifar100"): ModelSize(11_220_132, 1_110_937_600),
    ("resnet34", "cifar10"): ModelSize(21_282_122, 2_318_804_992),
    ("resnet34", "cifar100"): ModelSize(21_328_292, 2_318_897_152),
    ("simple_vit", "cifar10"): ModelSize(18_927_114, 2_519_738_368),
    ("simple_vit", "cifar100"): ModelSize(18_973_284, 2_519_830_528),
    ("resnet20", "cifar10"): ModelSize(272_474, 81_626_368),
    ("resnet20", "cifar100"): ModelSize(278_324, 81_637_888),
    ("resnet56", "cifar10"): ModelSize(855_770, 251_495_680),
    ("resnet56", "cifar100"): ModelSize(861_620, 251_507_200),
    ("wide_resnet28_10", "cifar10"): ModelSize(36_479_194, 10_486_657_536),
    ("wide_resnet28_10", "cifar100"): ModelSize(36_536_884, 10_486_772_736),
    ("resnet18_tiny", "tiny_imagenet"): ModelSize(11_279_112, 296_296_448),
    ("resnet50_tiny", "tiny_imagenet"): ModelSize(23_910_152, 10_383_294_464),
}
