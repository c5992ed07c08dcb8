"""A comparison as flat tables and plain values: CSV, Parquet and JSON."""

from __future__ import annotations

import hashlib
import io
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import pyarrow
from pyarrow import csv, parquet

from wherelook.errors import InputError
from wherelook.stats import Calibration, Estimate, Test
from wherelook.storage import earlier_path, read_bytes, unfinished_path, write_together
from wherelook.study.comparison import Comparison

RESULT_FILE = "compare.json"
SCHEMA_VERSION = 1
FILES = "files"
"""In the result file: the other files that were written with it, each with the SHA-256 of its content."""

TABLES = (
    *("models", "coverage", "judges", "skipped", "own", "reliance", "focus", "human", "relations", "pairs", "merges"),
    *("evidence", "cells", "calibrations", "bins", "findings"),
)
"""Names of all tables that `to_tables` makes."""

Line = dict[str, Any]


def to_tables(comparison: Comparison) -> dict[str, list[Line]]:
    """Every table by name, a mapping of plain values per line; the same keys in all lines of a table.

    An estimate is four columns: its name, and the name with _low, _high and _method.
    """
    tables: dict[str, list[Line]] = {
        "models": _lines(comparison.models),
        "coverage": _lines(comparison.coverage),
        "judges": _lines(comparison.judges),
        "skipped": _lines(comparison.skipped),
        "own": _lines(comparison.own),
        "reliance": _lines(comparison.reliance),
        "focus": _lines(comparison.focus),
        "human": _lines(comparison.human),
        "relations": _lines(comparison.relations),
        "pairs": _lines(comparison.pairs),
        "merges": [
            {"benchmark": tree.benchmark} | _flat(merge) for tree in comparison.trees for merge in tree.hierarchy.merges
        ],
        "evidence": _lines(comparison.evidence, without="cells"),
        "cells": [
            {"benchmark": line.benchmark, "task": line.task, "model": line.model} | _flat(cell)
            for line in comparison.evidence
            for cell in line.cells
        ],
        "calibrations": _lines(comparison.calibrations),
        "bins": [
            {"benchmark": line.benchmark, "task": line.task, "model": line.model} | _flat(one)
            for line in comparison.calibrations
            for one in line.calibration.bins
        ],
        "findings": _lines(comparison.findings),
    }
    return {name: _same_keys(lines) for name, lines in tables.items()}


def to_record(comparison: Comparison) -> dict[str, Any]:
    """The whole comparison as JSON values; what is infinite is null."""
    return {"schema_version": SCHEMA_VERSION, **_plain(comparison)}


def write_tables(comparison: Comparison, folder: Path) -> list[Path]:
    """Writes `compare.json` and, for every table that has lines, a CSV and a Parquet file, in place of an earlier
    comparison's. The folder must be there.

    Returns:
        The files.

    Raises:
        InputError: see `check_tables`.
        WherelookError: the disk refuses; an earlier comparison is as it was.
    """
    check_tables(folder)
    earlier = _written(folder)
    files = dict(_files(comparison))
    hashes = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    record = to_record(comparison) | {FILES: hashes}
    text = json.dumps(record, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    files[RESULT_FILE] = text.encode("utf-8", "backslashreplace")
    write_together(folder, files.items(), last=RESULT_FILE, ours=earlier.__contains__)
    return [folder / name for name in files]


def check_tables(folder: Path) -> None:
    """Refuses a folder in which tables would take the place of files that no comparison wrote: before the work.

    `compare.json` knows the files that were written with it by their content, so that one that was changed since is
    nobody's but the user's.

    Raises:
        InputError: there is such a file.
        WherelookError: a file cannot be read.
    """
    hashes = _written(folder)
    for name in (RESULT_FILE, *(f"{table}.{suffix}" for table in TABLES for suffix in ("csv", "parquet"))):
        data = read_bytes(folder / name)
        if data is None or (name == RESULT_FILE and RESULT_FILE in hashes):
            continue
        if hashlib.sha256(data).hexdigest() not in hashes.get(name, ()):
            raise InputError(
                f"{folder / name} was not written by a comparison, or was changed since: move it away, or name another "
                "folder"
            )


def _written(folder: Path) -> dict[str, set[str]]:
    """The files that comparisons wrote into a folder, with the hashes of their content; `compare.json` without any."""
    found: dict[str, set[str]] = {}
    result = folder / RESULT_FILE
    for path in (result, unfinished_path(result), earlier_path(result)):  # the others of one that was killed
        try:
            record = json.loads(read_bytes(path) or b"")
            if path == result and record["schema_version"] == SCHEMA_VERSION and "coverage" in record:
                found.setdefault(RESULT_FILE, set())
            for name, value in record.get(FILES, {}).items():
                found.setdefault(name, set()).add(value)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):  # something else's, or cut off
            continue
    return found


def _files(comparison: Comparison) -> Iterator[tuple[str, bytes]]:
    for name, lines in to_tables(comparison).items():
        if not lines:
            continue
        buffer = io.BytesIO()
        parquet.write_table(pyarrow.Table.from_pylist(lines), buffer)
        yield f"{name}.parquet", buffer.getvalue()
        joined = [{key: "; ".join(value) if isinstance(value, tuple) else value for key, value in line.items()}
                  for line in lines]  # fmt: skip
        buffer = io.BytesIO()
        csv.write_csv(pyarrow.Table.from_pylist(joined), buffer)
        yield f"{name}.csv", buffer.getvalue()


def _lines(lines: Iterable[Any], without: str | None = None) -> list[Line]:
    return [{name: value for name, value in _flat(line).items() if name != without} for line in lines]


def _flat(line: Any) -> Line:
    flat: Line = {}
    for field in fields(line):
        value = getattr(line, field.name)
        if isinstance(value, Estimate):
            flat |= _estimate(field.name, value)
        elif isinstance(value, Test):
            flat |= {"test": value.name, "statistic": value.statistic, "p_uncorrected": value.p, "n": value.n}
            flat |= {"clusters": value.clusters, "effect_name": value.effect.name}
            flat |= _estimate("effect", value.effect)
            if value.standardized is not None:
                flat |= {"standardized_name": value.standardized.name, **_estimate("standardized", value.standardized)}
            flat["assumptions"] = value.assumptions
        elif isinstance(value, Calibration):
            flat |= {"n": value.n, "error": value.error, **_estimate("brier", value.brier)}
            if value.roc_area is not None:
                flat |= _estimate("roc_area", value.roc_area)
        else:
            flat[field.name] = value
    return flat


def _estimate(name: str, value: Estimate) -> Line:
    return {name: value.value, f"{name}_low": value.low, f"{name}_high": value.high, f"{name}_method": value.method}


def _same_keys(lines: Sequence[Line]) -> list[Line]:
    names = list(dict.fromkeys(name for line in lines for name in line))
    return [{name: line.get(name) for name in names} for line in lines]


def _plain(value: Any) -> Any:
    if is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
