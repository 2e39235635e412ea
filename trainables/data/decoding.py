"""From the bytes of an encoded image to its pixels."""

import io

import numpy as np
from PIL import Image as PILImage

from trainables.data.image_cache import Image
from trainables.errors import TrainingError


def channel_mode(data: bytes, source: str) -> str:
    """The mode in which Pillow is to decode an image: "L" if it is gray, else "RGB".

    Raises:
        TrainingError: Pillow can not read it.
    """
    try:
        with PILImage.open(io.BytesIO(data)) as image:
            return "L" if image.mode in ("1", "L", "I", "I;16") else "RGB"
    except (OSError, SyntaxError, ValueError) as error:
        raise TrainingError(f"{source}: not a readable image ({error})") from error


def decode(data: bytes, mode: str, source: str) -> Image:
    """The pixels (C, H, W) of an encoded image.

    Args:
        data: PNG, JPEG or another format that Pillow reads.
        mode: "RGB" or "L".
        source: file and row, for the message.

    Raises:
        TrainingError: it can not be decoded.
    """
    try:
        with PILImage.open(io.BytesIO(data)) as image:
            pixels = np.asarray(image.convert(mode), dtype=np.uint8)
    except (OSError, SyntaxError, ValueError) as error:
        raise TrainingError(f"{source}: not a readable image ({error}); the file is damaged, get it again") from error
    return np.ascontiguousarray(pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1))


def check_shape(image: Image, expected: tuple[int, ...], source: str) -> None:
    """Check that an image has the shape of the others.

    Raises:
        TrainingError: it has another; the message says both.
    """
    if image.shape != expected:
        raise TrainingError(
            f"{source}: the image is {image.shape[1]}×{image.shape[2]}, the first one {expected[1]}×{expected[2]}; "
            "all images of a data set must have one size"
        )
