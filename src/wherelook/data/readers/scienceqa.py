"""ScienceQA (Lu et al. 2022, arXiv 2209.09513): science at school, with options; half of it without an image.

test-*.parquet (the hub: image or null, question, choices, answer, hint; the answer is the number of the option, from
0), problems.json as its authors give it ({id: {question, choices, answer, hint, image, split}}, images in
test/ID/image.png), LLaVA's llava_test_CQM-A.json ([{id, image, conversations}]), or ScienceQA_TEST.tsv (VLMEvalKit).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from wherelook.data.files import Files, Location, find_image, locate
from wherelook.data.readers.layout import Benchmark, Layout, layout_sample, without_options
from wherelook.data.readers.rowwise import samples_of
from wherelook.data.row import Row
from wherelook.data.sample import UNREAD_CHOICES, Sample
from wherelook.data.sources import ImageSource, NoImage
from wherelook.data.tables import json_rows, read_rows
from wherelook.errors import WherelookError

TABLES = (
    *("ScienceQA*.tsv", "test-*.parquet", "data/test-*.parquet", "ScienceQA-IMG/test-*.parquet"),
    *("ScienceQA-FULL/test-*.parquet", "llava_test*.json", "problems.json", "data/scienceqa/problems.json"),
    *("validation-*.parquet", "data/validation-*.parquet"),
)
BENCHMARK = Benchmark(
    name="ScienceQA",
    tables=TABLES,
    expected="test-*.parquet, problems.json, or llava_test_CQM-A.json",
    layout=Layout(listed="index", hint=("hint",), context="Context: ", kind=("subject", "category"), extra=("topic",)),
)
SPLIT = "test"


def read(where: Location | str) -> Iterator[Sample]:
    """The samples of ScienceQA, of the test split; `kind` is the subject. A hint stands before its question.

    Raises:
        InputError: the files are not there.
        WherelookError: a file is broken.
    """
    files, names = locate(where, BENCHMARK.name, BENCHMARK.tables, BENCHMARK.expected)
    for name in names:
        if name.endswith("problems.json"):
            yield from samples_of(
                _problems(files, name), partial(layout_sample, files=files, layout=BENCHMARK.layout, shared=None)
            )
        elif name.endswith(".json"):
            yield from samples_of(read_rows(files, name), lambda record: _conversation(record, files))
        else:
            yield from BENCHMARK.read_table(files, name, prefix="" if len(names) == 1 else f"{name}-")


def _problems(files: Files, name: str) -> Iterator[Row]:
    """Rows of the test split with the whole name of their image."""
    for record in json_rows(files, name, keyed=True):
        value = record.values
        if isinstance(value, dict) and value.get("split", SPLIT) != SPLIT:
            continue
        if isinstance(value, dict) and value.get("image") is not None:
            record = replace(record, values=value | {"image": f"{SPLIT}/{value['id']}/{value['image']}"})  # noqa: PLW2901
        yield record


def _conversation(record: Row, files: Files) -> Sample:
    """LLaVA's form: what a person says, with the options on lines of their own, and the letter that is right."""
    said = [turn.get("value") for turn in record.values.get("conversations") or () if isinstance(turn, dict)]
    texts = [text for text in said if isinstance(text, str)]
    if not texts:
        raise WherelookError(f"{record.place}: conversations must be what a person says, and the right letter")
    made = Sample(
        id=record.required_name("id"),
        source=_image(record, files),
        question=Row(record.place, {"question": texts[0].replace("<image>", "").strip()}).required("question"),
        references=tuple(text.strip() for text in texts[1:2]),
    )
    found = without_options(record, made)
    return found if found.choices else replace(found, flags=(UNREAD_CHOICES,))


def _image(record: Row, files: Files) -> ImageSource:
    name = record.text("image")
    if not name:
        return NoImage(f"{record.place}: no image (a question of text alone)")
    return find_image(files, ("images/test", "test", "images", ""), name)
