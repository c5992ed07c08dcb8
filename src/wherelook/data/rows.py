"""Tables as rows, one after another: CSV, TSV, JSON lines, JSON and Parquet. Never a whole table in memory."""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from io import BufferedIOBase
from pathlib import PurePosixPath
from string import ascii_uppercase
from typing import Any

from wherelook.data.files import READ_ERRORS, Files
from wherelook.data.json_stream import entries
from wherelook.data.sources import Box, ImageBytes, ImageSource
from wherelook.errors import InputError, WherelookError

LONGEST_ROW = 16_000_000
"""Bytes of a row of text; an image in base64 fits."""

TEXT_BLOCK = 1 << 20
"""Bytes of a table of text that are read at a time, about."""

LONGEST_HEADER = 100_000
"""Bytes of the row with the names of columns."""

BROKEN_ROW = re.compile(r"Row #(\d+): (.*)")
"""How Arrow tells which row is broken."""

PARQUET_BATCH = 64
"""Rows of a Parquet file that are held at a time."""

TABLES = (".csv", ".tsv", ".jsonl", ".json", ".parquet")
"""Endings of the files that `read_rows` reads."""


@dataclass(frozen=True)
class Row:
    """Values by the name of their column.

    Attributes:
        place: where it is, for errors: "questions.csv, row 3".
        values: None where there is nothing.
        number: in its table, from 1; of JSON lines the number of the line.
    """

    place: str
    values: Mapping[str, Any]
    number: int = 1

    def text(self, name: str) -> str | None:
        """Text, None where there is none. Raises WherelookError when it is something else."""
        value = self.values.get(name)
        if value is not None and not isinstance(value, str):
            raise WherelookError(f"{self.place}: {name} must be text, not {_shown(value)}")
        return value

    def required(self, name: str) -> str:
        """Text that must be there. Raises WherelookError when it is missing or blank."""
        value = self.text(name)
        if value is None:
            raise WherelookError(f"{self.place}: {name} is missing")
        if not value.strip():
            raise WherelookError(f"{self.place}: the {name} is empty")
        return value

    def name(self, name: str) -> str | None:
        """Text or a whole number as text, None where there is none: ids and labels. Raises WherelookError otherwise."""
        value = self.values.get(name)
        if value is None or value == "":
            return None
        if isinstance(value, bool) or not isinstance(value, str | int):
            raise WherelookError(f"{self.place}: {name} must be text or a whole number, not {_shown(value)}")
        return str(value)

    def required_name(self, name: str) -> str:
        """The same, that must be there."""
        value = self.name(name)
        if value is None:
            raise WherelookError(f"{self.place}: {name} is missing")
        return value

    def texts(self, name: str) -> tuple[str, ...]:
        """A text, or a list of them, as a tuple. Raises WherelookError when it is something else."""
        value = self.values.get(name)
        if value is None or value == "":
            return ()
        items = value if isinstance(value, list) else [value]
        if not all(isinstance(item, str | int) and not isinstance(item, bool) for item in items):
            raise WherelookError(f"{self.place}: {name} must be text or a list of texts, not {_shown(value)}")
        return tuple(str(item) for item in items)

    def choices(self, name: str) -> tuple[str, ...]:
        """The texts of options: a list, also written as JSON. Raises WherelookError on more than there are letters."""
        choices = Row(self.place, {name: self._listed(name)}).texts(name)
        if len(choices) > len(ascii_uppercase):
            raise WherelookError(f"{self.place}: {len(choices)} {name}; at most {len(ascii_uppercase)} have letters")
        return choices

    def boxes(self, name: str) -> tuple[Box, ...]:
        """One box or a list of them, four numbers each, also written as JSON. Raises WherelookError otherwise."""
        value = self._listed(name)
        if not value:
            return ()
        boxes = value if isinstance(value, list) and isinstance(value[0], list) else [value]
        if not all(isinstance(box, list) and len(box) == 4 and all(map(_is_number, box)) for box in boxes):
            raise WherelookError(f"{self.place}: {name} must be four numbers, or a list of such; not {_shown(value)}")
        return tuple((float(x), float(y), float(other_x), float(other_y)) for x, y, other_x, other_y in boxes)

    def image(self, name: str, files: Files) -> ImageSource:
        """The image of a column: bytes, bytes with a path (as Hugging Face's data sets keep them), or a path.

        Raises:
            WherelookError: it is something else, or the path leads out of the folder.
        """
        value = self.values.get(name)
        if isinstance(value, dict):
            value = value.get("bytes") if value.get("bytes") is not None else value.get("path")
        if isinstance(value, bytes):
            return ImageBytes(value, f"the image of {self.place}")
        if not isinstance(value, str) or not value:
            raise WherelookError(f"{self.place}: {name} must be an image or its path, not {_shown(value)}")
        try:
            return files.image(value)
        except WherelookError as error:
            raise WherelookError(f"{self.place}: {value!r} is not a file inside the folder") from error

    def _listed(self, name: str) -> Any:
        value = self.values.get(name)
        if isinstance(value, str) and value.lstrip().startswith("["):
            try:
                return json.loads(value)
            except (ValueError, RecursionError) as error:
                raise WherelookError(f"{self.place}: {name} is not a list in JSON: {_shown(value)}") from error
        return value


