"""A comparison as files: every table as CSV, Parquet and Markdown, every plot as SVG and PDF; they change as a set."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from wherelook.analysis.method_table import RunSummary, to_records
from wherelook.analysis.results import Comparison
from wherelook.explanation.drawing import to_pdf, to_svg
from wherelook.file_set import FileSet
from wherelook.report.formatting import slug
from wherelook.report.method_tables import COST, NAMES, method_tables
from wherelook.report.plots import PLOTS, comparison_figures, method_figures
from wherelook.report.table import Table
from wherelook.report.tables import COLUMNS, make_tables

SCHEMA_VERSION = 1
MARKDOWN = "tables.md"
_NAMES = re.compile(
    rf"{re.escape(MARKDOWN)}|({'|'.join((*COLUMNS, *filter(None, NAMES.values()), COST))}|metrics-[a-z0-9-]+)"
    r"\.(csv|parquet)"
    rf"|({'|'.join(PLOTS)})(-[\w-]+)?\.(svg|pdf)",
    re.ASCII,
)


def to_record(comparison: Comparison) -> dict[str, Any]:
    """The whole comparison as JSON values; what is infinite is null."""
    return {"schema_version": SCHEMA_VERSION, **_plain(comparison)}


def write_comparison(comparison: Comparison, folder: Path) -> list[Path]:
    """Writes `compare.json`, tables and plots in place of an earlier comparison's. The folder must be there.

    Returns:
        The files.

    Raises:
        InputError: see `check_folder`.
        WherelookError: the disk refuses; see `FileSet.write` for an earlier comparison.
    """
    tables = [table for table in make_tables(comparison).values() if table.rows]
    figures = comparison_figures(comparison)
    several = len({benchmark for benchmark, _ in figures}) > 1
    ranks = {name: rank for rank, name in enumerate(dict.fromkeys(benchmark for benchmark, _ in figures), start=1)}
    named = {
        (f"{name}-{ranks[benchmark]}-{slug(benchmark)}".rstrip("-") if several else name): (name, benchmark, figure)
        for (benchmark, name), figure in figures.items()
    }
    return COMPARISON.write(folder, _files(tables, named), to_record(comparison))


def write_methods(summaries: Sequence[RunSummary], folder: Path) -> list[Path]:
    """Writes `methods.json`, the table of methods and the plots of cost; see `write_comparison`."""
    tables = method_tables(summaries)
    named = {name: (name, "", figure) for name, figure in method_figures(summaries).items()}
    record = {"schema_version": SCHEMA_VERSION, "runs": to_records(summaries)}
    return METHODS.write(folder, _files(tables, named), record)


def _files(tables: Sequence[Table], figures: Mapping[str, tuple[str, str, Any]]) -> Iterator[tuple[str, bytes]]:
    for table in tables:
        yield from table.files()
    yield MARKDOWN, "\n".join(f"{table.to_markdown()}" for table in tables if table.shown).encode("utf-8", "replace")
    for name, (plot, benchmark, figure) in figures.items():
        yield f"{name}.svg", to_svg(figure, f"{PLOTS[plot]}{f', {benchmark}' if benchmark else ''}")
        yield f"{name}.pdf", to_pdf(figure)


def _is_comparison(record: Mapping[str, Any]) -> bool:
    return record.get("schema_version") == SCHEMA_VERSION and record.keys() >= {"method", "models", "coverage", "notes"}


def _is_methods(record: Mapping[str, Any]) -> bool:
    return record.get("schema_version") == SCHEMA_VERSION and "runs" in record


def _is_name(name: str) -> bool:
    return _NAMES.fullmatch(name) is not None


COMPARISON = FileSet(record="compare.json", is_record=_is_comparison, is_name=_is_name, writer="a comparison")
METHODS = FileSet(record="methods.json", is_record=_is_methods, is_name=_is_name, writer="an evaluation")
"""`check` refuses a folder in which files would take the place of such that no earlier set has, before the work."""


def _plain(value: Any) -> Any:
    if is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
