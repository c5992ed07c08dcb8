"""GQA (Hudson and Manning 2019, arXiv 1902.09506): questions made from scene graphs, whose objects have boxes.

val_balanced_questions.json     {id: {question, imageId, answer, annotations, types, ...}}
val_sceneGraphs.json            {image: {width, height, objects: {id: {x, y, w, h, name}}}}; without it no evidence
images/IMAGE.jpg
Or GQA_TestDev_Balanced.tsv (VLMEvalKit: index, image, question, answer), without boxes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from wherelook.canvas import Size
from wherelook.data.boxes import PIXEL_CORNERS, lies_on
from wherelook.data.files import Files, Location, find_image, locate
from wherelook.data.readers.layout import Benchmark, Layout
from wherelook.data.readers.rowwise import samples_of
from wherelook.data.row import Row, is_number, row
from wherelook.data.sample import BAD_EVIDENCE, Sample
from wherelook.data.sources import Box, Boxes
from wherelook.data.tables import json_rows

BENCHMARK = Benchmark(
    name="GQA",
    tables=(
        *("val_balanced_questions.json", "testdev_balanced_questions.json", "*_balanced_questions.json"),
        *("*_questions.json", "questions1.2/val_balanced_questions.json", "GQA*.tsv"),
    ),
    expected="val_balanced_questions.json and the folder images",
    layout=Layout(),
)
GRAPHS = ("*sceneGraphs.json", "sceneGraphs/*sceneGraphs.json")
NAMED_BY = ("answer", "question", "fullAnswer")

NO_LIMIT = 10**9
"""Pixels that no image has."""


def read(where: Location | str) -> Iterator[Sample]:
    """The samples of GQA, of the balanced validation split where it is there; `kind` is the structural type.

    The evidence are the boxes of the objects that the answer names, or else of those that the question names, without
    those that have no pixel or lie for the most part outside the image: where none is left there is no evidence, and
    the sample is flagged `bad evidence`. The boxes of all scene graphs are read first and kept in memory, four numbers
    an object; the questions are not.

    Raises:
        InputError: the files are not there.
        WherelookError: an entry is broken.
    """
    files, names = locate(where, BENCHMARK.name, BENCHMARK.tables, BENCHMARK.expected)
    graphs = [name for pattern in GRAPHS for name in files.find(pattern)]
    # Of the same split, where names tell: the training split's graphs are large.
    own = [
        name for name in graphs if name.split("/")[-1].split("_")[0] in {n.split("/")[-1].split("_")[0] for n in names}
    ]
    objects = _objects(files, own or graphs)
    for name in names:
        if name.endswith(".tsv"):
            yield from BENCHMARK.read_table(files, name)
            continue
        yield from samples_of(json_rows(files, name, keyed=True), lambda record: _entry(record, files, objects))


def _entry(record: Row, files: Files, objects: Mapping[str, Mapping[str, Box | None]]) -> Sample:
    image = record.required_name("imageId")
    named = _named(record, objects.get(image, {}))
    boxes = tuple(box for box in named if box is not None)
    types = record.values.get("types")
    answer = record.name("answer")
    return Sample(
        id=record.required("id"),
        source=find_image(files, ["images", ""], f"{image}.jpg"),
        question=record.required("question"),
        references=() if answer is None else (answer,),
        kind=str(types.get("structural") or "") if isinstance(types, dict) else "",
        evidence=Boxes(boxes) if boxes else None,
        flags=(BAD_EVIDENCE,) if named and not boxes else (),
    )


def _objects(files: Files, names: list[str]) -> dict[str, dict[str, Box | None]]:
    """Boxes by image and object; None for one that does not lie on the image."""
    found: dict[str, dict[str, Box | None]] = {}
    for name in names:
        for scene in json_rows(files, name, keyed=True):
            size = _side(scene, "height"), _side(scene, "width")
            objects = row(scene.place, scene.values.get("objects") or {}).values
            found[scene.values["id"]] = {number: _box(row(scene.place, objects[number]), size) for number in objects}
    return found


def _side(scene: Row, name: str) -> int:
    """Pixels of a side of the image; where the graph does not tell no box is too far out."""
    value = scene.value(name)
    return int(value) if is_number(value) and value >= 1 else NO_LIMIT


def _box(record: Row, size: Size) -> Box | None:
    corner = {"box": [record.values.get(side) for side in ("x", "y", "w", "h")]}
    ((x, y, width, height),) = Row(record.place, corner).boxes("box")
    box = x, y, x + width, y + height
    return box if lies_on(box, PIXEL_CORNERS, size) else None


def _named(record: Row, objects: Mapping[str, Box | None]) -> tuple[Box | None, ...]:
    annotations: Any = record.values.get("annotations")
    for part in NAMED_BY:
        words = annotations.get(part) if isinstance(annotations, dict) else None
        named = list(words.values()) if isinstance(words, dict) else []
        boxes = [objects[name] for name in dict.fromkeys(map(str, named)) if name in objects]
        if boxes:
            return tuple(boxes)
    return ()