def read_rows(files: Files, name: str) -> Iterator[Row]:
    """The rows of a table, whose format its ending tells; .json is a list of objects, or an object on every line.

    Raises:
        InputError: another ending.
        WherelookError: the table is broken; the error says where.
    """
    place = files.describe(name)
    suffix = PurePosixPath(name).suffix
    if suffix not in TABLES:
        raise InputError(f"{place} is not a table; expected {', '.join(TABLES)}")
    try:
        with files.open(name) as stream:
            if suffix == ".parquet":
                yield from _parquet(stream, place)
            elif suffix == ".jsonl" or (suffix == ".json" and not _is_list(files, name)):
                yield from _lines(stream, place)
            elif suffix == ".json":
                yield from (row(where, value, int(number)) for number, value, where in entries(stream, place))
            else:
                with files.open(name) as beginning:
                    header = _header(beginning, place, "\t" if suffix == ".tsv" else ",")
                yield from _separated(stream, place, header, "\t" if suffix == ".tsv" else ",")
    except READ_ERRORS as error:
        raise WherelookError(f"cannot read {place}: {_first_line(error)}") from error


def row(place: str, value: Any, number: int = 1) -> Row:
    """A row from an object of JSON.

    Raises:
        WherelookError: it is not an object.
    """
    if not isinstance(value, dict):
        raise WherelookError(f"{place}: expected an object, not {_shown(value)}")
    return Row(place, value, number)


def _lines(stream: BufferedIOBase, place: str) -> Iterator[Row]:
    number = 0
    while line := stream.readline(LONGEST_ROW + 1):
        number += 1
        where = f"{place}, line {number}"
        if len(line) > LONGEST_ROW:
            raise WherelookError(f"{where}: longer than {LONGEST_ROW // 10**6} MB")
        if line.strip():
            try:
                value = json.loads(line.decode("utf-8-sig" if number == 1 else "utf-8"))
            except (ValueError, RecursionError) as error:
                raise WherelookError(f"{where}: not a line of JSON") from error
            yield row(where, value, number)


def _is_list(files: Files, name: str) -> bool:
    with files.open(name) as stream:
        return stream.read(4096).removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"[")


def _header(stream: BufferedIOBase, place: str, delimiter: str) -> list[str]:
    line = stream.readline(LONGEST_HEADER)
    try:
        names = next(csv.reader([line.decode("utf-8-sig").rstrip("\r\n")], delimiter=delimiter), [])
    except (csv.Error, ValueError) as error:
        raise WherelookError(f"{place}: the first row, with the names of the columns, is broken: {error}") from error
    if not names or len(set(names)) < len(names):
        raise WherelookError(f"{place}: the first row must name the columns, each another; it is {_shown(names)}")
    return names


def _separated(stream: BufferedIOBase, place: str, header: list[str], delimiter: str) -> Iterator[Row]:
    # Arrow parses: the csv module's bound on a cell is one setting for the whole program, and too small for images.
    from pyarrow import ArrowException, BufferReader, csv, string

    stream.readline(LONGEST_HEADER)
    number = 0
    for block in _blocks(stream, place):
        try:
            table = csv.read_csv(
                BufferReader(block),
                read_options=csv.ReadOptions(column_names=header, block_size=len(block) + 1, use_threads=False),
                parse_options=csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
                convert_options=csv.ConvertOptions(
                    column_types=dict.fromkeys(header, string()), null_values=[""], strings_can_be_null=True
                ),
            )
        except ArrowException as error:
            found = BROKEN_ROW.search(str(error))
            where = f"{place}, row {number + int(found[1])}" if found else f"{place}, after row {number}"
            raise WherelookError(f"{where}: {found[2] if found else _first_line(error)}") from error
        for values in _slices(table):
            number += 1
            yield Row(f"{place}, row {number}", values, number)


def _blocks(stream: BufferedIOBase, place: str) -> Iterator[bytes]:
    """Whole rows, about `TEXT_BLOCK` bytes at a time: cut at line ends that no quotes enclose."""
    pending = b""
    while data := stream.read(TEXT_BLOCK):
        pending += data
        end, quotes = len(pending), pending.count(b'"')
        while (cut := pending.rfind(b"\n", 0, end)) >= 0:
            quotes -= pending.count(b'"', cut, end)
            if quotes % 2 == 0:
                break
            end = cut
        if cut >= 0:
            if pending[: cut + 1].strip():
                yield pending[: cut + 1]
            pending = pending[cut + 1 :]
        if len(pending) > LONGEST_ROW:
            raise WherelookError(f"{place}: a row is longer than {LONGEST_ROW // 10**6} MB, or a quote is not closed")
    if pending.strip():
        yield pending


def _parquet(stream: BufferedIOBase, place: str) -> Iterator[Row]:
    from pyarrow import ArrowException, parquet

    try:
        number = 0
        with parquet.ParquetFile(stream) as table:
            for batch in table.iter_batches(PARQUET_BATCH, use_threads=False):
                for values in _slices(batch):
                    number += 1
                    yield Row(f"{place}, row {number}", values, number)
    except (ArrowException, OSError) as error:
        raise WherelookError(f"{place} is broken: {_first_line(error)}") from error


def _slices(batch: Any) -> Iterator[dict[str, Any]]:
    """The rows of a batch of Arrow; few at a time become Python's values."""
    for start in range(0, batch.num_rows, PARQUET_BATCH):
        yield from batch.slice(start, PARQUET_BATCH).to_pylist()


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 100 else f"{text[:100]}..."
