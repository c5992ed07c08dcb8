"""Rows as Parquet: one fixed schema, so that files of any run can be read together. Described in docs/runs.md."""

from __future__ import annotations

import io
import re
import stat
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow
from pyarrow import parquet

from wherelook.errors import InputError, WherelookError
from wherelook.evaluation.rows import MEASURES, Row
from wherelook.storage import first_line, read_bytes, unreadable, write_whole

TOKEN = pyarrow.struct(
    {
        "text": pyarrow.string(),
        "id": pyarrow.int64(),
        "log_prob": pyarrow.float64(),
        "log_prob_baseline": pyarrow.float64(),
        "llr": pyarrow.float64(),
        "selected": pyarrow.bool_(),
        "word": pyarrow.int64(),
    }
)

SCHEMA = pyarrow.schema(
    {
        # the sample
        "position": pyarrow.int64(),
        "sample": pyarrow.string(),
        "dataset": pyarrow.string(),
        "kind": pyarrow.string(),
        "group": pyarrow.string(),
        "question": pyarrow.string(),
        "choices": pyarrow.list_(pyarrow.string()),
        "reference": pyarrow.string(),
        "references": pyarrow.list_(pyarrow.string()),
        "flags": pyarrow.list_(pyarrow.string()),
        "fingerprint": pyarrow.string(),
        "image_width": pyarrow.int64(),
        "image_height": pyarrow.int64(),
        "image_sha256": pyarrow.string(),
        "evidence_share": pyarrow.float64(),
        "human_people": pyarrow.int64(),
        "human_share": pyarrow.float64(),
        "human_center": pyarrow.float64(),
        "human_ceiling": pyarrow.float64(),
        # who was asked, and what explains the answer
        "model": pyarrow.string(),
        "revision": pyarrow.string(),
        "model_class": pyarrow.string(),
        "dtype": pyarrow.string(),
        "method": pyarrow.string(),
        "preset": pyarrow.string(),
        "run": pyarrow.string(),
        "seed": pyarrow.int64(),
        "condition": pyarrow.string(),
        "partner": pyarrow.string(),
        # the answer
        "status": pyarrow.string(),
        "reason": pyarrow.string(),
        "error": pyarrow.string(),
        "answer": pyarrow.string(),
        "reasoning": pyarrow.string(),
        "correct": pyarrow.bool_(),
        "judge": pyarrow.string(),
        "soft_accuracy": pyarrow.float64(),
        "blind_answer": pyarrow.string(),
        "blind_correct": pyarrow.bool_(),
        "reliance": pyarrow.float64(),
        "gap": pyarrow.float64(),
        "baseline": pyarrow.string(),
        "words": pyarrow.int64(),
        "relevant_words": pyarrow.int64(),
        "tokens": pyarrow.list_(TOKEN),
        "tokens_words": pyarrow.int64(),
        "tokens_selected": pyarrow.int64(),
        # the map
        "fallback": pyarrow.string(),
        "replay_steps": pyarrow.int64(),
        "mask": pyarrow.list_(pyarrow.float32()),
        "mask_height": pyarrow.int64(),
        "mask_width": pyarrow.int64(),
        "focus_x0": pyarrow.int64(),
        "focus_y0": pyarrow.int64(),
        "focus_x1": pyarrow.int64(),
        "focus_y1": pyarrow.int64(),
        "peak_x": pyarrow.float64(),
        "peak_y": pyarrow.float64(),
        "center_x": pyarrow.float64(),
        "center_y": pyarrow.float64(),
        **dict.fromkeys(MEASURES, pyarrow.float64()),
        # what it cost
        "forward": pyarrow.int64(),
        "backward": pyarrow.int64(),
        "seconds": pyarrow.float64(),
        "peak_bytes": pyarrow.int64(),
    }
)
"""Type by column. `position` is the sample's place in its data set, from 0."""

NAMES: Mapping[str, pyarrow.DataType] = dict(zip(SCHEMA.names, SCHEMA.types, strict=True))
FIGURE = pyarrow.float64()

ADDED = frozenset(
    ("reasoning", "human_people", "human_share", "human_center", "human_ceiling", "condition", "partner", *MEASURES)
)
"""Columns that records of earlier versions may not have: metrics are added."""

TIMES = ("seconds", "peak_bytes")
"""Columns that differ when the same thing is done again."""

