"""CV-Bench (Tong et al. 2024, arXiv 2406.16860): counting, relations, depth and distance, with options.

test.parquet, test_2d.parquet and test_3d.parquet, or the same as .jsonl with the images in img/2D and img/3D. Columns:
idx, type, task, image, question, choices, answer ("(A)"), filename, bbox and others. bbox has the boxes of the objects
that are named, as (x0, y0, x1, y1) in pixels; their order is not that of the colors in the question.
"""

from __future__ import annotations

from collections.abc import Iterator

from wherelook.data.files import Files, Location, locate
from wherelook.data.readers.options import choice_flags, chosen
from wherelook.data.readers.rowwise import samples_of
from wherelook.data.row import Row
from wherelook.data.sample import Sample
from wherelook.data.sources import Boxes
from wherelook.data.tables import read_rows
from wherelook.errors import WherelookError

TABLES = ("test.parquet", "test_?d.parquet", "test-*.parquet", "data/test-*.parquet", "test.jsonl", "test_?d.jsonl")
COLUMNS = ("idx", "task", "image", "filename", "question", "choices", "answer", "bbox")


def read(where: Location | str) -> Iterator[Sample]:
    """The samples of CV-Bench; `kind` is the task. See the module for the files.

    Raises:
        InputError: the files are not there.
        WherelookError: a row is broken.
    """
    files, names = locate(where, "CV-Bench", TABLES, "test.parquet, or test.jsonl and the folder img")
    for name in names:
        yield from samples_of(read_rows(files, name, COLUMNS), lambda row: _sample(row, files))


def _sample(row: Row, files: Files) -> Sample:
    choices, answer = row.choices("choices"), row.required("answer")
    reference = chosen(choices, answer)
    if reference is None:
        raise WherelookError(f"{row.place}: answer {answer!r:.60} is none of the {len(choices)} choices")
    boxes = row.boxes("bbox")
    return Sample(
        id=row.required_name("idx"),
        source=row.image("image" if row.value("image") is not None else "filename", files),
        question=row.required("question"),
        references=(reference,),
        choices=choices,
        kind=row.text("task") or "",
        evidence=Boxes(boxes) if boxes else None,
        flags=choice_flags(choices),
    )
