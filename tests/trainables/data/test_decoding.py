import io

import numpy as np
import pytest
from PIL import Image

from tests.trainables.data.images import draw, encode
from trainables.data.decoding import channel_mode, check_shape, decode
from trainables.errors import TrainingError

COLOURED = draw(1, size=4)[0]  # (4, 4, 3)


def test_a_coloured_image_keeps_its_pixels() -> None:
    data = encode(COLOURED)
    assert channel_mode(data, "row 0") == "RGB"
    assert np.array_equal(decode(data, "RGB", "row 0"), COLOURED.transpose(2, 0, 1))


def test_a_gray_image_has_one_channel_or_three_equal_ones() -> None:
    data = encode(COLOURED[:, :, 0])
    assert channel_mode(data, "row 0") == "L"
    gray = decode(data, "L", "row 0")
    assert np.array_equal(gray, COLOURED[None, :, :, 0])
    assert np.array_equal(decode(data, "RGB", "row 0"), np.repeat(gray, 3, axis=0))


@pytest.mark.parametrize(("mode", "expected"), [("1", "L"), ("I;16", "L"), ("P", "RGB"), ("RGBA", "RGB")])
def test_modes_of_pillow(mode: str, expected: str) -> None:
    buffer = io.BytesIO()
    Image.new(mode, (4, 4)).save(buffer, "PNG")
    assert channel_mode(buffer.getvalue(), "row 0") == expected


def test_what_is_no_image_is_named_by_its_row() -> None:
    for data in (b"", b"not an image", encode(COLOURED)[:40]):
        with pytest.raises(TrainingError, match=r"a\.parquet: row 7: not a readable image"):
            decode(data, "RGB", "a.parquet: row 7")
    with pytest.raises(TrainingError, match="row 7: not a readable image"):
        channel_mode(b"not an image", "row 7")


def test_images_of_two_sizes_are_refused_with_both() -> None:
    image = decode(encode(COLOURED), "RGB", "row 0")
    check_shape(image, (3, 4, 4), "row 1")
    with pytest.raises(TrainingError, match=r"row 1: the image is 4×4, the first one 8×6"):
        check_shape(image, (3, 8, 6), "row 1")
