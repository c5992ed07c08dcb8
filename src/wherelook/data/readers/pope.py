"""POPE (Li et al. 2023, arXiv 2305.10355): is an object in the image? Yes or no.

coco_pope_random.json, coco_pope_popular.json, coco_pope_adversarial.json: an object on every line, with question_id,
image, text and label. They differ in how the objects that are not there were chosen. Images of COCO's 2014 validation
set, in val2014, images or beside the files.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath

from wherelook.data.files import find_image, locate
from wherelook.data.rows import read_rows
from wherelook.data.sample import Sample
from wherelook.errors import WherelookError

TABLES = ("*pope*.json", "*pope*.jsonl", "coco/*pope*.json")


def read(path: str) -> Iterator[Sample]:
    """The samples of POPE, of all files that are there; `kind` is the last word of the file's name.

    Raises:
        InputError: the files are not there.
        WherelookError: a row is broken.
    """
    files, names = locate(path, "POPE", TABLES, "coco_pope_random.json and its like, and the folder val2014")
    for name in names:
        kind = PurePosixPath(name).stem.rpartition("_")[2]
        for row in read_rows(files, name):
            label = row.required("label").strip().lower()
            if label not in ("yes", "no"):
                raise WherelookError(f"{row.place}: label must be yes or no, not {label!r}")
            yield Sample(
                id=f"{kind}-{row.required_name('question_id')}",
                source=find_image(files, ["val2014", "images", ""], row.required("image")),
                question=row.required("text"),
                references=(label,),
                kind=kind,
            )
