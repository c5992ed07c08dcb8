"""LLaVA-Bench in the wild (Liu et al. 2023, arXiv 2304.08485): 60 open questions about 24 images.

questions.jsonl         question_id, image, category, text
answers_gpt4.jsonl      question_id, text: reference answers, written by GPT-4 from descriptions of the images
images/001.jpg          and so on
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from wherelook.data.files import Files, Location, find_image, locate
from wherelook.data.readers.rowwise import samples_of
from wherelook.data.row import Row
from wherelook.data.sample import Sample
from wherelook.data.tables import read_rows


def read(where: Location | str) -> Iterator[Sample]:
    """The samples of LLaVA-Bench; `kind` is the category, the reference a long text where there is one.

    Raises:
        InputError: the files are not there.
        WherelookError: a row is broken.
    """
    files, names = locate(where, "LLaVA-Bench", ["questions.jsonl"], "questions.jsonl and the folder images")
    answers: dict[str, str] = {}
    for name in files.find("answers_gpt4.jsonl"):
        answers |= {row.required_name("question_id"): row.required("text") for row in read_rows(files, name)}
    for name in names:
        yield from samples_of(read_rows(files, name), lambda row: _sample(row, files, answers))


def _sample(row: Row, files: Files, answers: Mapping[str, str]) -> Sample:
    number = row.required_name("question_id")
    return Sample(
        id=number,
        source=find_image(files, ["images", ""], row.required("image")),
        question=row.required("text"),
        references=(answers[number],) if number in answers else (),
        kind=row.text("category") or "",
        judge="none",  # a paragraph: the authors have a model compare the two
    )
