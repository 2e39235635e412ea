"""From the bytes of an encoded image to its pixels: 8 bits, upright, on a background, resized and cropped."""

import io
import struct
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import PIL
from PIL import Image as PILImage
from PIL import ImageOps

from trainables.errors import DamagedImageError, TrainingError
from trainables.trial.specs import DataSpec

Image = npt.NDArray[np.uint8]  # (C, H, W)

ORIENTATION = 0x0112  # EXIF's
BITS_PER_SAMPLE, SAMPLE_FORMAT = 258, 339  # TIFF's
SIGNED = 2
GRAY_MODES = ("1", "L", "LA", "La", "F", "I")
COLOURS = {"black": (0, 0, 0), "white": (255, 255, 255)}
UNREADABLE = {  # formats whose files begin so, at byte 4 or 0, and that Pillow does not read by itself
    b"ftypheic": "HEIC",
    b"ftypheix": "HEIC",
    b"ftypmif1": "HEIF",
    b"JXL ": "JPEG XL",
}


@dataclass(frozen=True)
class Decoding:
    """How images become pixels."""

    channels: int | None = None  # 3 or 1; None: as the image is
    background: tuple[int, int, int] = (0, 0, 0)  # behind transparent pixels
    resize: int | tuple[int, int] | None = None  # the shorter side, or height and width
    crop: int | tuple[int, int] | None = None  # of the centre: a square, or height and width
    upright: bool = True  # turn images as EXIF says

    @classmethod
    def of(cls, spec: DataSpec) -> "Decoding":
        """What a data set's specification asks for."""
        colour = COLOURS[spec.background] if isinstance(spec.background, str) else spec.background
        return cls(spec.channels, colour, spec.resize, spec.crop)


@dataclass(frozen=True)
class Decoded:
    """The pixels of an image, and what was done to get them."""

    pixels: Image  # (C, H, W): one channel if nothing asked for three and the image is gray
    format: str  # Pillow's name
    mode: str  # Pillow's, as the file has it
    turned: bool  # by EXIF's orientation
    transparent: bool  # it has transparency, and was put on the background
    several: bool  # it has more frames or pages than this, the first one
    largest: int | None  # the largest value, if values have more than 8 bits

    @property
    def was_otherwise(self) -> bool:
        """Whether earlier versions of this package made other pixels of it: they clipped, and ignored the rest."""
        return self.turned or self.transparent or self.largest is not None or self.mode == "F"


def decode(data: bytes, source: str, how: Decoding = Decoding()) -> Decoded:
    """The pixels of an encoded image.

    Values of 16 bits are divided by 256, of 12 by 16, without the remainder (as torchvision converts uint16, and Pillow
    reads colours of 16 bits); signed ones of 16 bits by 128. Float values x in [0, 1] become ⌊255.999 x⌋ (torchvision).
    Then the image is turned as EXIF says, put on the background where it is transparent, brought to gray (ITU-R 601-2
    luma) or colour, resized (bilinear with antialiasing) and cropped, as torchvision's Resize and CenterCrop do.

    Args:
        data: PNG, JPEG or another format that Pillow reads.
        source: file and row, for the message.
        how: what is asked for.

    Raises:
        DamagedImageError: it can't be decoded, or its values have no known scale.
    """
    try:
        with PILImage.open(io.BytesIO(data)) as opened:
            return _decoded(opened, data, how)
    except PILImage.DecompressionBombError as error:
        raise DamagedImageError(
            f"{source}: the image has too many pixels to be decoded ({_reason(error)}); make it smaller, or raise "
            "PIL.Image.MAX_IMAGE_PIXELS"
        ) from error
    except PIL.UnidentifiedImageError as error:
        known = next((name for mark, name in UNREADABLE.items() if mark in data[:16]), None)
        if known:
            raise DamagedImageError(
                f"{source}: the image is {known}, which Pillow does not read; convert it"
            ) from error
        raise DamagedImageError(
            f"{source}: not a readable image (its {len(data)} bytes are of no format that Pillow {PIL.__version__} "
            "reads); the file is damaged, get it again, or convert it"
        ) from error
    except _UnscalableError as error:
        raise DamagedImageError(f"{source}: {error}") from error
    except Exception as error:
        raise DamagedImageError(
            f"{source}: not a readable image ({_reason(error)}); the file is damaged, get it again"
        ) from error


class _UnscalableError(Exception):
    """The values of an image can't be brought to 8 bits; the message says why and what to do."""


def _decoded(opened: Any, data: bytes, how: Decoding) -> Decoded:
    kind, mode = str(opened.format), str(opened.mode)
    if kind == "PNG":
        _check_chunks(data)
    several = bool(getattr(opened, "is_animated", False))
    turned = how.upright and opened.getexif().get(ORIENTATION, 1) in range(
        2, 9
    )  # TIFF is turned by Pillow when it is loaded
    tags = (
        {tag: opened.tag_v2.get(tag) for tag in (BITS_PER_SAMPLE, SAMPLE_FORMAT)} if hasattr(opened, "tag_v2") else {}
    )
    opened.load()
    image, largest = _eight_bits(opened, kind, tags)
    image = ImageOps.exif_transpose(image) if turned else image
    transparent = image.has_transparency_data
    coloured = _is_coloured(image) or (transparent and len(set(how.background)) > 1)
    if transparent:
        behind = PILImage.new("RGBA", image.size, (*how.background, 255))
        image = PILImage.alpha_composite(behind, image.convert("RGBA"))
    channels = how.channels or (3 if coloured else 1)
    image = _centre(_resized(image.convert("RGB" if channels == 3 else "L"), how.resize), how.crop)
    pixels = np.asarray(image, dtype=np.uint8)
    pixels = np.ascontiguousarray(pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1))
    return Decoded(pixels, kind, mode, turned, transparent, several, largest)


