"""A table of one's own: CSV, TSV, JSON lines, JSON or Parquet."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from wherelook.data.files import Files, locate
from wherelook.data.readers.options import choice_flags, chosen
from wherelook.data.rows import Row, read_rows
from wherelook.data.sample import Sample
from wherelook.data.sources import Boxes, Evidence, MaskImage
from wherelook.errors import WherelookError, unknown_name

FIELDS = ("id", "image", "question", "answer", "choices", "kind", "group", "mask", "box", "human", "paraphrase")
"""What a column can be. image: a path relative to the table, or bytes. answer: a text or several; with choices also a
letter. choices: a list of texts. mask: an image, not black where the evidence is. box: (x0, y0, x1, y1) in pixels, or
several. human: one or several maps of where people looked. All but image and question may be missing."""

TABLES = ("*.jsonl", "*.csv", "*.tsv", "*.parquet", "data/*.parquet", "*.json")


def read(path: str, columns: Mapping[str, str]) -> Iterator[Sample]:
    """The samples of a table, or of the tables in a folder or zip archive.

    Args:
        path: of the file, folder or archive.
        columns: names of columns by `FIELDS`, where they are not the same.

    Raises:
        InputError: there is no table, or no such field.
        WherelookError: a row is broken.
    """
    for field in columns:
        if field not in FIELDS:
            raise unknown_name("field", field, FIELDS)
    files, names = locate(path, "a table", TABLES, "a .csv, .tsv, .jsonl, .json or .parquet file")
    for name in names:
        # In a folder of many tables a row's number is not unique.
        yield from read_table(files, name, columns, prefix="" if len(names) == 1 else f"{name}-")


def read_table(files: Files, name: str, columns: Mapping[str, str], *, prefix: str = "") -> Iterator[Sample]:
    """The samples of one table; see `read`. Without ids they are the numbers of the rows, after `prefix`."""
    for row in read_rows(files, name):
        yield sample(row, files, columns, prefix)


def sample(row: Row, files: Files, columns: Mapping[str, str], prefix: str = "") -> Sample:
    """The sample of a row; see `read` for the errors."""
    column = {field: columns.get(field, field) for field in FIELDS}
    if row.values.get(column["image"]) is None or row.values.get(column["question"]) is None:
        raise WherelookError(f"{row.place}: {column['image']} or {column['question']} is missing")
    choices = row.choices(column["choices"])
    references = row.texts(column["answer"])
    if choices:
        # The text of an option counts before its letter: an option may itself be "A".
        references = tuple(text if text in choices else (chosen(choices, text) or text) for text in references)
    return Sample(
        id=row.name(column["id"]) or f"{prefix}{row.number}",
        source=row.image(column["image"], files),
        question=row.required(column["question"]),
        references=references,
        choices=choices,
        kind=row.name(column["kind"]) or "",
        group=row.name(column["group"]),
        evidence=_evidence(row, files, column),
        attention=tuple(
            Row(row.place, {column["human"]: path}).image(column["human"], files)
            for path in _several(row.values.get(column["human"]))
        ),
        flags=choice_flags(choices),
        paraphrase=None if row.values.get(column["paraphrase"]) is None else row.required(column["paraphrase"]),
    )


def _evidence(row: Row, files: Files, column: Mapping[str, str]) -> Evidence | None:
    boxes = row.boxes(column["box"])
    has_mask = row.values.get(column["mask"]) is not None
    if boxes and has_mask:
        raise WherelookError(f"{row.place}: expected {column['mask']} or {column['box']}, not both")
    if boxes:
        return Boxes(boxes)
    return MaskImage(row.image(column["mask"], files)) if has_mask else None


def _several(value: object) -> list[object]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]
