"""A table as a page shows it: cells of text, each with the value that it is sorted by."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from wherelook.report import formatting
from wherelook.report.formatting import DASH
from wherelook.stats import Estimate

ALL_TASKS = "all"


@dataclass(frozen=True)
class Cell:
    """Text, a smaller line below it, and what it is sorted by: a number, or "" for nothing; None for its text."""

    text: str
    detail: str = ""
    order: float | str | None = None

    @property
    def key(self) -> str:
        """What it is sorted by, as text."""
        if self.order is None:
            return self.text
        if isinstance(self.order, str):
            return self.order
        return repr(float(self.order)) if math.isfinite(self.order) else "Infinity" if self.order > 0 else "-Infinity"


@dataclass(frozen=True)
class Column:
    """Its head, what it means, and whether it holds numbers."""

    title: str
    meaning: str = ""
    number: bool = True


@dataclass(frozen=True)
class Line:
    """Cells of a line; `whole` marks one over all tasks, `note` what is out of the ordinary in it."""

    cells: tuple[Cell, ...]
    whole: bool = False
    note: str = ""


@dataclass(frozen=True)
class Table:
    """`name` is that of the file that holds the same with all digits."""

    name: str
    caption: str
    columns: tuple[Column, ...]
    lines: tuple[Line, ...]


BENCHMARK = Column("Benchmark", number=False)
MODEL = Column("Model", number=False)
TASK = Column("Task", "kind of question", number=False)


def without_repetition(table: Table) -> Table:
    """The table without a column of benchmarks or tasks that says the same in every line."""
    dull = {
        index
        for index, column in enumerate(table.columns)
        if column in (BENCHMARK, TASK) and len({line.cells[index].text for line in table.lines}) < 2
    }
    return Table(
        table.name,
        table.caption,
        tuple(column for index, column in enumerate(table.columns) if index not in dull),
        tuple(
            Line(tuple(cell for index, cell in enumerate(line.cells) if index not in dull), line.whole, line.note)
            for line in table.lines
        ),
    )


def whole_first(lines: Sequence[Line]) -> tuple[Line, ...]:
    """Lines over all tasks, then those of single ones."""
    return tuple(sorted(lines, key=lambda line: not line.whole))


# ---- cells ----


def task(name: str | None) -> Cell:
    """A kind of question; None: all of them."""
    return Cell(ALL_TASKS if name is None else name)


def count(value: int) -> Cell:
    """A number of things."""
    return Cell(f"{value:,}", order=value)


def percent(estimate: Estimate | None) -> Cell:
    """A share in percent, above its interval."""
    if estimate is None:
        return Cell(DASH, order="")
    return Cell(formatting.percent_value(estimate), formatting.percent_interval(estimate), estimate.value)


def figure(estimate: Estimate | None) -> Cell:
    """A figure above its interval."""
    if estimate is None:
        return Cell(DASH, order="")
    return Cell(formatting.value(estimate), formatting.interval(estimate), estimate.value)
