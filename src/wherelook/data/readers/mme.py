"""MME (Fu et al. 2023, arXiv 2306.13394): fourteen tasks, two questions about each image, yes or no.

The release: a folder for each task with 0020.png and 0020.txt, or images/ and questions_answers_YN/; every line of a
.txt is a question, a tab and Yes or No. Or test-*.parquet (lmms-eval: question_id, image, question, answer, category;
the id is that of the image, for both questions), MME.tsv (VLMEvalKit), or LLaVA's llava_mme.jsonl, without answers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import PurePosixPath

from wherelook.data.files import Files, Location, holds_image, locate, reading
from wherelook.data.readers.layout import Benchmark, Layout
from wherelook.data.readers.rowwise import samples_of
from wherelook.data.row import Row, Unreadable
from wherelook.data.sample import Sample
from wherelook.errors import WherelookError

TABLES = ("MME*.tsv", "test-*.parquet", "data/test-*.parquet", "*mme*.parquet")
RELEASE = ("*/questions_answers_YN/*.txt", "*/*.txt")
QUESTIONS = ("*mme*.jsonl",)
ENDINGS = (".png", ".jpg", ".jpeg")
LONGEST_TEXT = 100_000
"""Bytes of the questions about one image."""


def read(where: Location | str) -> Iterator[Sample]:
    """The samples of MME; `kind` is the task, and the two questions about an image are a group.

    Raises:
        InputError: the files are not there.
        WherelookError: a file is broken.
    """
    files, names = locate(where, BENCHMARK.name, BENCHMARK.tables, BENCHMARK.expected)
    if not names[0].endswith(".txt"):
        yield from BENCHMARK.read(where)
        return
    # Some tasks have folders inside, others do not; other texts, such as a readme, have no image.
    texts = sorted({name for pattern in RELEASE for name in files.find(pattern) or []} or set(names))
    rows = (row for name in texts for row in _questions(files, name))
    yield from samples_of(rows, lambda row: _released(row, files))


def _adjust(row: Row, sample: Sample, asked: Counter[str]) -> Sample:
    """`asked`: questions about each image so far."""
    pair = row.name("question_id") if "question_id" in row.values else None
    asked.update([pair] if pair is not None else [])
    name = sample.id if pair is None else f"{pair}-{asked[pair]}"
    if pair is None and "image_path" in row.values:
        pair = row.text("image_path")
    return replace(sample, id=name, references=_label(row, sample.reference), group=pair)


BENCHMARK = Benchmark(
    name="MME",
    tables=(*TABLES, *RELEASE, *QUESTIONS),
    expected="the folders of its tasks, test-*.parquet, or MME.tsv",
    layout=Layout(id=("question_id", "index"), extra=("image_path",)),
    adjust=_adjust,
    prepare=lambda _: Counter[str](),
)


def _label(row: Row, answer: str | None) -> tuple[str, ...]:
    label = (answer or "").strip().lower()
    if answer is not None and label not in ("yes", "no"):
        raise WherelookError(f"{row.place}: the answer must be Yes or No, not {answer!r:.100}")
    return (label,) if label else ()


def _questions(files: Files, name: str) -> Iterator[Row]:
    """A row for every question about an image."""
    place, path = files.describe(name), PurePosixPath(name)
    folder = path.parent.parent / "images" if path.parent.name == "questions_answers_YN" else path.parent
    images = [str(folder / (path.stem + ending)) for ending in ENDINGS]
    image = next((name for name in images if holds_image(files, name)), None)
    if image is None and path.parent.name != "questions_answers_YN":
        return
    with reading(place), files.open(name) as stream:
        lines = stream.read(LONGEST_TEXT).decode("utf-8-sig", errors="surrogateescape").splitlines()
    for number, line in enumerate((line for line in lines if line.strip()), start=1):
        where = f"{place}, line {number}"
        question, tab, answer = line.rpartition("\t")
        values = {"image": image, "question": question, "answer": answer, "task": path.parts[0], "stem": path.stem}
        yield Row(where, values if tab else Unreadable(f"{where}: expected a question, a tab, and Yes or No"), number)


def _released(row: Row, files: Files) -> Sample:
    pair = f"{row.required('task')}/{row.required('stem')}"
    return Sample(
        id=f"{pair}-{row.number}",
        source=row.image("image", files),
        question=row.required("question"),
        references=_label(row, row.text("answer")),
        kind=row.required("task"),
        group=pair,
    )
