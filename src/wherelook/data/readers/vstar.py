"""V*Bench (Wu and Xie 2024, arXiv 2312.14135): small things in large photographs, with options.

test_questions.jsonl: question_id, image ("direct_attributes/sa_4690.jpg"), text (options and how to answer inside),
category, label (a letter). Beside each image a file like sa_4690.json: {target_object, bbox: [[x, y, width, height]]}.
Or test-*.parquet (lmms-eval), without boxes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import PurePosixPath

from wherelook.data.files import Files, Location, WithImages, locate, reading
from wherelook.data.readers.answers import by_letter, named_option
from wherelook.data.readers.layout import Layout, read_layout
from wherelook.data.readers.options import choice_flags, split_lines
from wherelook.data.row import Row, is_base64, row
from wherelook.data.sample import Sample
from wherelook.data.sources import Boxes
from wherelook.errors import WherelookError

TABLES = ("test_questions.jsonl", "*.jsonl", "test-*.parquet", "data/test-*.parquet", "*star*.tsv")
LONGEST_RECORD = 1_000_000
"""Bytes of what is told of one image."""


def read(where: Location | str) -> Iterator[Sample]:
    """The samples of V*Bench; `kind` is the category, the evidence are the boxes of what is asked about.

    Raises:
        InputError: the files are not there.
        WherelookError: a file is broken.
    """
    files, names = locate(where, "V*Bench", TABLES, "test_questions.jsonl and the folders of images, or Parquet")

    def adjust(record: Row, sample: Sample) -> Sample:
        question, choices = (sample.question, sample.choices) if sample.choices else split_lines(sample.question)
        references = sample.references
        if choices and not sample.choices:
            references = tuple(named_option(text, by_letter(choices), "letter", record.place) for text in references)
        image = record.values.get("image")
        boxes = _boxes(files, image) if isinstance(image, str) else None
        flags = choice_flags(choices)
        return replace(sample, question=question, choices=choices, references=references, flags=flags, evidence=boxes)

    layout = Layout(id=("question_id", "index"), answer=("label", "answer"))
    for name in names:
        yield from read_layout(files, name, layout, adjust, prefix="" if len(names) == 1 else f"{name}-")


def _boxes(files: Files, image: str) -> Boxes | None:
    """The boxes that lie beside an image; None where there are none."""
    try:
        if is_base64(image) or not PurePosixPath(image).name:
            return None
        if isinstance(files, WithImages):
            beside = _record_of(files.name_of(image))
            files, image = (files.images, beside) if files.images.holds(beside) else (files.own, files.relative(image))
        name = _record_of(image)
        if not files.holds(name):
            return None
    except WherelookError:  # a name that leads out: told of the image
        return None
    place = files.describe(name)
    with reading(place), files.open(name) as stream:
        try:
            record = row(place, json.loads(stream.read(LONGEST_RECORD)))
        except RecursionError as error:
            raise WherelookError(f"{place}: too deeply nested") from error
    boxes = record.boxes("bbox")
    return Boxes(boxes, "xywh") if boxes else None


def _record_of(image: str) -> str:
    return str(PurePosixPath(image).with_suffix(".json"))
