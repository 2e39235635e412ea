"""Small data sets in the layouts that people download."""

import io
import json
import pickle
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from PIL import Image
from pyarrow import parquet

Pixels = npt.NDArray[np.uint8]  # (N, H, W, 3)


def draw(count: int, size: int = 32, seed: int = 0) -> Pixels:
    """Random images."""
    return np.random.default_rng(seed).integers(0, 256, (count, size, size, 3), dtype=np.uint8)


def encode(pixels: Pixels, form: str = "PNG") -> bytes:
    """One image as a file."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, form)
    return buffer.getvalue()


def write_parquet(
    path: Path,
    images: Sequence[bytes | None],
    labels: Sequence[int | None],
    names: Sequence[str] | None = None,
    columns: tuple[str, str] = ("image", "label"),
) -> Path:
    """A Parquet file as on the Hugging Face hub."""
    structs: list[Any] = [{"bytes": image, "path": None} for image in images]
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    table = pa.table({columns[0]: pa.array(structs, kind), columns[1]: pa.array(labels, pa.int64())})
    if names is not None:
        features = {columns[0]: {"_type": "Image"}, columns[1]: {"names": list(names), "_type": "ClassLabel"}}
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(table, path, row_group_size=16)
    return path


def write_cifar10(root: Path, count: int = 10) -> dict[str, Pixels]:
    """The layout of cifar-10-batches-py, with `count` images a file."""
    folder = root / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    written: dict[str, Pixels] = {}
    for number, name in enumerate([*(f"data_batch_{k}" for k in range(1, 6)), "test_batch"]):
        written[name] = draw(count, seed=number)
        rows = written[name].transpose(0, 3, 1, 2).reshape(count, -1)
        content = {"data": rows, "labels": [k % 10 for k in range(count)]}
        (folder / name).write_bytes(pickle.dumps(content))
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": [f"class {k}" for k in range(10)]}))
    return written


def write_tiny_imagenet(root: Path, classes: int = 3, train: int = 2, validation: int = 4, zipped: bool = True) -> Path:
    """The layout of tiny-imagenet-200.zip, with fewer classes and images."""
    ids = [f"n{number:08d}" for number in (7, 3, 5, 9, 1)[:classes]]
    files = {"wnids.txt": "\n".join(ids).encode() + b"\n"}
    for number, name in enumerate(ids):
        for k in range(train):
            pixels = draw(1, size=64, seed=100 * number + k)[0]
            files[f"train/{name}/images/{name}_{k}.JPEG"] = encode(pixels, "JPEG")
    gray = np.zeros((64, 64), np.uint8)
    annotations = []
    for k in range(classes * validation):
        files[f"val/images/val_{k}.JPEG"] = encode(gray if k == 0 else draw(1, size=64, seed=999 + k)[0], "JPEG")
        annotations.append(f"val_{k}.JPEG\t{ids[k % classes]}\t0\t0\t63\t63\n")
    files["val/val_annotations.txt"] = "".join(annotations).encode()
    if zipped:
        root.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(root / "tiny-imagenet-200.zip", "w") as archive:
            for name, data in files.items():
                archive.writestr(f"tiny-imagenet-200/{name}", data)
        return root / "tiny-imagenet-200.zip"
    for name, data in files.items():
        path = root / "tiny-imagenet-200" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return root / "tiny-imagenet-200"
