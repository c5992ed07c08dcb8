"""A table of typed columns, and the forms that it takes: text, Markdown, HTML, CSV and Parquet.

Cells hold values. How a value is shown is said once, by the kind of its column; CSV and Parquet have all its digits.
"""

from __future__ import annotations

import io
import math
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from wherelook.report.formatting import DASH, Kind, parts
from wherelook.stats import Estimate

if TYPE_CHECKING:
    import pyarrow

Row = Mapping[str, Any]

WIDEST_TEXT, NARROWEST_TEXT = 60, 14
"""Characters of a column of words in a text, where no width is known, and where it is too small."""

PROSE = 100
"""Characters of a line of prose, at most."""


@dataclass(frozen=True)
class Column:
    """A column.

    Attributes:
        key: of its values in the rows, and its name in CSV and Parquet.
        title: its heading, with the unit; "" for a column that stands in CSV and Parquet alone.
        kind: of its values; each may be an `Estimate` of the kind, whose interval is shown with it.
        meaning: in a few words.
        digits: after the point of a number, at least.
        empty: shown where there is no value.
    """

    key: str
    title: str = ""
    kind: Kind = "text"
    meaning: str = ""
    digits: int = 2
    empty: str = DASH

    @property
    def is_number(self) -> bool:
        """Whether it is aligned to the right and sorted by size."""
        return self.kind not in ("text", "list", "names")


@dataclass(frozen=True)
class Marked:
    """A value that stands out: in bold, with a sign before it, such as ≈, or with a note beside it; `detail` says more
    on a page."""

    value: Any
    strong: bool = False
    sign: str = ""
    detail: str = ""
    note: str = ""


@dataclass(frozen=True)
class Cell:
    """What is shown of a value: its text, its interval, and what it is sorted by ("" where there is no value)."""

    text: str
    interval: str = ""
    key: str = ""
    strong: bool = False
    sign: str = ""
    detail: str = ""

    @property
    def plain(self) -> str:
        """All of it in a line."""
        sign = f"{self.sign} " if self.sign else ""
        return f"{sign}{self.text} ({self.interval})" if self.interval else sign + self.text


@dataclass(frozen=True)
class Table:
    """Rows of values.

    Attributes:
        name: of the files that hold it.
        caption: a sentence or two.
        columns: in their order.
        rows: values by the keys of the columns; other keys are ignored, and one that is not there is None.

    >>> table = Table("sizes", "Sizes.", (Column("name", "Name"), Column("size", "Size", "count")),
    ...               ({"name": "a", "size": 1200}, {"name": "b", "size": None}))
    >>> print(table.to_text())
    Name   Size
    a     1,200
    b         –
    """

    name: str
    caption: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]

    def where(self, **wanted: Any) -> Table:
        """The rows with these values."""
        return replace(self, rows=tuple(row for row in self.rows if wanted.items() <= row.items()))

    @property
    def shown(self) -> tuple[Column, ...]:
        """The columns with a heading, without one of benchmarks or tasks that says the same in every row."""
        return tuple(
            column
            for column in self.columns
            if column.title
            and (column.key not in ("benchmark", "task") or len({row.get(column.key) for row in self.rows}) > 1)
        )

    def cells(self) -> list[list[Cell]]:
        """What is shown, by rows of the shown columns."""
        return [[_cell(row.get(column.key), column) for column in self.shown] for row in self.rows]

    def to_text(self, width: int | None = None) -> str:
        """Aligned columns without the caption. Words are wrapped to fit, numbers never.

        Args:
            width: characters of a line; None for as many as it takes.
        """
        from rich.console import Console
        from rich.table import Table as Lines
        from rich.text import Text

        columns, rows = self.shown, [[one_line(_starred(cell)) for cell in row] for row in self.cells()]
        lines = Lines(box=None, pad_edge=False, show_edge=False, padding=(0, 2, 0, 0))
        least = 0
        for index, column in enumerate(columns):
            cells = [row[index] for row in rows]
            if column.is_number:  # its heading may be wrapped, its numbers never
                fewest = max(map(len, (*column.title.split(), *cells)))
                lines.add_column(Text(column.title), justify="right", min_width=fewest)
            else:
                fewest = max(map(len, (*column.title.split(), *(cell[:NARROWEST_TEXT] for cell in cells))))
                lines.add_column(Text(column.title), overflow="fold", min_width=fewest,
                                 max_width=WIDEST_TEXT if width is None else None)  # fmt: skip
            least += fewest + 2
        for row in rows:
            lines.add_row(*map(Text, row))
        out = io.StringIO()
        Console(file=out, width=max(width or 10_000, least), color_system=None, legacy_windows=False).print(lines)
        return "\n".join(line.rstrip() for line in out.getvalue().splitlines())

    def to_markdown(self) -> str:
        """A table of Markdown, with its caption below it."""
        lines = [[column.title for column in self.shown]]
        lines += [[f"**{cell.plain}**" if cell.strong else cell.plain for cell in row] for row in self.cells()]
        texts = [[one_line(text).replace("|", "\\|").replace("<", "&lt;") for text in line] for line in lines]
        rule = ["--:" if column.is_number else "---" for column in self.shown]
        body = "\n".join(f"| {' | '.join(line)} |" for line in (texts[0], rule, *texts[1:]))
        return f"{body}\n\n{self.caption}\n"

    def to_arrow(self) -> pyarrow.Table:
        """All columns with all digits. An estimate x is the columns x, x_low, x_high and x_method."""
        import pyarrow

        found: dict[str, list[Any]] = {}
        for column in self.columns:
            values = [_bare(row.get(column.key)) for row in self.rows]
            if not any(isinstance(value, Estimate) for value in values):
                found[column.key] = values
                continue
            for end, part in (("", "value"), ("_low", "low"), ("_high", "high"), ("_method", "method")):
                found[column.key + end] = [getattr(value, part, None) for value in values]
        return pyarrow.table({name: pyarrow.array(values) for name, values in found.items()})

    def files(self) -> Iterable[tuple[str, bytes]]:
        """Names and contents of its CSV and its Parquet file; lists are joined by semicolons in CSV."""
        import pyarrow
        from pyarrow import csv, parquet

        table, buffer = self.to_arrow(), io.BytesIO()
        parquet.write_table(table, buffer)
        yield f"{self.name}.parquet", buffer.getvalue()
        for index, field in enumerate(table.schema):
            if pyarrow.types.is_list(field.type):
                joined = [None if values is None else "; ".join(values) for values in table[index].to_pylist()]
                table = table.set_column(index, field.name, pyarrow.array(joined))
        buffer = io.BytesIO()
        csv.write_csv(table, buffer)
        yield f"{self.name}.csv", buffer.getvalue()


