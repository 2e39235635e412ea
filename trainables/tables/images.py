"""The column of encoded images: their bytes are in it, or it names files."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from pyarrow import fs

from analysis.one_line import message_of
from trainables.errors import DamagedImageError
from trainables.tables.files import File


def image_kind(column: Any) -> str | None:
    """Why a column can't hold images; None if it can: bytes, paths, or structs of `bytes` and `path`."""
    kind = column.value_type if pa.types.is_dictionary(column) else column
    if pa.types.is_struct(kind):
        fields = {field.name: field.type for field in kind}
        good = (_is_bytes(fields["bytes"]) if "bytes" in fields else False) or _is_text(fields.get("path"))
    else:
        good = _is_bytes(kind) or _is_text(kind)
    return None if good else f"images must be bytes, paths, or structs of `bytes` and `path`, not {column}"


def may_name_files(table: Any, column: str) -> bool:
    """Whether images of a file may lie in files of their own: by the column's type and its count of null bytes."""
    kind = table.schema_arrow.field(column).type
    if not pa.types.is_struct(kind):
        return _is_text(kind)
    if not {"bytes", "path"} <= {field.name for field in kind}:
        return "path" in {field.name for field in kind}
    return any(_may_be_null(chunk) for chunk in _chunks(table.metadata, f"{column}.bytes"))


def paths_of(table: Any, column: str) -> Iterator[str]:
    """The paths that a file's images have, without their bytes."""
    nested = pa.types.is_struct(table.schema_arrow.field(column).type)
    for batch in table.iter_batches(columns=[f"{column}.path" if nested else column]):
        for value in batch.column(0).to_pylist():
            path = value.get("path") if isinstance(value, dict) else value
            if isinstance(path, str):
                yield path


@dataclass(frozen=True)
class Images:
    """Reads what a column's values say: bytes as they are, or a file beside the Parquet file."""

    file: File

    def encoded(self, value: Any, source: str) -> bytes:
        """The bytes of an image.

        Args:
            value: of the column.
            source: file and row, for the message.

        Raises:
            DamagedImageError: there is no image in this row, or its file can't be read.
        """
        path = None
        if isinstance(value, dict):
            path, value = value.get("path"), value.get("bytes")
        if isinstance(value, bytes):
            return value
        path = value if isinstance(value, str) else path
        if not path:
            raise DamagedImageError(f"{source}: there is no image: the column holds no bytes and no path")
        if "://" in path:
            raise DamagedImageError(
                f"{source}: the image is at {path}; images must be in the Parquet file, or in files beside it"
            )
        try:
            with self._filesystem(path).open_input_stream(self.location(path)) as stream:
                data: bytes = stream.read()
        except (OSError, pa.ArrowException) as error:
            raise DamagedImageError(f"{source}: the image {path} can't be read: {message_of(error)}") from error
        return data

    def location(self, path: str) -> str:
        """The path of an image in its file system; a relative path begins at the Parquet file's folder."""
        return path if path.startswith("/") else f"{self.file.path.rpartition('/')[0]}/{path}"

    def states(self, paths: Iterable[str]) -> list[tuple[int, int]]:
        """Size and time of change of the files at some paths; (-1, 0) where there is none."""
        found = self.file.filesystem.get_file_info([self.location(path) for path in paths if "://" not in path])
        return [(-1 if info.size is None else info.size, info.mtime_ns or 0) for info in found]

    def _filesystem(self, path: str) -> Any:
        return fs.LocalFileSystem() if path.startswith("/") and self._is_local() else self.file.filesystem

    def _is_local(self) -> bool:
        return bool(self.file.filesystem.type_name == "local")


def _chunks(metadata: Any, column: str) -> Iterator[Any]:
    for group in range(metadata.num_row_groups):
        row_group = metadata.row_group(group)
        for index in range(row_group.num_columns):
            if row_group.column(index).path_in_schema == column:
                yield row_group.column(index)


def _may_be_null(chunk: Any) -> bool:
    statistics = chunk.statistics
    return statistics is None or not statistics.has_null_count or statistics.null_count > 0


def _is_bytes(kind: Any) -> bool:
    types = pa.types
    return bool(types.is_binary(kind) or types.is_large_binary(kind) or types.is_binary_view(kind))


def _is_text(kind: Any) -> bool:
    types = pa.types
    return kind is not None and bool(types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind))
