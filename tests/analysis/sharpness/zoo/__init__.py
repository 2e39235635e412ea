"""Networks that people have, randomly initialised and small, and their comparison with double backward by hand."""

from collections.abc import Iterator

from tests.analysis.sharpness.zoo.entry import Entry


def entries() -> Iterator[Entry]:
    """Every network of the zoo; the packages that define them are imported as they are needed."""
    from tests.analysis.sharpness.zoo import recurrent_models, timm_models, torchvision_models, transformers_models

    for module in (torchvision_models, timm_models, transformers_models, recurrent_models):
        yield from module.ENTRIES
