"""An object store in memory, with the part of pyarrow's interface that folders use."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from pyarrow import fs

from tests.simulator.world import World


@dataclass(frozen=True)
class Written:
    """A time by the store's clock, which shows whole seconds."""

    seconds: float

    def timestamp(self) -> float:
        return float(int(self.seconds))


@dataclass(frozen=True)
class Found:
    """As pyarrow's FileInfo."""

    path: str
    type: Any
    size: int = 0
    mtime: Written | None = None

    @property
    def base_name(self) -> str:
        return self.path.rpartition("/")[2]


class MemoryObjects:
    """Objects that appear whole or not at all.

    A listing shows every object that was written before it began and is still there when it ends; of those that come
    or go meanwhile, it may show any. A request may be refused, or take effect and be answered by an error.
    """

    type_name = "s3"

    def __init__(self, world: World) -> None:
        self._world = world
        self.objects: dict[str, tuple[bytes, float]] = {}

    @contextmanager
    def open_input_stream(self, path: str) -> Iterator[io.BytesIO]:
        self._world.step(f"get {path}")
        self._fail(self._world.fate() != "done")
        if path not in self.objects:
            raise FileNotFoundError(path)
        yield io.BytesIO(self.objects[path][0])

    @contextmanager
    def open_output_stream(self, path: str) -> Iterator[io.BytesIO]:
        buffer = io.BytesIO()
        yield buffer
        self._world.step(f"put {path}")
        fate = self._world.fate()
        self._fail(fate == "refused")
        self.objects[path] = buffer.getvalue(), self._world.now
        self._world.replaced(f"/{path}")
        self._fail(fate == "lost")

    def delete_file(self, path: str) -> None:
        self._world.step(f"delete {path}")
        fate = self._world.fate()
        self._fail(fate == "refused")
        self.objects.pop(path, None)
        self._fail(fate == "lost")

    def get_file_info(self, wanted: Any) -> Any:
        if isinstance(wanted, str):
            self._world.step(f"head {wanted}")
            self._fail(self._world.fate() != "done")
            return Found(wanted, fs.FileType.File if wanted in self.objects else fs.FileType.NotFound)
        return self._list(wanted.base_dir)

    def _list(self, folder: str) -> list[Found]:
        prefix = f"{folder}/"
        self._world.step(f"list {folder}")
        self._fail(self._world.fate() != "done")
        before = self._below(prefix)
        self._world.step(f"listed {folder}")
        after = self._below(prefix)
        shown = {**before, **after}
        found: dict[str, Found] = {}
        for path, when in shown.items():
            if (path in before) != (path in after) and self._world.choices.draw(2):
                continue
            name, below, _ = path.removeprefix(prefix).partition("/")
            kind = fs.FileType.Directory if below else fs.FileType.File
            found[name] = Found(prefix + name, kind, 0, Written(when))
        return list(found.values())

    def _below(self, prefix: str) -> dict[str, float]:
        return {path: written for path, (_, written) in self.objects.items() if path.startswith(prefix)}

    def _fail(self, fails: bool) -> None:
        if fails:
            raise OSError("AWS Error NETWORK_CONNECTION: no answer")
