"""Tables as rows, one after another: CSV, TSV, JSON lines, JSON and Parquet. Never a whole table in memory."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from io import BufferedIOBase
from pathlib import PurePosixPath

from wherelook.data.files import Files, reading
from wherelook.data.json_stream import entries
from wherelook.data.parquet import read_parquet
from wherelook.data.row import Row, Unreadable, row
from wherelook.data.separated import read_separated
from wherelook.errors import InputError, WherelookError

LONGEST_LINE = 16_000_000
"""Bytes of a line of JSON; an image in base64 fits."""

TABLES = (".csv", ".tsv", ".jsonl", ".json", ".parquet")
"""Endings of the files that `read_rows` reads."""


def read_rows(files: Files, name: str, columns: Collection[str] | None = None) -> Iterator[Row]:
    """The rows of a table, whose format its ending tells; .json is a list of objects, or an object on every line.

    A row that is broken while the next one can be found comes as a row of `Unreadable` values.

    Args:
        files, name: where it is.
        columns: of a Parquet file, all that will be asked for; None for every one.

    Raises:
        InputError: another ending.
        WherelookError: the table is broken; the error says where.
    """
    place = files.describe(name)
    suffix = PurePosixPath(name).suffix.lower()
    if suffix not in TABLES:
        raise InputError(f"{place} is not a table; expected {', '.join(TABLES)}")
    with reading(place), files.open(name) as stream:
        if suffix == ".parquet":
            yield from read_parquet(stream, place, columns)
        elif suffix == ".jsonl" or (suffix == ".json" and not _is_list(files, name)):
            yield from _lines(stream, place)
        elif suffix == ".json":
            yield from (row(where, value, int(number)) for number, value, where in entries(stream, place))
        else:
            yield from read_separated(stream, place, b"\t" if suffix == ".tsv" else b",")


def json_rows(files: Files, name: str, key: str | None = None, *, keyed: bool = False) -> Iterator[Row]:
    """The objects of a JSON document's list or object; see `entries` for the errors.

    Args:
        files, name: where it is.
        key: of the list inside the document's own object; None for the document itself.
        keyed: whether each object's own name in the document is its id.
    """
    with files.open(name) as stream:
        for number, value, place in entries(stream, files.describe(name), key):
            yield row(place, {**value, "id": number} if keyed and isinstance(value, dict) else value)


def _lines(stream: BufferedIOBase, place: str) -> Iterator[Row]:
    number = 0
    while line := stream.readline(LONGEST_LINE + 1):
        number += 1
        where = f"{place}, line {number}"
        if len(line) > LONGEST_LINE:
            raise WherelookError(f"{where}: longer than {LONGEST_LINE // 10**6} MB")
        if line.strip():
            try:
                value = json.loads(line.decode("utf-8-sig" if number == 1 else "utf-8"))
            except (ValueError, RecursionError):
                yield Row(where, Unreadable(f"{where}: not a line of JSON"), number)
            else:
                yield row(where, value, number)


def _is_list(files: Files, name: str) -> bool:
    with files.open(name) as stream:
        return stream.read(4096).removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"[")