def _check_chunks(data: bytes) -> None:
    """Check a PNG's pixels against their checksums, which Pillow skips."""
    place = 8
    while place + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, place)
        chunk, checksum = data[place + 4 : place + 8 + length], data[place + 8 + length : place + 12 + length]
        if kind == b"IDAT" and zlib.crc32(chunk).to_bytes(4, "big") != checksum:
            raise OSError(f"the checksum of its pixels from byte {place} on is wrong")
        place += 12 + length


def _eight_bits(image: Any, kind: str, tags: dict[int, Any]) -> tuple[Any, int | None]:
    """The image with values of 8 bits, and the largest value where there were more."""
    mode = image.mode
    if mode == "LAB":
        raise _UnscalableError("the image is in Lab colours, which are not converted; save it as RGB")
    if not (mode in ("I", "F") or mode.startswith("I;")):
        return image, None
    values = np.asarray(image)
    if not values.size:
        raise _UnscalableError("the image has no pixels")
    low, high = values.min(), values.max()
    if mode == "F":
        if not (low >= 0 and high <= 1):
            raise _UnscalableError(
                f"the image has float values from {low:g} to {high:g}; they must be in [0, 1]: scale them, or save "
                "8 or 16 bits"
            )
        largest, scaled = None, (values * np.float32(256 - 1e-3)).astype(np.uint8)
    else:
        largest, scaled = int(high), (values >> _excess_bits(mode, kind, tags, int(low), int(high))).astype(np.uint8)
    found = PILImage.fromarray(scaled)
    found.info |= {key: value for key, value in image.info.items() if key == "exif"}
    key = image.info.get("transparency")
    if isinstance(key, int):  # the value that means transparent
        found.putalpha(PILImage.fromarray(np.where(values == key, 0, 255).astype(np.uint8)))
    return found, largest


def _excess_bits(mode: str, kind: str, tags: dict[int, Any], low: int, high: int) -> int:
    """How many bits more than 8 the values of an integer type have."""
    bits = tags.get(BITS_PER_SAMPLE, 16)
    bits = bits[0] if isinstance(bits, tuple) else bits
    signed = tags.get(SAMPLE_FORMAT, 1)
    is_signed = bool((signed[0] if isinstance(signed, tuple) else signed) == SIGNED)
    if mode == "I" and (bits != 16 or kind not in ("PNG", "PPM", "TIFF")):
        raise _UnscalableError(
            f"the image has integers of 32 bits, from {low} to {high}, of which nothing says what is white; "
            "save 8 or 16 bits"
        )
    if low < 0:
        raise _UnscalableError(f"the image has negative values, from {low} to {high}; shift them, or save 8 or 16 bits")
    return int(bits) - 8 - is_signed


def _is_coloured(image: Any) -> bool:
    if image.mode in ("P", "PA"):
        palette = np.array(image.getpalette("RGB") or [], np.uint8).reshape(-1, 3)
        return bool((palette != palette[:, :1]).any())
    return image.mode not in GRAY_MODES


def _resized(image: Any, size: int | tuple[int, int] | None) -> Any:
    if size is None:
        return image
    width, height = image.size
    if isinstance(size, int):
        shorter, longer = sorted(image.size)
        longer = int(size * longer / shorter)
        wanted = (size, longer) if width <= height else (longer, size)
    else:
        wanted = size[::-1]
    return image if wanted == (width, height) else image.resize(wanted, PILImage.Resampling.BILINEAR)


def _centre(image: Any, size: int | tuple[int, int] | None) -> Any:
    """The centre of an image, with black around it where it is smaller."""
    if size is None:
        return image
    height, width = (size, size) if isinstance(size, int) else size
    if image.width < width or image.height < height:
        missing_x, missing_y = max(width - image.width, 0), max(height - image.height, 0)
        borders = (missing_x // 2, missing_y // 2, (missing_x + 1) // 2, (missing_y + 1) // 2)
        image = ImageOps.expand(image, borders)
    left, top = round((image.width - width) / 2.0), round((image.height - height) / 2.0)
    return image.crop((left, top, left + width, top + height))


def check_shape(image: Image, expected: tuple[int, ...], source: str) -> None:
    """Check that an image has the height and width of the others.

    Raises:
        TrainingError: it has others; the message says both.
    """
    if image.shape[1:] != expected[1:]:
        raise TrainingError(
            f"{source}: the image is {image.shape[1]}×{image.shape[2]}, the first one {expected[1]}×{expected[2]}; "
            "all images of a data set must have one size: bring them to one, as in data: {resize: 256, crop: 224}"
        )


def _reason(error: BaseException) -> str:
    lines = str(error).splitlines()
    return lines[0] if lines else type(error).__name__
