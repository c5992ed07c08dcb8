"""CSV and TSV as rows, as pandas and the csv module write them, and as people do.

A cell that begins with a quote ends at the next single one, and may hold separators, ends of lines and doubled quotes;
any other quote is a character like others. Where a row does not come out so (an inch mark at the beginning of a cell),
its line is taken as it is. The csv module is not used: its bound on a cell is one setting for the whole program, and
too small for images. Nor is Arrow, whose blocks a single quote derails.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass
from io import BufferedIOBase

from wherelook.data.row import LONGEST_ROW, Row, Unreadable, shown
from wherelook.errors import WherelookError

LONGEST_DOUBT = 1_000_000
"""Bytes in which a quote must be closed that may be no more than a mark."""

TEXT_BLOCK = 1 << 20
"""Bytes that are read at a time."""

LONGEST_HEADER = 100_000
"""Bytes of the row with the names of columns."""

BLANK = re.compile(rb"[\r\n]*+")

QUOTED = re.compile(rb'[^"]*+(?:""[^"]*+)*+')
"""What is inside quotes, up to the one that ends it."""


@dataclass
class _Found:
    """Cells of a row, and where it ends in the text."""

    cells: list[bytes]
    end: int
    spans_lines: bool = False


class _Text:
    """A table of text from the row at `position` on; read as it is needed."""

    def __init__(self, stream: BufferedIOBase, delimiter: bytes) -> None:
        self.stream = stream
        self.delimiter = delimiter
        self.plain = re.compile(rb"[^\n" + delimiter + rb"]*+")
        self.text = b""
        self.position = 0
        self.before = 0  # bytes of the file before `text`
        self.ended = False

    def more(self) -> bool:
        """Reads on; whether there was anything."""
        if not self.ended:
            data = self.stream.read(TEXT_BLOCK)
            self.ended = not data
            self.text += data
        return not self.ended

    def advance(self, end: int) -> tuple[int, int]:
        """Goes on to the next row; the row's bytes in the file."""
        span = self.before + self.position, self.before + end
        self.position = end
        if end > TEXT_BLOCK:
            self.before += end
            self.text, self.position = self.text[end:], 0
        return span

    def skip_blank(self) -> bool:
        """Passes empty lines; whether anything follows them."""
        while True:
            end = BLANK.match(self.text, self.position).end()  # type: ignore[union-attr]
            if end > self.position:
                self.advance(end)
            if self.position < len(self.text) or not self.more():
                return self.position < len(self.text)

    def line(self, longest: int) -> _Found | None:
        """The row if quotes mean nothing; None where it is longer than that."""
        start = self.position
        while (end := self.text.find(b"\n", start)) < 0:
            start = len(self.text)
            if len(self.text) - self.position > longest or not self.more():
                break
        end = len(self.text) if end < 0 else end
        if end - self.position > longest:
            return None
        cells = self.text[self.position : end].removesuffix(b"\r").split(self.delimiter)
        return _Found(cells, min(end + 1, len(self.text)))

    def quoted(self, longest: int) -> _Found | None:
        """The row if quotes at the beginning of cells enclose them; None where one is not closed, or not at an end."""
        cells: list[bytes] = []
        place, lines = self.position, False
        while True:
            if self.text[place : place + 1] == b'"':
                end = self._closing(place + 1, longest)
                if end is None:
                    return None
                cell = self.text[place + 1 : end]
                lines = lines or b"\n" in cell
                cells.append(cell.replace(b'""', b'"'))
                place = end + 1
            else:
                end = self.plain.match(self.text, place).end()  # type: ignore[union-attr]
                while end == len(self.text) and end - self.position <= longest and self.more():
                    end = self.plain.match(self.text, end).end()  # type: ignore[union-attr]
                cell = self.text[place:end]
                cells.append(cell.removesuffix(b"\r"))
                place = end
            while len(self.text) < place + 2 and self.more():
                pass
            following = self.text[place : place + 2]
            if following.startswith(self.delimiter):
                place += 1
                while place == len(self.text) and self.more():
                    pass
            elif following.startswith(b"\n"):
                return _Found(cells, place + 1, lines)
            elif following == b"\r\n":
                return _Found(cells, place + 2, lines)
            else:
                return None if following else _Found(cells, place, lines)

    def _closing(self, start: int, longest: int) -> int | None:
        """The quote that ends what begins at `start`."""
        place = start
        while True:
            place = QUOTED.match(self.text, place).end()  # type: ignore[union-attr]
            if place < len(self.text) - 1:
                return place
            if place - self.position > longest or not self.more():
                return place if place < len(self.text) else None


