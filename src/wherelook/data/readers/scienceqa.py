"""ScienceQA (Lu et al. 2022, arXiv 2209.09513): science at school, with options; half of it without an image.

test-*.parquet (the hub: image or null, question, choices, answer, hint; the answer is the number of the option, from
0), problems.json as its authors give it ({id: {question, choices, answer, hint, image, split}}, images in
test/ID/image.png), LLaVA's llava_test_CQM-A.json ([{id, image, conversations}]), or ScienceQA_TEST.tsv (VLMEvalKit).
"""

from __future__ import annotations

from collections.abc import Iterator

from wherelook.data.files import Files, Location, find_image, locate
from wherelook.data.json_stream import entries
from wherelook.data.readers.answers import by_letter, named_option
from wherelook.data.readers.layout import Layout, layout_sample, read_layout
from wherelook.data.readers.options import choice_flags, split_lines
from wherelook.data.readers.rowwise import samples_of
from wherelook.data.row import Row, row
from wherelook.data.sample import UNREAD_CHOICES, Sample
from wherelook.data.sources import ImageSource, NoImage
from wherelook.data.tables import read_rows
from wherelook.errors import WherelookError

TABLES = (
    *("ScienceQA*.tsv", "test-*.parquet", "data/test-*.parquet", "ScienceQA-IMG/test-*.parquet"),
    *("ScienceQA-FULL/test-*.parquet", "llava_test*.json", "problems.json", "data/scienceqa/problems.json"),
    *("validation-*.parquet", "data/validation-*.parquet"),
)
LAYOUT = Layout(listed="index", hint=("hint",), context="Context: ", kind=("subject", "category"), extra=("topic",))
SPLIT = "test"


def read(where: Location | str) -> Iterator[Sample]:
    """The samples of ScienceQA, of the test split; `kind` is the subject. A hint stands before its question.

    Raises:
        InputError: the files are not there.
        WherelookError: a file is broken.
    """
    files, names = locate(where, "ScienceQA", TABLES, "test-*.parquet, problems.json, or llava_test_CQM-A.json")
    for name in names:
        if name.endswith("problems.json"):
            yield from samples_of(_problems(files, name), lambda record: layout_sample(record, files, LAYOUT, None))
        elif name.endswith(".json"):
            yield from samples_of(read_rows(files, name), lambda record: _conversation(record, files))
        else:
            yield from read_layout(files, name, LAYOUT, prefix="" if len(names) == 1 else f"{name}-")


def _problems(files: Files, name: str) -> Iterator[Row]:
    """Rows with their id and the whole name of their image."""
    with files.open(name) as stream:
        for number, value, place in entries(stream, files.describe(name)):
            record = row(place, value)
            if isinstance(value, dict) and value.get("split", SPLIT) != SPLIT:
                continue
            if isinstance(value, dict):
                image = value.get("image")
                named = image if image is None else f"{SPLIT}/{number}/{image}"
                record = Row(place, value | {"id": number, "image": named})
            yield record


def _conversation(record: Row, files: Files) -> Sample:
    """LLaVA's form: what a person says, with the options on lines of their own, and the letter that is right."""
    said = [turn.get("value") for turn in record.values.get("conversations") or () if isinstance(turn, dict)]
    texts = [text for text in said if isinstance(text, str)]
    if not texts:
        raise WherelookError(f"{record.place}: conversations must be what a person says, and the right letter")
    asked = Row(record.place, {"question": texts[0].replace("<image>", "").strip()}).required("question")
    question, choices = split_lines(asked)
    references = tuple(text.strip() for text in texts[1:2])
    if choices:
        references = tuple(named_option(text, by_letter(choices), "letter", record.place) for text in references)
    return Sample(
        id=record.required_name("id"),
        source=_image(record, files),
        question=question,
        references=references,
        choices=choices,
        flags=choice_flags(choices) if choices else (UNREAD_CHOICES,),
    )


def _image(record: Row, files: Files) -> ImageSource:
    name = record.text("image")
    if not name:
        return NoImage(f"{record.place}: no image (a question of text alone)")
    return find_image(files, ("images/test", "test", "images", ""), name)
