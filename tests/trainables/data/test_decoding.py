"""Every format and mode against what Pillow and torchvision make of the same bytes, and against formulas."""

import io
import struct
import zlib
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image, ImageOps
from torchvision.io import ImageReadMode, decode_image
from torchvision.transforms import CenterCrop, Compose, PILToTensor, Resize
from torchvision.transforms.v2.functional import to_dtype

from tests.trainables.data.images import draw, encode
from trainables.data.decoding import Decoded, Decoding, check_shape, decode
from trainables.errors import DamagedImageError, TrainingError

COLOURED = draw(1, size=4)[0]  # (4, 4, 3)
NOISE = np.random.default_rng(1)
DEEP = np.linspace(0, 65535, 64).astype(np.uint16).reshape(8, 8)


def saved(image: Image.Image, form: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def picture(mode: str) -> Image.Image:
    """A 12×8 picture with smooth colours, some of them transparent where the mode has transparency."""
    y, x = np.mgrid[0:8, 0:12]
    rgb = np.stack([20 * x, 30 * y, 255 - 10 * (x + y)], axis=-1).astype(np.uint8)
    image = Image.fromarray(rgb)
    if mode in ("RGBA", "LA", "PA"):
        image.putalpha(Image.fromarray(np.where(x < 4, 0, np.where(x < 8, 128, 255)).astype(np.uint8)))
    return image.convert(mode)


def of(data: bytes, **how: Any) -> Decoded:
    return decode(data, "a.parquet: row 7", Decoding(**how))


def test_a_coloured_image_keeps_its_pixels() -> None:
    assert np.array_equal(of(encode(COLOURED)).pixels, COLOURED.transpose(2, 0, 1))


def test_a_gray_image_has_one_channel_or_three_equal_ones() -> None:
    data = encode(COLOURED[:, :, 0])
    gray = of(data).pixels
    assert np.array_equal(gray, COLOURED[None, :, :, 0])
    assert np.array_equal(of(data, channels=3).pixels, np.repeat(gray, 3, axis=0))
    assert np.array_equal(
        of(encode(COLOURED), channels=1).pixels[0], np.asarray(Image.fromarray(COLOURED).convert("L"))
    )


# What each format can hold of these modes, and whether the decoded image is coloured.
TABLE = {
    "PNG": ("1", "L", "LA", "P", "RGB", "RGBA"),
    "JPEG": ("L", "RGB", "CMYK"),
    "GIF": ("1", "L", "P", "RGB"),
    "BMP": ("1", "L", "P", "RGB"),
    "TIFF": ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr"),
    "WEBP": ("L", "RGB", "RGBA"),
    "PPM": ("1", "L", "RGB"),
    "TGA": ("1", "L", "LA", "P", "RGB", "RGBA"),
    "PCX": ("1", "L", "P", "RGB"),
    "SGI": ("L", "RGB", "RGBA"),
    "JPEG2000": ("L", "LA", "RGB", "RGBA"),
    "AVIF": ("L", "RGB", "RGBA"),
    "DDS": ("L", "LA", "RGB", "RGBA"),
    "ICO": ("RGB", "RGBA"),
    "QOI": ("RGB", "RGBA"),
}
CASES = [(form, mode) for form, modes in TABLE.items() for mode in modes]
BY_TORCHVISION = {("PNG", mode) for mode in TABLE["PNG"]} | {
    ("JPEG", "L"),
    ("JPEG", "RGB"),
    ("GIF", "P"),
    ("GIF", "RGB"),
}


def expected(data: bytes, background: tuple[int, int, int]) -> npt.NDArray[np.float64]:
    """(3, H, W) colours by Pillow's decoder, blended by hand."""
    image = Image.open(io.BytesIO(data))
    rgba = np.asarray(image.convert("RGBA"), dtype=np.float64)
    weight = rgba[..., 3:] / 255
    return np.asarray((weight * rgba[..., :3] + (1 - weight) * np.array(background)).transpose(2, 0, 1))


@pytest.mark.parametrize(("form", "mode"), CASES)
def test_formats_and_modes_are_decoded_as_pillow_and_torchvision_do(form: str, mode: str) -> None:
    size = {"ICO": (16, 16)}.get(form, (12, 8))
    data = saved(picture(mode).resize(size), form)
    for background in ((0, 0, 0), (255, 255, 255), (10, 200, 30)):
        found = of(data, background=background)
        wanted = expected(data, background)
        pixels = np.broadcast_to(found.pixels, wanted.shape)
        assert np.abs(pixels - wanted).max() <= 1, background
        assert found.transparent == (mode in ("LA", "RGBA")), background
        gray = bool((np.ptp(wanted, axis=0) == 0).all())
        assert len(found.pixels) == 3 or gray
        if found.mode in ("1", "L"):
            assert len(found.pixels) == 1
    if (form, mode) in BY_TORCHVISION and mode not in ("LA", "RGBA"):  # torchvision leaves transparency out
        theirs = decode_image(torch.frombuffer(bytearray(data), dtype=torch.uint8), ImageReadMode.RGB)
        assert np.abs(np.broadcast_to(of(data).pixels, theirs.shape) - theirs.numpy().astype(int)).max() <= 1


def test_sixteen_bits_are_scaled_and_not_clipped() -> None:
    data = saved(Image.fromarray(DEEP), "PNG")
    found = of(data)
    assert (found.mode, found.largest) == ("I;16", 65535)
    assert np.array_equal(found.pixels[0], DEEP // 256)
    theirs = decode_image(torch.frombuffer(bytearray(data), dtype=torch.uint8), ImageReadMode.UNCHANGED)
    assert theirs.dtype == torch.uint16
    assert np.array_equal(found.pixels, to_dtype(theirs, torch.uint8, scale=True).numpy())
    assert np.array_equal(of(saved(Image.fromarray(DEEP), "TIFF")).pixels[0], DEEP // 256)
    pgm = b"P5 8 8 65535\n" + DEEP.astype(">u2").tobytes()
    assert np.array_equal(of(pgm).pixels[0], DEEP // 256)
    assert np.array_equal(of(saved(Image.fromarray(DEEP), "JPEG2000")).pixels[0], DEEP // 256)


def tiff(values: npt.NDArray[Any], bits: int, sample_format: int = 1) -> bytes:
    """A TIFF of one strip, made by hand."""
    height, width = values.shape
    if bits == 12:
        flat = values.astype(np.uint32).reshape(-1, 2)
        packed = np.stack([flat[:, 0] >> 4, (flat[:, 0] & 15) << 4 | flat[:, 1] >> 8, flat[:, 1] & 255], axis=1)
        strip = packed.astype(np.uint8).tobytes()
    else:
        strip = values.tobytes()
    entries = [
        *((256, 3, width), (257, 3, height), (258, 3, bits), (259, 3, 1), (262, 3, 1), (273, 4, 8), (277, 3, 1)),
        *((278, 3, height), (279, 4, len(strip)), (339, 3, sample_format)),
    ]
    directory = struct.pack("<H", len(entries))
    for tag, kind, value in entries:
        directory += struct.pack("<HHI", tag, kind, 1) + (
            struct.pack("<I", value) if kind == 4 else struct.pack("<HH", value, 0)
        )
    return b"II*\0" + struct.pack("<I", 8 + len(strip)) + strip + directory + struct.pack("<I", 0)


def test_twelve_bits_signed_and_float_values_are_scaled_by_their_type() -> None:
    twelve = np.linspace(0, 4095, 64).astype(np.uint16).reshape(8, 8)
    assert np.array_equal(of(tiff(twelve, 12)).pixels[0], twelve // 16)
    signed = np.linspace(0, 32767, 64).astype("<i2").reshape(8, 8)
    assert np.array_equal(of(tiff(signed, 16, 2)).pixels[0], signed // 128)
    floats = np.linspace(0, 1, 64, dtype=np.float32).reshape(8, 8)
    found = of(tiff(floats, 32, 3))
    assert found.mode == "F"
    assert np.array_equal(found.pixels, to_dtype(torch.from_numpy(floats)[None], torch.uint8, scale=True).numpy())


@pytest.mark.parametrize(
    ("data", "cause"),
    [
        (tiff(np.full((8, 8), 1.5, np.float32), 32, 3), r"float values from 1\.5 to 1\.5; they must be in \[0, 1\]"),
        (tiff(np.full((8, 8), np.nan, np.float32), 32, 3), r"float values from nan to nan"),
        (tiff(np.full((8, 8), -5, "<i2"), 16, 2), r"negative values, from -5 to -5"),
        (tiff(np.full((8, 8), 70000, "<i4"), 32, 2), r"integers of 32 bits, from 70000 to 70000"),
        (saved(picture("LAB"), "TIFF"), r"Lab colours, which are not converted; save it as RGB"),
        (b"\0\0\0\x1cftypheic\0\0\0\0mif1heic", r"the image is HEIC, which Pillow does not read; convert it"),
        (b"", r"not a readable image .its 0 bytes are of no format"),
        (b"not an image", r"not a readable image"),
        (encode(COLOURED)[:40], r"not a readable image .*damaged, get it again"),
    ],
)
def test_what_can_not_be_decoded_names_row_and_cause(data: bytes, cause: str) -> None:
    with pytest.raises(DamagedImageError, match=rf"a\.parquet: row 7: .*{cause}"):
        of(data)


def test_an_image_of_too_many_pixels_is_not_called_damaged() -> None:
    header = struct.pack(">IIBBBBB", 20000, 20000, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + b"IHDR" + header + struct.pack(">I", zlib.crc32(b"IHDR" + header))
    idat = struct.pack(">I", 0) + b"IDAT" + struct.pack(">I", zlib.crc32(b"IDAT"))
    with pytest.raises(DamagedImageError, match=r"row 7: the image has too many pixels .*400000000.*smaller") as raised:
        of(b"\x89PNG\r\n\x1a\n" + chunk + idat)
    assert "damaged" not in str(raised.value)


def test_pixels_of_a_png_are_checked_against_their_checksum() -> None:
    good = saved(picture("RGB"), "PNG", compress_level=0)
    assert good.count(b"IDAT") == 1
    for place in range(good.index(b"IDAT") + 20, good.index(b"IEND") - 12, 37):
        with pytest.raises(DamagedImageError, match="not a readable image"):
            of(good[:place] + bytes([good[place] ^ 16]) + good[place + 1 :])


@pytest.mark.parametrize("form", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied_once(form: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = saved(picture("L"), form, exif=exif)
    found = of(data)
    wanted = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB")).transpose(2, 0, 1)
    assert found.pixels.shape[1:] == ((8, 12) if orientation < 5 else (12, 8))
    assert np.array_equal(np.broadcast_to(found.pixels, wanted.shape), wanted)
    assert found.turned == (orientation > 1)


def test_deep_images_are_turned_too() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    deep = np.arange(8 * 12, dtype=np.uint16).reshape(8, 12) * 600
    for form in ("PNG", "TIFF"):
        found = of(saved(Image.fromarray(deep), form, exif=exif))
        assert found.turned
        assert np.array_equal(found.pixels[0], np.rot90(deep // 256, -1)), form


def test_transparent_palettes_and_colour_keys_are_put_on_the_background() -> None:
    palette = picture("RGB").quantize(8)
    corner = palette.getpixel((0, 0))
    for data in (saved(palette, "PNG", transparency=corner), saved(palette, "GIF", transparency=corner)):
        assert of(data, background=(9, 8, 7)).pixels[:, 0, 0].tolist() == [9, 8, 7]
    gray = saved(Image.fromarray(np.full((2, 2), 77, np.uint8)), "PNG", transparency=77)
    assert of(gray, background=(5, 5, 5)).pixels.tolist() == [[[5, 5], [5, 5]]]
    deep = saved(Image.fromarray(np.array([[770, 60000]], np.uint16)), "PNG")
    key = b"tRNS" + struct.pack(">H", 770)
    keyed = deep[:33] + struct.pack(">I", 2) + key + struct.pack(">I", zlib.crc32(key)) + deep[33:]
    assert of(keyed, background=(200, 200, 200)).pixels.tolist() == [[[200, 60000 // 256]]]


def test_a_gray_palette_is_gray_and_of_several_frames_the_first_is_taken() -> None:
    ramp = Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8))
    gray = ramp.convert("P")
    gray.putpalette([value for level in range(256) for value in (255 - level,) * 3])
    found = of(saved(gray, "PNG"))
    assert np.array_equal(found.pixels, 255 - np.asarray(ramp)[None])
    frames = [picture("L"), Image.new("L", (12, 8), 255)]
    for form in ("GIF", "TIFF", "WEBP", "PNG"):
        found = of(
            saved(
                frames[0],
                form,
                save_all=True,
                append_images=frames[1:],
                **({"lossless": True} if form == "WEBP" else {}),
            )
        )
        assert found.several, form
        assert np.array_equal(np.broadcast_to(found.pixels, (3, 8, 12))[0], np.asarray(frames[0])), form


@pytest.mark.parametrize("size", [(12, 8), (8, 12), (9, 9), (31, 20)])
@pytest.mark.parametrize(("resize", "crop"), [(None, 8), (6, None), (7, 5), ((6, 9), (4, 7)), (10, (13, 11)), (3, 9)])
def test_resize_and_crop_are_torchvisions(size: tuple[int, int], resize: Any, crop: Any) -> None:
    pixels = NOISE.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    for source in (pixels, pixels[..., 0]):
        image = Image.fromarray(source)
        steps = [*([Resize(resize)] if resize else []), *([CenterCrop(crop)] if crop else []), PILToTensor()]
        wanted = Compose(steps)(image)
        assert np.array_equal(of(saved(image, "PNG"), resize=resize, crop=crop).pixels, wanted.numpy())


def test_images_of_two_sizes_are_refused_with_both() -> None:
    image = of(encode(COLOURED)).pixels
    check_shape(image, (1, 4, 4), "row 1")
    with pytest.raises(TrainingError, match=r"row 1: the image is 4×4, the first one 8×6.*resize: 256, crop: 224"):
        check_shape(image, (3, 8, 6), "row 1")
