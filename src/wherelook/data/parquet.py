"""Parquet files as rows. Only what is asked for is converted, and nothing that would unfold to gigabytes is read."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from io import BufferedIOBase
from typing import Any

from wherelook.data.row import Row
from wherelook.errors import WherelookError

LARGEST_BATCH = 64
"""Rows that are held at a time."""

BATCH_BYTES = 64_000_000
"""Bytes that they may unfold to, if one row does not have more."""

LARGEST_CHUNK = 4_000_000_000
"""Bytes of one column of one group of rows, unpacked."""

MOST_COMPRESSION = 1000
"""A column that grows by more than this beyond `SMALL_CHUNK` is no data, but a bomb."""

SMALL_CHUNK = 64_000_000
"""Bytes up to which compression does not matter."""

MOST_LIST_ITEMS = 20_000_000
"""Items of lists in one column of one group of rows: long runs of equal ones take no room in a file."""


class ArrowValues(Mapping[str, Any]):
    """A row of a batch; a value is converted when it is asked for, so that one nobody needs cannot be wrong."""

    def __init__(self, batch: Any, index: int, place: str) -> None:
        self.batch = batch
        self.index = index
        self.place = place

    def __getitem__(self, name: str) -> Any:
        places = self.batch.schema.get_all_field_indices(name)
        if not places:
            raise KeyError(name)
        try:
            return self.batch.column(places[0])[self.index].as_py()
        except Exception as error:  # broken UTF-8, times that Python has none for, and what else Arrow does not check
            raise WherelookError(f"{self.place}: {name} cannot be read: {type(error).__name__}") from error

    def __contains__(self, name: object) -> bool:
        return name in self.batch.schema.names

    def __iter__(self) -> Iterator[str]:
        return iter(self.batch.schema.names)

    def __len__(self) -> int:
        return len(self.batch.schema.names)


def read_parquet(stream: BufferedIOBase, place: str, columns: Collection[str] | None = None) -> Iterator[Row]:
    """The rows of a Parquet file.

    Args:
        stream: the file.
        place: what errors call it.
        columns: all that will be asked for, where the file has them; None for every one.

    Raises:
        WherelookError: the file is broken, or would unfold to more than memory should hold.
    """
    from pyarrow import parquet

    number = 0
    try:
        with parquet.ParquetFile(stream, pre_buffer=False) as table:
            names = table.schema_arrow.names
            wanted = list(dict.fromkeys(name for name in names if columns is None or name in columns))
            size = _batch_size(table, wanted, place)
            for batch in table.iter_batches(size, columns=wanted, use_threads=False):
                for index in range(batch.num_rows):
                    number += 1
                    where = f"{place}, row {number}"
                    yield Row(where, ArrowValues(batch, index, where), number)
    except WherelookError:
        raise
    except Exception as error:  # Arrow raises its own errors, OSError, ValueError, MemoryError and others
        line = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise WherelookError(f"{place} is broken{f' after row {number}' if number else ''}: {line}") from error


def _batch_size(table: Any, wanted: Collection[str], place: str) -> int:
    """Rows to read at a time, after what the file says of itself."""
    metadata, size = table.metadata, LARGEST_BATCH
    nested = {
        column for column in range(metadata.num_columns) if metadata.schema.column(column).max_repetition_level > 0
    }
    for group in range(metadata.num_row_groups):
        rows = metadata.row_group(group)
        largest_row = 0
        for column in range(rows.num_columns):
            chunk = rows.column(column)
            name = chunk.path_in_schema.split(".")[0]
            if name not in wanted:
                continue
            unpacked, packed = chunk.total_uncompressed_size, chunk.total_compressed_size
            bomb = unpacked > max(SMALL_CHUNK, MOST_COMPRESSION * packed) or unpacked > LARGEST_CHUNK
            if bomb or (column in nested and chunk.num_values > MOST_LIST_ITEMS):
                raise WherelookError(
                    f"{place}: column {name} grows from {packed} to {max(unpacked, chunk.num_values)} bytes or more: "
                    "refused as a bomb; write the file again with smaller groups of rows if you trust it"
                )
            # With a dictionary every row may hold its largest value, of which only the whole size is known.
            repeats = chunk.has_dictionary_page
            largest_row += unpacked if repeats else unpacked // max(rows.num_rows, 1)
        size = max(1, min(size, BATCH_BYTES // max(largest_row, 1)))
    return size
