"""Images that rows of a table share: VLMEvalKit writes an image once, and in the other rows the index of that one."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from wherelook.data.files import Files, reading
from wherelook.data.images import LoadedImage, decode_image
from wherelook.data.row import Row
from wherelook.data.separated import cell_at
from wherelook.data.sources import ImageSource, ImageText
from wherelook.data.tables import read_rows
from wherelook.errors import WherelookError

INDEX = "index"
"""The column that other rows refer to."""


@dataclass(frozen=True)
class CellImage:
    """The image in base64 of another row of a table of text, read again when it is needed.

    Attributes:
        files, table: where the table is.
        span: where the row is in it, in bytes.
        column: the number of the cell.
        digest: of the cell.
        name: what errors call the image.
    """

    files: Files
    table: str
    span: tuple[int, int]
    column: int
    digest: str
    name: str

    @property
    def fingerprint(self) -> str:
        return self.digest

    def load(self) -> LoadedImage:
        return decode_image(*self.encoded())

    def encoded(self) -> tuple[bytes, str]:
        place = self.files.describe(self.table)
        with reading(place), self.files.open(self.table) as stream:
            cell = cell_at(stream, self.span, b"\t" if self.table.lower().endswith(".tsv") else b",", self.column)
        return ImageText(cell or "", self.name).encoded()


@dataclass
class SharedImages:
    """The images of one table, row by row. Of each only the place is remembered, so that later rows can refer to it.

    Attributes:
        files, table: where the table is.
        column: of the images.
    """

    files: Files
    table: str
    column: str
    _places: dict[str, CellImage] = field(default_factory=dict)
    _all_seen: bool = False

    def image(self, row: Row) -> ImageSource:
        """The image of the next row: its own, or that of the row it refers to.

        Raises:
            WherelookError: no row has this index and an image.
        """
        value = row.value(self.column)
        if row.span is None or not isinstance(value, str):
            return row.image(self.column, self.files)
        if not (value.isdecimal() and INDEX in row.values):
            self._remember(row, value)
            return row.image(self.column, self.files)
        found = self._find(value)
        if found is None:
            raise WherelookError(f"{row.place}: {self.column} refers to row {value[:20]!r}, which has no image")
        name = row.name(INDEX)
        if name is not None:
            self._places.setdefault(name, found)
        return found

    def _remember(self, row: Row, value: str) -> None:
        name = row.name(INDEX)
        if name is not None and row.span is not None and name not in self._places:
            digest = hashlib.sha256(value.encode(errors="surrogatepass")).hexdigest()
            place = list(row.values).index(self.column)
            called = f"the image of {row.place}"
            self._places[name] = CellImage(
                files=self.files, table=self.table, span=row.span, column=place, digest=digest, name=called
            )

    def _find(self, name: str) -> CellImage | None:
        if name not in self._places and not self._all_seen:  # it may come later: once all rows are looked at
            self._all_seen = True
            for row in read_rows(self.files, self.table):
                try:
                    value = row.value(self.column)
                    if isinstance(value, str) and not value.isdecimal():
                        self._remember(row, value)
                except WherelookError:
                    continue
        return self._places.get(name)
