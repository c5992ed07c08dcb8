"""V*Bench (Wu and Xie 2024, arXiv 2312.14135): small things in large photographs, with options.

test_questions.jsonl: question_id, image ("direct_attributes/sa_4690.jpg"), text (options and how to answer inside),
category, label (a letter). Beside each image a file like sa_4690.json: {target_object, bbox: [[x, y, width, height]]}.
Or test-*.parquet (lmms-eval), without boxes.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import PurePosixPath

from wherelook.data.files import Files, WithImages, reading
from wherelook.data.readers.layout import Benchmark, Layout, without_options
from wherelook.data.row import Row, is_base64, row
from wherelook.data.sample import Sample
from wherelook.data.sources import Boxes
from wherelook.errors import WherelookError

LONGEST_RECORD = 1_000_000
"""Bytes of what is told of one image."""


def _adjust(row: Row, sample: Sample, files: Files) -> Sample:
    image = row.values.get("image")
    return replace(without_options(row, sample), evidence=_boxes(files, image) if isinstance(image, str) else None)


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


BENCHMARK = Benchmark(
    name="V*Bench",
    tables=("test_questions.jsonl", "*.jsonl", "test-*.parquet", "data/test-*.parquet", "*star*.tsv"),
    expected="test_questions.jsonl and the folders of images, or Parquet",
    layout=Layout(id=("question_id", "index"), answer=("label", "answer")),
    adjust=_adjust,
)

read = BENCHMARK.read
"""Its samples; `kind` is the category, the evidence are the boxes of what is asked about."""
