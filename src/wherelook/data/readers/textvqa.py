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
from wherelook.data.readers.layout import Benchmark, Layout
from wherelook.data.readers.rowwise import samples_of
from wherelook.data.row import Row
from wherelook.data.sample import Sample
from wherelook.data.tables import json_rows

FOLDERS = ("train_images", "test_images", "images", "")


def read(where: Location | str) -> Iterator[Sample]:
    """The samples of TextVQA, of the validation split where it is there; name another file to read that.

    All answers are references, equal ones next to each other and the most frequent first.

    Raises:
        InputError: the files are not there.
        WherelookError: a file is broken.
    """
    files, names = locate(where, BENCHMARK.name, BENCHMARK.tables, BENCHMARK.expected)
    for name in names:
        if name.endswith(".json"):
            yield from samples_of(json_rows(files, name, "data"), lambda record: _entry(record, files))
        else:
            yield from BENCHMARK.read_table(files, name)


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


BENCHMARK = Benchmark(
    name="TextVQA",
    tables=(
        *("TextVQA*_val.json", "TextVQA*_test.json", "TextVQA*_train.json", "TextVQA*.json"),
        *("validation-*.parquet", "data/validation-*.parquet", "TextVQA*.tsv"),
    ),
    expected="TextVQA_0.5.1_val.json and the folder train_images",
    layout=Layout(id=("question_id", "index"), answer=("answers", "answer"), kind=("set_name",)),
    adjust=lambda _row, sample, _files: replace(sample, references=grouped(sample.references)),
)
