"""The question set of the paper on where LVLMs look (arXiv 2503.13891), as its data set repository gives it.

We could not see the repository's files. What is read: the first of *.jsonl, *.json, *.csv and *.parquet in the folder
or in data/, with a column for the image and one for the question, under any of the names in `COLUMNS`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from wherelook.data.files import Location, locate
from wherelook.data.readers.table import read_table
from wherelook.data.sample import Sample
from wherelook.data.tables import read_rows
from wherelook.errors import WherelookError

TABLES = ("*.jsonl", "*.json", "*.csv", "*.parquet", "data/*.parquet")
COLUMNS: Mapping[str, tuple[str, ...]] = {
    "image": ("image", "image_path", "image_file", "file_name", "filename", "img"),
    "question": ("question", "text", "prompt", "query"),
    "answer": ("answer", "label", "gt_answer", "ground_truth"),
    "id": ("id", "question_id", "index", "idx"),
    "kind": ("category", "dataset", "source", "type"),
}
REQUIRED = ("image", "question")


def read(where: Location | str) -> Iterator[Sample]:
    """The samples of the paper's own set.

    Raises:
        InputError: the files are not there.
        WherelookError: a row is broken, or no column is the image or the question: read it as `table` and name them.
    """
    files, names = locate(where, "the paper's question set", TABLES, "a .jsonl, .json, .csv or .parquet file")
    first = next(read_rows(files, names[0]), None)
    known = {} if first is None else first.values
    columns = {}
    for field, candidates in COLUMNS.items():
        column = next((name for name in candidates if name in known), None)
        if column is not None:
            columns[field] = column
        elif field in REQUIRED and first is not None:
            raise WherelookError(
                f"{files.describe(names[0])}: none of the columns {', '.join(known)} is the {field}; "
                f"name it: table:{files.describe(names[0])},{field}=COLUMN"
            )
    for name in names:
        yield from read_table(files, name, columns)
