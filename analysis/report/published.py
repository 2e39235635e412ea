"""Printed results of *Rényi Sharpness* (arXiv 2510.07758), to be shown beside our own; not a tolerance for tests."""

# Table 1: test accuracy in percent, mean ± standard error of five runs; ? marks unreadable or doubtful digits.
TABLE_1: dict[tuple[str, str], dict[str, str]] = {
    ("cifar10", "resnet20"): {
        "sgd": "92.68±0.25", "sam": "93.44±0.07", "asam": "93.??±0.16", "eigen_sam": "93.24±0.20",
        "rsam": "93.69±0.12"
    },
    ("cifar10", "resnet56"): {
        "sgd": "94.24±0.23", "sam": "94.96?±0.19?", "asam": "95.19±0.08", "eigen_sam": "94.96±0.10",
        "rsam": "95.26±0.12"
    },
    ("cifar10", "wide_resnet28_10"): {
        "sgd": "96.36±0.08", "sam": "96.95±0.05", "asam": "96.79±0.10", "eigen_sam": "96.78±0.06",
        "rsam": "97.13±0.06"
    },
    ("cifar100", "resnet20"): {
        "sgd": "69.12±0.17", "sam": "70.53±0.30", "asam": "70.73±0.14", "eigen_sam": "70.51±0.20",
        "rsam": "70.91?±0.2?"
    },
    ("cifar100", "resnet56"): {
        "sgd": "72.60±0.34", "sam": "74.86±0.23", "asam": "75.20?±0.29", "eigen_sam": "74.80±0.32",
        "rsam": "75.71±0.18"
    },
    ("cifar100", "wide_resnet28_10"): {
        "sgd": "81.47±0.18", "sam": "83.55±0.14", "asam": "83.53±0.11", "eigen_sam": "82.81±0.08",
        "rsam": "83.62±0.13"
    },
    ("tiny_imagenet", "resnet50_tiny"): {
        "sgd": "59.62±1.51", "sam": "60.70±0.70", "asam": "62.56±0.25", "rsam": "63.33±0.27"
    },
}  # fmt: skip


def printed_accuracy(dataset: object, model: object, optimizer: object) -> str:
    """The paper's value in a cell of table 1; empty if it has none."""
    return TABLE_1.get((str(dataset), str(model)), {}).get(str(optimizer), "")