def from_rows(name: str, rows: Sequence[Row]) -> Table:
    """A table of rows with the same keys, which are its headings."""

    def kind(key: str) -> Kind:
        known = [row[key] for row in rows if row[key] is not None]
        if known and all(isinstance(value, int | float) for value in known):
            return "number" if any(isinstance(value, float) for value in known) else "count"
        return "text"

    columns = (Column(key, key.replace("_", " "), kind(key), digits=3) for key in (rows[0] if rows else ()))
    return Table(name, "", tuple(columns), tuple(rows))


def _cell(given: Any, column: Column) -> Cell:
    marked = given if isinstance(given, Marked) else Marked(given)
    value = marked.value
    if value is None:
        return Cell(column.empty, marked.note, "" if column.is_number else column.empty)
    text, interval = parts(value, column.kind, column.digits)
    middle = value.value if isinstance(value, Estimate) else value
    key = _order(float(middle)) if column.is_number else text
    beside = "; ".join(filter(None, (interval, marked.note)))
    return Cell(text=text, interval=beside, key=key, strong=marked.strong, sign=marked.sign, detail=marked.detail)


def _order(value: float) -> str:
    """A number as JavaScript reads it."""
    return repr(value) if math.isfinite(value) else "Infinity" if value > 0 else "-Infinity"


def _starred(cell: Cell) -> str:
    return f"* {cell.plain}" if cell.strong else cell.plain


def _bare(value: Any) -> Any:
    value = value.value if isinstance(value, Marked) else value
    return list(value) if isinstance(value, tuple) else value


def one_line(text: str) -> str:
    """Names come from data: nothing in them may steer a terminal or break a line; what would is spelled out."""
    shown = (letter if letter.isprintable() or letter.isspace() else repr(letter)[1:-1] for letter in text)
    return " ".join("".join(shown).split())


def wrap(prose: str, width: int | None, first: str = "", rest: str = "") -> str:
    """A sentence on lines of `width` characters, or of `PROSE` if these are fewer or no width is known.

    Args:
        prose: the sentence.
        width: of a terminal.
        first, rest: before its first line, and before the others.
    """
    return textwrap.fill(one_line(prose), min(width or PROSE, PROSE), initial_indent=first, subsequent_indent=rest,
                         break_on_hyphens=False)  # fmt: skip
