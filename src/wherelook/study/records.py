"""Rows as Parquet: one fixed schema, so that files of any run can be read together. Described in docs/runs.md."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pyarrow
from pyarrow import parquet

from wherelook.errors import WherelookError
from wherelook.study.rows import MEASURES, Row

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
        "centre_x": pyarrow.float64(),
        "centre_y": pyarrow.float64(),
        **dict.fromkeys(MEASURES, pyarrow.float64()),
        # what it cost
        "forward": pyarrow.int64(),
        "backward": pyarrow.int64(),
        "seconds": pyarrow.float64(),
        "peak_bytes": pyarrow.int64(),
    }
)
"""Type by column. `position` is the sample's place in its data set, from 0."""

ADDED = frozenset(("reasoning", "human_people", "human_share", "human_center", "human_ceiling"))
"""Columns that records of earlier versions do not have."""

TIMES = ("seconds", "peak_bytes")
"""Columns that differ when the same thing is done again."""


def to_table(rows: Iterable[Row]) -> pyarrow.Table:
    """The rows with all columns of the schema, null where a row has none."""
    encodable = [{name: _encodable(row.get(name)) for name in SCHEMA.names} for row in rows]
    return pyarrow.Table.from_pylist(encodable, schema=SCHEMA)


def write_records(path: Path, rows: pyarrow.Table | Sequence[Row]) -> None:
    """Writes a Parquet file that is there whole or not at all, whatever interrupts it.

    Raises:
        WherelookError: the disk refuses.
    """
    table = rows if isinstance(rows, pyarrow.Table) else to_table(rows)
    buffer = io.BytesIO()
    parquet.write_table(table, buffer, compression="zstd")
    write_whole(path, buffer.getvalue())


def read_records(path: Path, columns: Sequence[str] | None = None) -> pyarrow.Table:
    """The rows of one file; null where an earlier version knew no such column yet.

    Raises:
        WherelookError: it cannot be read, or is not of this schema.
    """
    try:
        table = parquet.ParquetFile(path).read(columns=None if columns is None else list(columns))
    except (OSError, pyarrow.ArrowException) as error:
        raise WherelookError(f"{path} is not a readable file of records: {_first_line(error)}") from error
    wanted = SCHEMA.names if columns is None else list(columns)
    missing = set(wanted) - set(table.column_names)
    if missing - ADDED:
        raise WherelookError(f"{path} holds records of another version: it has no column {min(missing - ADDED)!r}")
    for name in missing:
        table = table.append_column(SCHEMA.field(name), pyarrow.nulls(len(table), SCHEMA.field(name).type))
    return table.select(wanted) if missing else table


def write_whole(path: Path, data: bytes) -> None:
    """Writes a file under another name first, and gives it its own when it is safely there.

    Raises:
        WherelookError: the disk refuses.
    """
    unfinished = path.with_name(f".{path.name}.unfinished")  # readers of a folder of Parquet pass over hidden files
    try:
        with unfinished.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    except OSError as error:
        unfinished.unlink(missing_ok=True)
        raise WherelookError(
            f"cannot write {path}: {error.strerror or error}; what is finished is kept, the same command goes on"
        ) from error


def _encodable(value: Any) -> Any:
    """Text that is not Unicode (lone surrogates) is escaped: Parquet holds UTF-8."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, list | tuple):
        return [_encodable(item) for item in value]
    if isinstance(value, dict):
        return {name: _encodable(item) for name, item in value.items()}
    return value


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
