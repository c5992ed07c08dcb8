"""Benchmarks whose files are tables with a row per question, as the hub, VLMEvalKit and lmms-eval give them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from string import ascii_uppercase
from typing import Any

from wherelook.data.files import Files, Location, find_image, locate
from wherelook.data.readers.answers import AnswerFormat, by_letter, named_option
from wherelook.data.readers.options import choice_flags, split_lines
from wherelook.data.readers.rowwise import samples_of
from wherelook.data.readers.shared_images import SharedImages
from wherelook.data.readers.table import lettered_columns
from wherelook.data.row import LONGEST_ROW, NOTHING, Row
from wherelook.data.sample import Sample
from wherelook.data.sources import ImageSource, NoImage, SeveralImages
from wherelook.data.tables import read_rows
from wherelook.errors import WherelookError

UNKNOWN = (*NOTHING, "?", "n/a")
"""Answers of test sets whose answers are kept secret."""

Adjust = Callable[[Row, Sample, Any], Sample]
"""(row, sample, what `Benchmark.prepare` made) to the sample with what is special about a benchmark."""


@dataclass(frozen=True)
class Layout:
    """Which columns hold what; of several names the first that a table has counts.

    Attributes:
        id, question, answer, kind: see `Sample`.
        image: where several are there, the images of one question.
        folders: where images lie that are given by name.
        choices: lists of options; else they are in columns A, B and so on.
        listed: what an answer is where the options are a list; of options in columns it is a letter.
        hint: what is told before the question.
        context: what stands before that.
        extra: columns that only this benchmark asks for.
    """

    id: Sequence[str] = ("index", "id", "question_id", "idx")
    image: Sequence[str] = ("image", "image_path")
    folders: Sequence[str] = ("images", "")
    question: Sequence[str] = ("question", "text", "query")
    choices: Sequence[str] = ("choices", "options", "multi-choice options")
    listed: AnswerFormat = "letter"
    answer: Sequence[str] = ("answer", "answers", "label")
    kind: Sequence[str] = ("category", "task", "type")
    hint: Sequence[str] = ()
    context: str = ""
    extra: Sequence[str] = ()

    @property
    def columns(self) -> set[str]:
        """All that may be asked for."""
        own = (self.id, self.image, self.question, self.choices, self.answer, self.kind, self.hint, self.extra)
        return {name for names in own for name in names} | set(ascii_uppercase)


@dataclass(frozen=True)
class Benchmark:
    """A benchmark that is tables.

    Attributes:
        name: what errors call it.
        tables: patterns of the names of its files, the first that matches counts.
        expected: what errors say should be there.
        layout: of its tables.
        adjust: what is special about it.
        prepare: of its files, what `adjust` is given for all rows; None for the files themselves.
    """

    name: str
    tables: Sequence[str]
    expected: str
    layout: Layout
    adjust: Adjust | None = None
    prepare: Callable[[Files], Any] | None = None

    def read(self, where: Location | str) -> Iterator[Sample]:
        """Its samples.

        Raises:
            InputError: the files are not there.
            WherelookError: a file is broken.
        """
        files, names = locate(where, self.name, self.tables, self.expected)
        known = files if self.prepare is None else self.prepare(files)
        for name in names:
            yield from self.read_table(files, name, known, prefix="" if len(names) == 1 else f"{name}-")

    def read_table(self, files: Files, name: str, known: Any = None, *, prefix: str = "") -> Iterator[Sample]:
        """The samples of one table; without ids they are the numbers of the rows, after `prefix`.

        Args:
            files, name: where it is.
            known: for `adjust`.
            prefix: of ids.
        """
        shared = SharedImages(files, name, self.layout.image[0])

        def make(row: Row) -> Sample:
            made = layout_sample(row, files, self.layout, shared, prefix)
            return made if self.adjust is None else self.adjust(row, made, known)

        yield from samples_of(read_rows(files, name, self.layout.columns), make, prefix)


def layout_sample(row: Row, files: Files, layout: Layout, shared: SharedImages | None, prefix: str = "") -> Sample:
    """The sample of a row.

    Raises:
        WherelookError: it is broken, or its answer names no option.
    """
    question, options = row.required(pick(row, layout.question)), options_of(row, layout)
    hint = row.text(pick(row, layout.hint)) if layout.hint else None
    if hint is not None and hint.strip().lower() not in UNKNOWN:
        question = f"{layout.context}{hint.strip()}\n{question}"
    return Sample(
        id=row.name(pick(row, layout.id)) or f"{prefix}{row.number}",
        source=image_of(row, files, layout, shared),
        question=question,
        references=references_of(row, layout, options),
        choices=tuple(options.values()),
        kind=row.name(pick(row, layout.kind)) or "",
        flags=choice_flags(tuple(options.values())),
    )


def without_options(row: Row, sample: Sample) -> Sample:
    """The sample with the options that stand on lines of their own inside its question taken out, if it has no others.

    Raises:
        WherelookError: its answer names none of them.
    """
    question, choices = ("", ()) if sample.choices else split_lines(sample.question)
    if not choices:
        return sample
    references = tuple(named_option(text, by_letter(choices), "letter", row.place) for text in sample.references)
    return replace(sample, question=question, choices=choices, references=references, flags=choice_flags(choices))


def pick(row: Row, names: Sequence[str]) -> str:
    """The first of these columns that the row has."""
    return next((name for name in names if name in row.values), names[0])


def options_of(row: Row, layout: Layout) -> dict[str, str]:
    """The options of a question by letter; none where it has none."""
    column = pick(row, layout.choices)
    return by_letter(row.choices(column)) if row.value(column) not in (None, "") else lettered_columns(row)


def references_of(row: Row, layout: Layout, options: dict[str, str]) -> tuple[str, ...]:
    """The right answers: texts of options where there are any, else as they are.

    Raises:
        WherelookError: an answer names no option.
    """
    column = pick(row, layout.answer)
    given = answer_texts(row, column)
    answers = tuple(text for text in given if text.strip().lower() not in UNKNOWN)
    if not options:  # of several people one may say "n/a", and counts; where all say so the answers are kept secret
        return given if answers else ()
    form: AnswerFormat = layout.listed if row.value(pick(row, layout.choices)) not in (None, "") else "letter"
    return tuple(named_option(answer, options, form, row.place) for answer in answers)


def answer_texts(row: Row, column: str) -> tuple[str, ...]:
    """Answers: a text or a number, a list of them, also written as text, or a list of objects with an "answer"."""
    value = row.listed(column)
    if isinstance(value, list):
        value = [item.get("answer") if isinstance(item, dict) else item for item in value]
    return Row(row.place, {column: value}).texts(column)


def image_of(row: Row, files: Files, layout: Layout, shared: SharedImages | None) -> ImageSource:
    """The image of a row, or the canvas of its several; one that cannot be loaded where it has none.

    Raises:
        WherelookError: the columns hold something else, or none of them is there.
    """
    columns = [column for column in layout.image if column in row.values]
    if not columns:
        raise WherelookError(f"{row.place}: there is no column {' or '.join(layout.image)}")
    find = partial(_image, row, files, layout, shared)
    first = find(columns[0])
    if columns[0] == "image" and (len(columns) == 1 or not isinstance(first, NoImage)):
        return first  # the other columns are names for the same one
    found = (first, *map(find, columns[1:]))
    there = tuple(source for source in found if not isinstance(source, NoImage))
    return first if not there else there[0] if len(there) == 1 else SeveralImages(there)


def _image(row: Row, files: Files, layout: Layout, shared: SharedImages | None, column: str) -> ImageSource:
    value = row.listed(column, LONGEST_ROW)
    if isinstance(value, list):  # several images of a question, as VLMEvalKit writes them
        return SeveralImages(tuple(Row(row.place, {column: item}).image(column, files) for item in value))
    if isinstance(value, str) and _is_name(value):
        named = partial(find_image, files, layout.folders)
        return row.named_image(column, value, lambda name: named(name.lstrip("/").removeprefix("./")))
    return shared.image(row) if shared is not None and column == shared.column else row.image(column, files)


def _is_name(text: str) -> bool:
    """Whether it is the name of an image file: an ending after a dot, which base64 does not have."""
    return 0 < len(text) < 4096 and "." in text.rpartition("/")[2]
