"""MMStar (Chen et al. 2024, arXiv 2403.20330): 1,500 questions chosen so that they need the image.

mmstar.parquet (or the parts of the split val), or MMStar.tsv with the images in base64. Columns: index, question (the
options are inside it), image, answer (a letter), category, l2_category, meta_info.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial

from wherelook.data.files import Files, Location, locate
from wherelook.data.readers.layout import Layout, image_of
from wherelook.data.readers.options import choice_flags, chosen, split_options
from wherelook.data.readers.rowwise import samples_of
from wherelook.data.readers.shared_images import SharedImages
from wherelook.data.readers.table import lettered_columns
from wherelook.data.row import Row
from wherelook.data.sample import UNREAD_CHOICES, Sample
from wherelook.data.tables import read_rows

TABLES = ("mmstar.parquet", "val-*.parquet", "data/val-*.parquet", "MMStar.tsv", "MMStar*.tsv")
LAYOUT = Layout()
HINT = re.compile(r"\s*Hint:.*?\bQuestion:\s*", re.DOTALL)
"""What questions from MathVista start with: it tells how to answer, which is the prompt style's affair."""


def read(where: Location | str) -> Iterator[Sample]:
    """The samples of MMStar; `kind` is the category. See the module for the files.

    Options are taken out of the question. Where they cannot be told apart, or have no letter of the answer, the
    question stays as it is, the reference is the letter, and the sample is flagged.

    Raises:
        InputError: the files are not there.
        WherelookError: a row is broken.
    """
    files, names = locate(where, "MMStar", TABLES, "mmstar.parquet or MMStar.tsv")
    for name in names:
        make = partial(_sample, files=files, shared=SharedImages(files, name, "image"))
        yield from samples_of(read_rows(files, name, LAYOUT.columns), make)


def _sample(row: Row, *, files: Files, shared: SharedImages) -> Sample:
    text, letter, columns = row.required("question"), row.required("answer"), lettered_columns(row)
    question, choices = split_options(HINT.sub("", text, count=1) if HINT.match(text) else text)
    if columns:  # VLMEvalKit's later tables have the options in columns
        question, choices = text, tuple(columns.values())
    reference = chosen(choices, letter)
    known = reference is not None and bool(question)
    return Sample(
        id=row.required_name("index"),
        source=image_of(row, files, LAYOUT, shared),
        question=question if known else text,
        references=(reference if known and reference is not None else letter.strip(),),
        choices=choices if known else (),
        kind=row.text("category") or "",
        flags=choice_flags(choices) if known else (UNREAD_CHOICES,),
    )
