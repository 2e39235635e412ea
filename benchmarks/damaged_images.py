"""Damaged images and odd Parquet files, drawn by seed: what is said of each, and whether anything is changed unseen.

    python benchmarks/damaged_images.py                        # 15 formats × 1 500 images, 500 Parquet files: 5 minutes
    python benchmarks/damaged_images.py --images 200 --tables 50 --formats PNG,JPEG

An image is damaged by flipped bits, overwritten, deleted or repeated blocks, or cut. It is *refused* with its row and
cause; *unharmed*: the same pixels; or *altered*: other pixels, where the format has no checksum that could tell, and
then exactly those that Pillow decodes. A *failure* is anything else: another exception, a message without the row or
with a remedy for something else, a crash of the process, other pixels than Pillow's, altered pixels of a PNG.

A Parquet file has drawn types of columns, labels, nulls, class names and shards, or is damaged as an image is. It is
*loaded*, with the images and classes that were written, or *refused* with its path. Damaged files with page checksums
must not be altered.
"""

import argparse
import io
import json
import multiprocessing
import os
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from PIL import Image, ImageOps
from pyarrow import parquet

from analysis.seeding import derive_seed
from trainables.cache_folder import CACHE_VARIABLE
from trainables.data import parquet as loader
from trainables.data.decoding import Decoding, decode
from trainables.errors import DamagedImageError, TrainingError
from trainables.trial.specs import DataSpec

FORMATS = (
    *("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM", "TGA", "PCX", "SGI", "JPEG2000", "AVIF", "DDS", "ICO", "QOI"),
)
CHECKED = ("PNG",)  # formats whose checksums cover all of a file
SOURCE = "set.parquet: row 7"
COLOUR = Decoding(channels=3)
Draw = np.random.Generator
Outcome = tuple[str, str]  # what became of it, and what was said


