"""The catalogue of networks, data sets, shifts and optimizers that have a name. Knows no torch.

To add a network: its factory in a file of `trainables.models`, and its record here. A data set likewise, with its
loader in a file of `trainables.data`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class NetworkSize:
    """What a network costs to keep and to evaluate, at the image size and the classes of one data set."""

    parameters: int
    flops: int  # of a forward pass on one image: two for each multiplication with an addition


@dataclass(frozen=True)
class Network:
    """A network that sweep files know by name."""

    factory: str  # `file.function` in trainables.models, called with (num_classes, in_channels)
    sizes: Mapping[str, NetworkSize] = field(default_factory=dict)  # by data set; counted by torch.utils.flop_counter


@dataclass(frozen=True)
class DataSet:
    """A data set that sweep files know by name."""

    loader: str  # `file.function` in trainables.data, called with the DataSpec
    train_images: int = 0  # 0: not known before the files are read
    side: int = 0  # pixels of the square images; 0: likewise
    fixed_normalization: bool = False  # whether it ignores `mean` and `std`
    test_images: int = 0  # 0: likewise
    source: str = ""  # where it was published
    digest: str = ""  # of what was published: the start of a SHA-256, or the MD5 of an archive; empty: none is known


@dataclass(frozen=True)
class Shift:
    """A shift of the test images that sweep files know by name."""

    corruption: str  # "noise", "blur" or "contrast", as `trainables.data.corruption` makes it
    strength: float


NETWORKS: dict[str, Network] = {
    "digits_cnn": Network("digits_cnn.digits_cnn", {"digits": NetworkSize(3_350, 51_968)}),
    "digits_cnn_bn": Network("digits_cnn.digits_cnn_bn", {"digits": NetworkSize(3_386, 51_968)}),
    "resnet18": Network(
        "resnet.resnet18",
        {
            "cifar10": NetworkSize(11_173_962, 1_110_845_440),
            "cifar100": NetworkSize(11_220_132, 1_110_937_600),
        },
    ),
    "resnet34": Network(
        "resnet.resnet34",
        {
            "cifar10": NetworkSize(21_282_122, 2_318_804_992),
            "cifar100": NetworkSize(21_328_292, 2_318_897_152),
        },
    ),
    "resnet18_tiny": Network("resnet.resnet18_tiny", {"tiny_imagenet": NetworkSize(11_279_112, 296_296_448)}),
    "resnet20": Network(
        "resnet.resnet20",
        {
            "cifar10": NetworkSize(272_474, 81_626_368),
            "cifar100": NetworkSize(278_324, 81_637_888),
        },
    ),
    "resnet56": Network(
        "resnet.resnet56",
        {
            "cifar10": NetworkSize(855_770, 251_495_680),
            "cifar100": NetworkSize(861_620, 251_507_200),
        },
    ),
    "resnet50_tiny": Network("resnet.resnet50_tiny", {"tiny_imagenet": NetworkSize(23_910_152, 10_383_294_464)}),
    "wide_resnet28_10": Network(
        "wide_resnet.wide_resnet28_10",
        {
            "cifar10": NetworkSize(36_479_194, 10_486_657_536),
            "cifar100": NetworkSize(36_536_884, 10_486_772_736),
        },
    ),
    "simple_vit": Network(
        "simple_vit.simple_vit",
        {
            "cifar10": NetworkSize(18_927_114, 2_519_738_368),
            "cifar100": NetworkSize(18_973_284, 2_519_830_528),
        },
    ),
}
DATA_SETS: dict[str, DataSet] = {
    "digits": DataSet(
        "digits.load_digits",
        1000,
        8,
        fixed_normalization=True,
        test_images=797,
        source="https://archive.ics.uci.edu/dataset/80",
        digest="6ebb3d2fee246a4e99363262ddf8a00a",
    ),
    "cifar10": DataSet(
        "cifar.load_cifar",
        50_000,
        32,
        test_images=10_000,
        source="https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
        digest="c58f30108f718f92721af3b95e74349a",
    ),
    "cifar100": DataSet(
        "cifar.load_cifar",
        50_000,
        32,
        test_images=10_000,
        source="https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz",
        digest="eb9058c3a382ffc7106e4002c42a8d85",
    ),
    "tiny_imagenet": DataSet(
        "tiny_imagenet.load_tiny_imagenet",
        100_000,
        64,
        test_images=5_000,
        source="http://cs231n.stanford.edu/tiny-imagenet-200.zip",
    ),
    "parquet": DataSet("parquet.load_parquet"),
}
# The strength of each corruption at severities 1 to 5: those of CIFAR-10-C (arXiv 1903.12261).
SEVERITIES: dict[str, tuple[float, ...]] = {
    "noise": (0.04, 0.06, 0.08, 0.09, 0.10),  # standard deviation, of pixels in [0, 1]
    "blur": (0.4, 0.6, 0.7, 0.8, 1.0),  # standard deviation, in pixels
    "contrast": (0.75, 0.5, 0.4, 0.3, 0.15),  # factor
}
SHIFTS: dict[str, Shift] = {
    f"{corruption}_{severity}": Shift(corruption, strength)
    for corruption, strengths in SEVERITIES.items()
    for severity, strength in enumerate(strengths, start=1)
}
PASSES_A_STEP = {  # of a training step, where SGD takes 1; LookSAM's at its default period
    **dict.fromkeys(("sam", "asam", "rsam", "gsam", "friendly_sam"), 2.0),
    "eigen_sam": 2.2,
    "look_sam": 1.2,
}


def size_of(network: str, data_set: str) -> NetworkSize | None:
    """The size of a network on a data set; None where it is not recorded, as for a user's own network."""
    return NETWORKS[network].sizes.get(data_set) if network in NETWORKS else None
