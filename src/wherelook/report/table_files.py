"""A comparison as flat tables and plain values: CSV, Parquet and JSON."""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import pyarrow
from pyarrow import csv, parquet

from wherelook.analysis.results import Comparison
from wherelook.file_set import FileSet
from wherelook.stats import Calibration, Estimate, Test

RESULT_FILE = "compare.json"
SCHEMA_VERSION = 1
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
        WherelookError: the disk refuses; see `FileSet.write` for an earlier comparison.
    """
    return _SET.write(folder, _files(comparison), to_record(comparison))


def check_tables(folder: Path) -> None:
    """Refuses a folder in which tables would take the place of files that no comparison wrote: before the work.

    `compare.json` knows the files that were written with it by their content, so that one that was changed since is
    nobody's but the user's.

    Raises:
        InputError: there is such a file.
        WherelookError: a file cannot be read.
    """
    _SET.check(folder)


def _is_record(record: Mapping[str, Any]) -> bool:
    return record.get("schema_version") == SCHEMA_VERSION and record.keys() >= {"method", "models", "coverage", "notes"}


_SET = FileSet(
    record=RESULT_FILE,
    is_record=_is_record,
    is_name={f"{table}.{suffix}" for table in TABLES for suffix in ("csv", "parquet")}.__contains__,
    writer="a comparison",
)


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