def main() -> None:
    """Draw, decode, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=1500, help="damaged images of each format")
    parser.add_argument("--tables", type=int, default=500, help="odd Parquet files")
    parser.add_argument("--formats", default=",".join(FORMATS))
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}\n{'':9} {'drawn':>6} {'refused':>8} {'unharmed':>9} {'altered':>8} {'failed':>7}   s")
    failures: list[str] = []
    for form in arguments.formats.split(",") if arguments.images else ():
        failures += report(form, damaged_images, form, arguments.images, arguments.seed)
    if arguments.tables:
        failures += report("Parquet", odd_tables, "", arguments.tables, arguments.seed)
    print("\n".join(failures[:20]) or "no failures")
    raise SystemExit(bool(failures))


def report(title: str, work: Callable[..., None], form: str, count: int, seed: int) -> list[str]:
    """Run `work` in a process of its own, which it may end, and print a line."""
    receiver, sender = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context("spawn").Process(target=work, args=(sender, form, count, seed))
    started = time.perf_counter()
    process.start()
    sender.close()
    counts: Counter[str] = Counter()
    failures: list[str] = []
    try:
        while True:
            number, outcome, said = receiver.recv()
            counts[outcome] += 1
            if outcome == "failed":
                failures.append(f"{title} {number}: {said}")
    except EOFError:
        process.join()
    if process.exitcode:
        failures.append(f"{title}: the process ended with {process.exitcode} after {counts.total()}")
    seconds = time.perf_counter() - started
    kept = counts["unharmed"] + counts["loaded"]
    told = f"{counts['refused']:8} {kept:9} {counts['altered']:8} {len(failures):7} {seconds:4.0f}"
    print(f"{title:9} {counts.total():6} {told}", flush=True)
    return failures


def damaged_images(sender: Connection, form: str, count: int, seed: int) -> None:
    """Damage and decode images of one format."""
    warnings.simplefilter("ignore")
    for number in range(count):
        draw = np.random.default_rng(derive_seed(seed, form, number))
        whole = drawn_image(draw, form)
        sender.send((number, *decoded(whole, damaged(whole, draw), form)))


def drawn_image(draw: Draw, form: str) -> bytes:
    """A smooth image with some noise, as bytes of a format."""
    height, width = (16, 16) if form == "ICO" else draw.integers(8, 48, 2)
    y, x = np.mgrid[0:height, 0:width]
    smooth = np.stack([x * 255 / width, y * 255 / height, (x + y) * 127 / width], axis=-1)
    pixels = np.clip(smooth + draw.normal(0, 5, smooth.shape), 0, 255).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, form)
    return buffer.getvalue()


def damaged(data: bytes, draw: Draw) -> bytes:
    """The bytes with one damage of a drawn kind."""
    found, start = bytearray(data), int(draw.integers(len(data)))
    length = min(int(draw.integers(1, 33)), len(data) - start)
    match draw.integers(6):
        case 0:
            found[start] ^= 1 << int(draw.integers(8))
        case 1:
            for place in draw.integers(0, len(data), 8):
                found[place] ^= 1 << int(draw.integers(8))
        case 2:
            found[start : start + length] = draw.bytes(length)
        case 3:
            del found[start : start + length]
        case 4:
            found[start:start] = found[start : start + length]
        case _:
            del found[start:]
    return bytes(found)


def decoded(whole: bytes, data: bytes, form: str) -> Outcome:
    """What becomes of damaged bytes."""
    try:
        pixels = decode(data, SOURCE, COLOUR).pixels
    except DamagedImageError as error:
        said = str(error)
        wrong = not said.startswith(f"{SOURCE}: ") or "\n" in said or "make room" in said or "Traceback" in said
        return ("failed" if wrong else "refused"), said
    except BaseException as error:  # noqa: BLE001 - what may not happen
        return "failed", f"{type(error).__name__}: {error}"
    same = decode(whole, SOURCE, COLOUR).pixels
    if np.array_equal(pixels, same):
        return "unharmed", ""
    if form in CHECKED:
        return "failed", "other pixels, though the format's checksums tell"
    if not np.array_equal(pixels, by_pillow(data)) and Image.open(io.BytesIO(data)).mode in ("RGB", "L", "P", "CMYK"):
        return "failed", "other pixels than Pillow's"
    return "altered", ""


def by_pillow(data: bytes) -> npt.NDArray[np.uint8]:
    """(3, H, W) what Pillow makes of the bytes."""
    with Image.open(io.BytesIO(data)) as image:
        turned = ImageOps.exif_transpose(image)
        if turned.has_transparency_data:
            turned = Image.alpha_composite(Image.new("RGBA", turned.size, (0, 0, 0, 255)), turned.convert("RGBA"))
        return np.asarray(turned.convert("RGB")).transpose(2, 0, 1)


def odd_tables(sender: Connection, form: str, count: int, seed: int) -> None:
    """Write and load odd Parquet files."""
    warnings.simplefilter("ignore")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # what is decoded is told there
    with tempfile.TemporaryDirectory() as scratch:
        os.environ[CACHE_VARIABLE] = f"{scratch}/cache"
        for number in range(count):
            folder = Path(scratch, str(number))
            folder.mkdir()
            sender.send((number, *loaded(folder, np.random.default_rng(derive_seed(seed, "tables", number)))))


def loaded(folder: Path, draw: Draw) -> Outcome:
    """What becomes of a drawn set."""
    labels, label_type, expected = drawn_labels(draw)
    pixels = draw.integers(0, 256, (len(labels), 4, 4, 3), dtype=np.uint8)
    images = [png(each) for each in pixels]
    checksums = bool(draw.integers(2))
    table = pa.table({"image": drawn_column(draw, images, folder), "label": pa.array(labels, label_type)})
    if draw.integers(4) == 0:
        table = table.replace_schema_metadata({"huggingface": drawn_metadata(draw)})
    path = folder / "train.parquet"
    parquet.write_table(table, path, row_group_size=int(draw.integers(1, 20)), write_page_checksum=checksums)
    if harmed := draw.integers(3) == 0:
        path.write_bytes(damaged(path.read_bytes(), draw))
    try:
        data = loader.load_parquet(DataSpec(dataset="parquet", train=(str(path),), test=(str(path),)))
    except TrainingError as error:
        wrong = str(folder) not in str(error) or "make room" in str(error)
        return ("failed" if wrong else "refused"), str(error)
    except BaseException as error:  # noqa: BLE001 - what may not happen
        return "failed", f"{type(error).__name__}: {error}"
    same = np.array_equal(data.train.images.numpy(), pixels.transpose(0, 3, 1, 2))
    if same and expected is not None and [data.classes[k] for k in data.train.targets.tolist()] == expected:
        return "loaded", ""
    if harmed and not checksums:
        return "altered", ""
    return (
        "failed",
        f"other images or classes than were written ({label_type}, checksums {checksums}, damaged {harmed})",
    )


def drawn_labels(draw: Draw) -> tuple[list[Any], Any, list[str] | None]:
    """Labels, their type, and the names of the rows' classes; None where they can't be classes."""
    rows, classes = int(draw.integers(0, 40)), int(draw.integers(1, 8))
    numbers = draw.integers(0, classes, rows).tolist()
    words = [["ant", "bee", "", "dög", "10", "x" * 300, " ", "a\nb"][k] for k in numbers]
    sparse = [[-7, 3, 17, 255, 987654321, 2**40, -(2**62), 0][k] for k in numbers]
    none = None
    choices: list[tuple[list[Any], Any, list[str] | None]] = [
        (numbers, pa.int8(), list(map(str, numbers))),
        (numbers, pa.uint64(), list(map(str, numbers))),
        ([k + 1 for k in numbers], pa.int32(), [str(k + 1) for k in numbers]),
        (sparse, pa.int64(), list(map(str, sparse))),
        (words, pa.string(), words),
        (words, pa.large_string(), words),
        (words, pa.dictionary(pa.int16(), pa.string()), words),
        ([bool(k % 2) for k in numbers], pa.bool_(), [str(k % 2) for k in numbers]),
        ([None if k == 0 else k for k in numbers], pa.int64(), none if 0 in numbers else list(map(str, numbers))),
        ([float(k) for k in numbers], pa.float64(), none),
        ([[k] for k in numbers], pa.list_(pa.int64()), none),
        ([None] * rows, pa.null(), none),
        (numbers, pa.timestamp("s"), none),
    ]
    return choices[int(draw.integers(len(choices)))]


def drawn_column(draw: Draw, images: list[bytes], folder: Path) -> Any:
    """A column with the images, or one that has none."""
    struct = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    match draw.integers(8):
        case 0 | 1:
            return pa.array(images, pa.binary())
        case 2:
            return pa.array(images, pa.large_binary())
        case 3 | 4:
            return pa.array([{"bytes": image, "path": None} for image in images], struct)
        case 5:
            for number, image in enumerate(images):
                (folder / f"{number}.png").write_bytes(image)
            return pa.array([f"{number}.png" for number in range(len(images))], pa.string())
        case 6:
            return pa.array([{"bytes": None, "path": "nowhere.png"} for _ in images], struct)
        case _:
            return pa.array([None if draw.integers(3) == 0 else 1.5 for _ in images], pa.float32())


def drawn_metadata(draw: Draw) -> str:
    """The hub's metadata, odd or without class names."""
    choices: list[object] = [None, [], 3, {"info": None}, {"info": {"features": {"label": {"names": [1, 2]}}}}]
    return ["{", *(json.dumps(choice) for choice in choices)][int(draw.integers(6))]


def png(pixels: npt.NDArray[np.uint8]) -> bytes:
    """An image as a PNG."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


if __name__ == "__main__":
    main()
