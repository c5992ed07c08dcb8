"""MMStar (Chen et al. 2024, arXiv 2403.20330): 1,500 questions chosen so that they need the image.

mmstar.parquet (or the parts of the split val), or MMStar.tsv with the images in base64. Columns: index, question (the
options are inside it), image, answer (a letter), category, l2_category, meta_info.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from wherelook.data.files import locate
from wherelook.data.readers.options import choice_flags, chosen, split_options
from wherelook.data.rows import Row, read_rows
from wherelook.data.sample import UNREAD_CHOICES, Sample
from wherelook.data.sources import ImageSource, ImageText
from wherelook.errors import WherelookError

TABLES = ("mmstar.parquet", "val-*.parquet", "data/val-*.parquet", "MMStar.tsv")
HINT = re.compile(r"\s*Hint:.*?\bQuestion:\s*", re.DOTALL)
"""What questions from MathVista start with: it tells how to answer, which is the prompt style's affair."""


def read(path: str) -> Iterator[Sample]:
    """The samples of MMStar; `kind` is the category. See the module for the files.

    Options are taken out of the question. Where they cannot be told apart, or have no letter of the answer, the
    question stays as it is, the reference is the letter, and the sample is flagged.

    Raises:
        InputError: the files are not there.
        WherelookError: a row is broken.
    """
    files, names = locate(path, "MMStar", TABLES, "mmstar.parquet or MMStar.tsv")
    for name in names:
        for row in read_rows(files, name):
            text, letter = row.required("question"), row.required("answer")
            question, choices = split_options(HINT.sub("", text, count=1) if HINT.match(text) else text)
            reference = chosen(choices, letter)
            known = reference is not None and bool(question)
            yield Sample(
                id=row.required_name("index"),
                source=_base64(row) if name.endswith(".tsv") else row.image("image", files),
                question=question if known else text,
                references=(reference if known and reference is not None else letter.strip(),),
                choices=choices if known else (),
                kind=row.text("category") or "",
                flags=choice_flags(choices) if known else (UNREAD_CHOICES,),
            )


def _base64(row: Row) -> ImageSource:
    text = row.text("image")
    if not text:
        raise WherelookError(f"{row.place}: image is missing")
    return ImageText(text, f"the image of {row.place}")