def read_separated(stream: BufferedIOBase, place: str, delimiter: bytes) -> Iterator[Row]:
    """The rows of a table with a first row of names; a row of another length is `Unreadable`.

    Args:
        stream: in UTF-8.
        place: what errors call it.
        delimiter: a tab or a comma.

    Raises:
        WherelookError: the first row does not name columns, or a row is too long.
    """
    text = _Text(stream, delimiter)
    names, strict = _header(text, place)
    strict = strict or delimiter != b"\t"
    number = 0
    while text.skip_blank():
        line = text.line(LONGEST_ROW)
        if line is None:
            raise WherelookError(
                f"{place}, row {number + 1}: longer than {LONGEST_ROW // 10**6} MB, or a quote is not closed"
            )
        number += 1
        where = f"{place}, row {number}"
        found = _row(text, line, len(names), strict=strict)
        span = text.advance(found.end)
        if len(found.cells) != len(names):
            reason = f"{where}: Expected {len(names)} columns, got {len(found.cells)}"
            yield Row(where, Unreadable(reason), number, span)
            continue
        try:
            cells = [cell.decode() or None for cell in found.cells]
        except UnicodeDecodeError:
            yield Row(where, Unreadable(f"{where}: not UTF-8; save the table as UTF-8"), number, span)
        else:
            yield Row(where, dict(zip(names, cells, strict=True)), number, span)


def cell_at(stream: BufferedIOBase, span: tuple[int, int], delimiter: bytes, column: int) -> str | None:
    """A cell of the row at these bytes of a table, as `read_separated` told them."""
    stream.seek(span[0])
    text = _Text(stream, delimiter)
    text.text, text.ended = stream.read(span[1] - span[0]), True
    found = text.quoted(LONGEST_ROW)
    line = text.line(LONGEST_ROW)
    cells = found.cells if found is not None and found.end == len(text.text) else [] if line is None else line.cells
    return cells[column].decode(errors="replace") if column < len(cells) else None


def _row(text: _Text, line: _Found, count: int, *, strict: bool) -> _Found:
    """The row at the position: of its two readings the one with as many cells as there are columns."""
    if not any(cell.startswith(b'"') for cell in line.cells):
        return line
    whole = len(line.cells) == count
    found = text.quoted(LONGEST_ROW if strict or not whole else LONGEST_DOUBT)
    if found is None or len(found.cells) != count:
        return line if whole or found is None else found
    if not strict and whole and found.spans_lines and any(b"\t" in cell for cell in found.cells):
        return line  # a mark in this row and one in a later row, and not a cell with both a tab and an end of line
    return found


def _header(text: _Text, place: str) -> tuple[list[str], bool]:
    """The names of the columns, and whether they are in quotes: then all cells are.

    Columns after the first without a name, as spreadsheets export them, are called as pandas does.
    """
    while len(text.text) < 3 and text.more():
        pass
    if text.text.startswith(codecs.BOM_UTF8):
        text.position = 3
    line = text.line(LONGEST_HEADER)
    if line is None:
        raise WherelookError(
            f"{place}: the first row, with the names of the columns, has more than {LONGEST_HEADER // 1000} kB"
        )
    found = text.quoted(LONGEST_HEADER) or line
    strict = text.text.startswith(b'"', text.position)
    text.advance(found.end)
    try:
        names = [cell.decode() for cell in found.cells]
    except UnicodeDecodeError as error:
        raise WherelookError(
            f"{place}: the first row, with the names of the columns, is not UTF-8; save the table as UTF-8"
        ) from error
    first = names.index("") if "" in names else -1
    columns = [name or ("" if number == first else f"Unnamed: {number}") for number, name in enumerate(names)]
    if not any(names) or len(set(columns)) < len(columns):
        raise WherelookError(f"{place}: the first row must name the columns, each another; it is {shown(names)}")
    return columns, strict
