"""MMVP (Tong et al. 2024, arXiv 2401.06209): 150 pairs of images that look alike to CLIP.

A pair counts as right when both answers are.

Questions.csv                   lndex (so in the published file) or Index, Question, Options, Correct Answer
MMVP Images/1.jpg to 300.jpg    named by the index
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from wherelook.data.files import Files, Location, find_image, locate
from wherelook.data.readers.options import choice_flags, chosen, marked_options
from wherelook.data.readers.rowwise import samples_of
from wherelook.data.row import Row
from wherelook.data.sample import UNREAD_CHOICES, WRONG_LABEL, Sample
from wherelook.data.tables import read_rows
from wherelook.errors import WherelookError

WRONG_LABELS: Mapping[int, str] = {99: "(a)", 100: "(b)", 279: "(a)", 280: "(b)"}
"""Published answers that are wrong, by index. A copy in which they are corrected is not flagged."""


def read(where: Location | str) -> Iterator[Sample]:
    """The samples of MMVP, grouped in pairs; see the module for the files.

    Raises:
        InputError: the files are not there.
        WherelookError: a row is broken.
    """
    files, names = locate(where, "MMVP", ["Questions.csv"], "Questions.csv and the folder MMVP Images")
    for name in names:
        yield from samples_of(read_rows(files, name), lambda row: _sample(row, files))


def _sample(row: Row, files: Files) -> Sample:
    index, choices, answer = _index(row), marked_options(row.required("Options")), row.required("Correct Answer")
    reference = chosen(choices, answer)
    if choices and reference is None:
        raise WherelookError(f"{row.place}: Correct Answer {answer!r:.60} is none of the options")
    flags = choice_flags(choices) if choices else (UNREAD_CHOICES,)
    return Sample(
        id=str(index),
        source=find_image(files, ["MMVP Images", ""], f"{index}.jpg"),
        question=row.required("Question") if choices else f"{row.required('Question')} {row.text('Options')}",
        references=(reference or answer,),
        choices=choices,
        group=str((index + 1) // 2),
        flags=flags + ((WRONG_LABEL,) if WRONG_LABELS.get(index) == answer.strip().lower() else ()),
    )


def _index(row: Row) -> int:
    value = row.text("lndex") or row.text("Index") or ""
    if not value.isdecimal() or len(value) > 9 or int(value) < 1:
        raise WherelookError(f"{row.place}: the index (lndex or Index) must be a number from 1, not {value[:60]!r}")
    return int(value)
