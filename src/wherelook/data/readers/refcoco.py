"""RefCOCO, RefCOCO+ and RefCOCOg (Yu et al. 2016, arXiv 1608.00272): phrases for one object of an image, and its box.

refs(unc).json  the published refs(unc).p as JSON: [{ref_id, ann_id, file_name, split, sentences: [{sent_id, sent}]}]
instances.json  COCO's: {"annotations": [{id, bbox: [x, y, width, height]}]}
Images in train2014, images or beside. Or the Parquet form: question_id, image, answer (the phrases), bbox (as above).
"""

from __future__ import annotations

from collections.abc import Iterator

from wherelook.data.files import Files, Location, find_image, locate
from wherelook.data.row import Row, row
from wherelook.data.sample import Sample
from wherelook.data.sources import Box, Boxes
from wherelook.data.tables import json_rows, read_rows
from wherelook.errors import InputError, WherelookError

TABLES = ("refs(*).json", "*.parquet", "data/*.parquet", "refs(*).p")
QUESTION = "Look at this: {phrase}. What is it, and what does it look like?"
"""The benchmark has phrases and no questions: this one makes a model look at the object."""


def read(where: Location | str) -> Iterator[Sample]:
    """A sample for every phrase, those of an object in one group; the evidence is its box. `kind` is the split.

    There is no reference: the benchmark asks for the place, not for an answer.

    Raises:
        InputError: the files are not there, or the phrases are in a pickle, which is not read: it can run code.
        WherelookError: an entry is broken.
    """
    files, names = locate(
        where, "RefCOCO", TABLES, "refs(unc).json, instances.json and the folder train2014, or Parquet"
    )
    if names[0].endswith(".p"):
        raise InputError(
            f"{files.describe(names[0])} is a pickle, which can run code and is not read: write its list as JSON, "
            "see docs/datasets.md"
        )
    for name in names:
        yield from _table(files, name) if name.endswith(".parquet") else _published(files, name)


def _published(files: Files, name: str) -> Iterator[Sample]:
    boxes = _boxes(files, {record.required_name("ann_id") for record in json_rows(files, name)})
    for record in json_rows(files, name):
        box = boxes.get(record.required_name("ann_id"))
        if box is None:
            raise WherelookError(f"{record.place}: annotation {record.name('ann_id')} is not in instances.json")
        sentences = record.values.get("sentences")
        for sentence in sentences if isinstance(sentences, list) else []:
            phrase = row(record.place, sentence)
            yield Sample(
                id=phrase.required_name("sent_id"),
                source=find_image(files, ["train2014", "images", ""], _image_name(record)),
                question=QUESTION.format(phrase=phrase.required("sent").strip()),
                kind=record.text("split") or "",
                group=record.required_name("ref_id"),
                evidence=Boxes((box,)),
            )


def _image_name(record: Row) -> str:
    """The image's own name: file_name also has the number of the annotation, COCO_train2014_000000581857_16.jpg."""
    stem, dot, suffix = record.required("file_name").rpartition(".")
    parts = stem.split("_")
    return "_".join(parts[:3]) + dot + suffix if parts[0] == "COCO" else stem + dot + suffix


def _boxes(files: Files, wanted: set[str]) -> dict[str, Box]:
    """The boxes of these annotations, by their number."""
    rows = json_rows(files, "instances.json", "annotations")
    return {number: _corners(record) for record in rows if (number := record.required_name("id")) in wanted}


def _corners(record: Row) -> Box:
    boxes = record.boxes("bbox")
    if len(boxes) != 1:
        raise WherelookError(f"{record.place}: bbox must be one box, not {len(boxes)}")
    x, y, width, height = boxes[0]
    return x, y, x + width, y + height


def _table(files: Files, name: str) -> Iterator[Sample]:
    kind = name.rsplit("/", maxsplit=1)[-1].split("-", maxsplit=1)[0].removesuffix(".parquet")
    for number, record in enumerate(read_rows(files, name), start=1):
        box = _corners(record)
        for index, phrase in enumerate(record.texts("answer"), start=1):
            yield Sample(
                id=f"{kind}-{record.name('question_id') or number}-{number}-{index}",
                source=record.image("image", files),
                question=QUESTION.format(phrase=phrase.strip()),
                kind=kind,
                group=f"{kind}-{number}",
                evidence=Boxes((box,)),
            )
