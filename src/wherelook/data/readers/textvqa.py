"""TextVQA (Singh et al. 2019, arXiv 1904.08920): questions that need the text in an image, ten people's answers each.

TextVQA_0.5.1_val.json              {"data": [{question_id, image_id, question, answers, image_classes, ...}]}
train_images/IMAGE_ID.jpg           of training and validation; test_images of the test set, which has no answers
Or validation-*.parquet (lmms-eval), or TextVQA_VAL.tsv (VLMEvalKit: the answers are a list, written as text).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

from wherelook.data.files import Files, Location, find_image, locate
from wherelook.data.json_stream import entries
from wherelook.data.readers.layout import Layout, read_layout
from wherelook.data.readers.rowwise import samples_of
from wherelook.data.row import Row, row
from wherelook.data.sample import Sample

TABLES = (
    *("TextVQA*_val.json", "TextVQA*_test.json", "TextVQA*_train.json", "TextVQA*.json"),
    *("validation-*.parquet", "data/validation-*.parquet", "TextVQA*.tsv"),
)
FOLDERS = ("train_images", "test_images", "images", "")
LAYOUT = Layout(id=("question_id", "index"), answer=("answers", "answer"), kind=("set_name",))


def read(where: Location | str) -> Iterator[Sample]:
    """The samples of TextVQA, of the validation split where it is there; name another file to read that.

    All answers are references, equal ones next to each other and the most frequent first.

    Raises:
        InputError: the files are not there.
        WherelookError: a file is broken.
    """
    files, names = locate(where, "TextVQA", TABLES, "TextVQA_0.5.1_val.json and the folder train_images")
    for name in names:
        if name.endswith(".json"):
            with files.open(name) as stream:
                rows = (row(place, value) for _, value, place in entries(stream, files.describe(name), "data"))
                yield from samples_of(rows, lambda record: _entry(record, files))
        else:
            yield from read_layout(
                files, name, LAYOUT, lambda _, sample: replace(sample, references=grouped(sample.references))
            )


def _entry(record: Row, files: Files) -> Sample:
    return Sample(
        id=record.required_name("question_id"),
        source=find_image(files, FOLDERS, f"{record.required_name('image_id')}.jpg"),
        question=record.required("question"),
        references=grouped(record.texts("answers")),
    )


def grouped(answers: Sequence[str]) -> tuple[str, ...]:
    """Equal answers next to each other, the most frequent first."""
    return tuple(answer for answer, count in Counter(answers).most_common() for _ in range(count))
