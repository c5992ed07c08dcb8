"""A table of one's own: CSV, TSV, JSON lines, JSON or Parquet; also in the layouts of VLMEvalKit and lmms-eval."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from string import ascii_uppercase

from wherelook.data.boxes import BoxFormat, Numbers, check_format, has_area, infer_format
from wherelook.data.files import Files, Location, locate, with_full_names
from wherelook.data.readers.answers import (
    AnswerFormat,
    Options,
    by_letter,
    check_answer_format,
    infer_answer_format,
    reference_of,
)
from wherelook.data.readers.options import choice_flags
from wherelook.data.readers.rowwise import samples_of
from wherelook.data.readers.shared_images import SharedImages
from wherelook.data.row import Row
from wherelook.data.sample import NOT_AN_OPTION, Sample
from wherelook.data.segmentation import is_segmentation, read_segmentation
from wherelook.data.sources import Boxes, Evidence, ImageSource, MaskImage, NoImage, SeveralImages
from wherelook.data.tables import read_rows
from wherelook.errors import WherelookError, unknown_name

FIELDS = ("id", "image", "question", "answer", "choices", "kind", "group", "mask", "box", "human", "paraphrase")
"""What a column can be. image: a path relative to the table, bytes, or base64; several columns, joined by +, for
several images. answer: a text or several; with choices also a letter or a number. choices: a list of texts, or a
column for each, joined by +; without it the columns A, B, C and so on. mask: an image or an array (.npy) that marks the
evidence, runs (RLE) or polygons, see `wherelook.data.segmentation`. box: four numbers, or several such. human: one or
several maps of where people looked. All but image and question may be missing."""

SETTINGS = ("box_format", "answer_format")
"""How columns are to be read, where the table does not tell: see `BOX_FORMATS` and `ANSWER_FORMATS`."""

TABLES = ("*.jsonl", "*.csv", "*.tsv", "*.parquet", "data/*.parquet", "*.json")

LOOKED_AT = 64
"""Rows from which it is told what boxes and numbers as answers mean."""


@dataclass(frozen=True)
class Forms:
    """How the boxes and answers of a table are written; None where every row is read for itself."""

    box: BoxFormat | None
    answer: AnswerFormat | None


def read(where: Location | str, columns: Mapping[str, str]) -> Iterator[Sample]:
    """The samples of a table, or of the tables in a folder or zip archive.

    Args:
        where: the file, folder or archive.
        columns: names of columns by `FIELDS`, where they are not the same; and `SETTINGS`.

    Raises:
        InputError: there is no table, no such field, or boxes or answers can be read in several ways.
        WherelookError: the table is broken.
    """
    check_fields(columns)
    files, names = locate(where, "a table", TABLES, "a .csv, .tsv, .jsonl, .json or .parquet file")
    for name in names:
        # In a folder of many tables a row's number is not unique.
        yield from read_table(files, name, columns, prefix="" if len(names) == 1 else f"{name}-")


def check_fields(columns: Mapping[str, str], others: tuple[str, ...] = ()) -> None:
    """Refuses what is no field.

    Raises:
        InputError: an unknown name, of a field or of a form.
    """
    valid = FIELDS + SETTINGS + others
    for field in columns:
        if field not in valid:
            raise unknown_name("field", field, valid)
    if "box_format" in columns:
        check_format(columns["box_format"])
    if "answer_format" in columns:
        check_answer_format(columns["answer_format"])


def read_table(files: Files, name: str, columns: Mapping[str, str], *, prefix: str = "") -> Iterator[Sample]:
    """The samples of one table; see `read`. Without ids they are the numbers of the rows, after `prefix`."""
    known = {column for field in FIELDS for column in columns.get(field, field).split("+")}
    rows = read_rows(files, name, known | set(ascii_uppercase) | {"index"})
    shared = SharedImages(files, name, columns.get("image", "image"))
    return read_all(rows, files, columns, files.describe(name), prefix, shared)


def read_all(
    rows: Iterator[Row],
    files: Files,
    columns: Mapping[str, str],
    place: str,
    prefix: str = "",
    shared: SharedImages | None = None,
) -> Iterator[Sample]:
    """The samples of rows of one table; `place` is what errors call it, for the others see `read`."""
    head: list[Row] = []
    failure = None
    try:
        head.extend(itertools.islice(rows, LOOKED_AT))
    except WherelookError as error:  # the rows before are there
        failure = error
    forms = _forms(head, columns, place)
    make = partial(sample, files=files, columns=columns, prefix=prefix, forms=forms, shared=shared)
    yield from samples_of(itertools.chain(head, rows), make, prefix)
    if failure is not None:
        raise failure


def sample(
    row: Row,
    files: Files,
    columns: Mapping[str, str],
    prefix: str = "",
    forms: Forms = Forms(None, None),
    shared: SharedImages | None = None,
) -> Sample:
    """The sample of a row; see `read` for the errors."""
    column = {field: columns.get(field, field) for field in FIELDS}
    images = column["image"].split("+")
    if not any(image in row.values for image in images) or row.value(column["question"]) is None:
        raise WherelookError(f"{row.place}: {column['image']} or {column['question']} is missing")
    options = _options(row, column["choices"])
    answers = row.texts(column["answer"])
    references = tuple(reference_of(text, options, forms.answer, row.place) for text in answers) if options else answers
    choices = tuple(options.values())
    flags = choice_flags(choices)
    if choices and references and not set(references) & set(choices):
        flags += (NOT_AN_OPTION,)
    return Sample(
        id=row.name(column["id"]) or f"{prefix}{row.number}",
        source=_image(row, images, files, shared),
        question=row.required(column["question"]),
        references=references,
        choices=choices,
        kind=row.name(column["kind"]) or "",
        group=row.name(column["group"]),
        evidence=_evidence(row, files, column, forms),
        attention=tuple(
            Row(row.place, {column["human"]: path}).image(column["human"], with_full_names(files))
            for path in _several(row.value(column["human"]))
        ),
        flags=flags,
        paraphrase=None if row.value(column["paraphrase"]) is None else row.required(column["paraphrase"]),
    )


def _forms(rows: list[Row], columns: Mapping[str, str], place: str) -> Forms:
    """How boxes and answers are written, as the user says, else as these rows tell."""
    boxes: list[Numbers] = []
    answers: list[tuple[str, Options]] = []
    for row in rows:
        try:
            boxes += filter(has_area, row.boxes(columns.get("box", "box")))
            options = _options(row, columns.get("choices", "choices"))
            answers += [(text, options) for text in row.texts(columns.get("answer", "answer")) if options]
        except WherelookError:  # told of the row itself
            continue
    box = columns.get("box_format")
    answer = columns.get("answer_format")
    return Forms(
        check_format(box) if box is not None else infer_format(boxes, place) if boxes else None,
        check_answer_format(answer) if answer is not None else infer_answer_format(answers, place),
    )


def _options(row: Row, column: str) -> dict[str, str]:
    """The options of a question by letter: of a list, of a column for each, or of the columns A, B and so on."""
    if "+" in column:
        return row.lettered(dict(zip(ascii_uppercase, column.split("+"), strict=False)))
    if row.value(column) is not None:
        return by_letter(row.choices(column))
    return lettered_columns(row)


def lettered_columns(row: Row) -> dict[str, str]:
    """Options in columns A, B and so on, as VLMEvalKit and lmms-eval have them; none where there are not two."""
    letters = list(itertools.takewhile(lambda letter: letter in row.values, ascii_uppercase))
    options = row.lettered({letter: letter for letter in letters})
    return options if len(options) > 1 else {}


def _image(row: Row, columns: list[str], files: Files, shared: SharedImages | None) -> ImageSource:
    if len(columns) == 1:
        return row.image(columns[0], files) if shared is None else shared.image(row)
    found = [row.image(column, files) for column in columns]
    there = tuple(source for source in found if not isinstance(source, NoImage))
    return there[0] if len(there) == 1 else SeveralImages(there) if there else found[0]


def _evidence(row: Row, files: Files, column: Mapping[str, str], forms: Forms) -> Evidence | None:
    boxes = row.boxes(column["box"])
    mask = row.structured(column["mask"])
    has_mask = mask not in (None, [])
    if boxes and has_mask:
        raise WherelookError(f"{row.place}: expected {column['mask']} or {column['box']}, not both")
    if boxes:
        return Boxes(boxes, forms.box or infer_format(boxes, row.place))
    if has_mask and is_segmentation(mask):
        return read_segmentation(mask, f"{row.place}: {column['mask']}")
    return MaskImage(row.image(column["mask"], with_full_names(files))) if has_mask else None


def _several(value: object) -> list[object]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]