SURROGATE = re.compile("[\ud800-\udfff]")
ESCAPED = re.compile(r"\\(?=(?:u005c)*ud[89a-f][0-9a-f]{2})")
"""A backslash that begins what an escaped surrogate looks like, or what such a text was escaped to."""


class DamagedError(WherelookError):
    """A file of records is damaged for certain: all its bytes could be read, and they are not Parquet."""


def to_table(rows: Iterable[Row]) -> pyarrow.Table:
    """The rows with all columns of the schema, and one for every other metric; null where a row has none."""
    of_rows = list(rows)
    schema = SCHEMA
    for name in dict.fromkeys(name for row in of_rows for name in row if name not in NAMES):
        schema = schema.append(pyarrow.field(name, FIGURE))
    encodable = [
        {name: storable(row.get(name)) for name in schema.names} | {"condition": row.get("condition") or ""}
        for row in of_rows
    ]
    return pyarrow.Table.from_pylist(encodable, schema=schema)


def column_type(name: str) -> pyarrow.DataType:
    """The type of a column; one that is not in the schema is the figure of another package's metric."""
    return NAMES.get(name, FIGURE)


def write_records(path: Path, rows: pyarrow.Table | Sequence[Row]) -> None:
    """Writes a Parquet file that is there whole or not at all, whatever interrupts it.

    Raises:
        WherelookError: the disk refuses.
    """
    table = rows if isinstance(rows, pyarrow.Table) else to_table(rows)
    buffer = io.BytesIO()
    parquet.write_table(table, buffer, compression="zstd", write_page_checksum=True)
    write_whole(path, buffer.getvalue())


def read_records(path: Path, columns: Sequence[str] | None = None) -> pyarrow.Table:
    """The rows of one file, of all columns or of some; null where it has no such column yet.

    Raises:
        DamagedError: it is not Parquet, whenever it is read.
        InputError: it is not a regular file.
        WherelookError: it cannot be read at this moment, or is not of this schema.
    """
    names = None if columns is None else list(columns)
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # a pipe would be waited for
            raise InputError(f"{path} is not a regular file; move it away")
        table = _parse(path, names)
    except InputError:
        raise
    except Exception as error:  # Arrow raises many types on damaged files
        table = _read_again(path, names, error)
    if names is None:
        names = list(dict.fromkeys((*NAMES, *table.column_names)))
    for name in dict.fromkeys(names).keys() - set(table.column_names):
        if name in ADDED or name not in NAMES:
            table = table.append_column(name, pyarrow.nulls(len(table), column_type(name)))
    types = {field.name: field.type for field in table.schema}
    for name in names:
        if types.get(name) != column_type(name):
            raise WherelookError(
                f"{path} holds records of another version: it has no column {name!r} of {column_type(name)}; "
                "move it away, or name a new folder"
            )
    return table.select(names)


def _parse(source: Path | pyarrow.BufferReader, names: list[str] | None) -> pyarrow.Table:
    with parquet.ParquetFile(source, page_checksum_verification=True) as file:
        there = set(file.schema_arrow.names)  # made anew at every access
        return file.read(columns=None if names is None else [name for name in names if name in there])


def _read_again(path: Path, names: list[str] | None, error: Exception) -> pyarrow.Table:
    """Tells a file that is damaged from one that cannot be read now: only its bytes, all of them, can say so."""
    if _passing(error):
        raise unreadable(path, error) from error
    data = read_bytes(path)
    if data is None:
        raise unreadable(path, error) from error
    try:
        return _parse(pyarrow.BufferReader(data), names)
    except Exception as again:
        if _passing(again):
            raise unreadable(path, again) from again
        raise DamagedError(f"{path} is damaged, not a readable file of records: {first_line(again)}") from again


def _passing(error: Exception) -> bool:
    """Whether it may be the system's fault, not the file's: no memory, no right to read, a disk that fails."""
    return isinstance(error, MemoryError | NotImplementedError) or getattr(error, "errno", None) is not None


def storable(value: Any) -> Any:
    """Text as Parquet holds it, in UTF-8: a lone surrogate is escaped, as in "\\ud800".

    Different texts stay different: a text that has such an escape already gets another one for its backslash.
    """
    if isinstance(value, str):
        return SURROGATE.sub(lambda found: f"\\u{ord(found[0]):04x}", ESCAPED.sub(r"\\u005c", value))
    if isinstance(value, list | tuple):
        return [storable(item) for item in value]
    if isinstance(value, dict):
        return {name: storable(item) for name, item in value.items()}
    return value
