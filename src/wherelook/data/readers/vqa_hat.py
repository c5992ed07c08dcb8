"""VQA-HAT (Das et al. 2016, arXiv 1606.05589): where people looked to answer questions of VQA v1.

vqahat_val/QUESTION_1.png to _3.png, vqahat_train/QUESTION_1.png    gray maps, bright where they looked
*questions.json                     {"questions": [{question_id, image_id, question}]}, of VQA v1
*annotations.json                   {"annotations": [{question_id, answers: [{answer}], question_type}]}; optional
val2014/COCO_val2014_000000123456.jpg, train2014 alike
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial

from wherelook.data.files import Files, Location, WithImages, holds_image, locate
from wherelook.data.readers.rowwise import samples_of
from wherelook.data.readers.textvqa import grouped
from wherelook.data.row import Row, row
from wherelook.data.sample import Sample
from wherelook.data.sources import ImageSource
from wherelook.data.tables import json_rows
from wherelook.errors import InputError, WherelookError

MAPS = ("vqahat_*/*_*.png", "*_*.png")
QUESTIONS = ("*questions.json", "*uestions/*questions.json")
ANNOTATIONS = ("*annotations.json", "*nnotations/*annotations.json")
SPLITS = ("val2014", "train2014")


def read(where: Location | str) -> Iterator[Sample]:
    """The questions that people's maps exist for, with all maps; `kind` is the type of the question.

    The names of all maps and the answers to their questions are kept in memory; maps and images are not.

    Raises:
        InputError: the files are not there.
        WherelookError: an entry is broken.
    """
    expected = "vqahat_val/*.png, *questions.json and the folder val2014"
    files, names = locate(where, "VQA-HAT", QUESTIONS, expected)
    maps = _maps(files)
    if not maps:
        raise InputError(
            f"{(where if isinstance(where, str) else where.path)!r} holds no human maps; expected {expected}"
        )
    answers, kinds = _answers(files, maps)
    for name in names:
        asked = (row for row in json_rows(files, name, "questions") if row.required_name("question_id") in maps)
        yield from samples_of(asked, partial(_sample, files, maps, answers, kinds))


def _sample(
    files: Files,
    maps: Mapping[str, list[str]],
    answers: Mapping[str, tuple[str, ...]],
    kinds: Mapping[str, str],
    record: Row,
) -> Sample:
    number = record.required_name("question_id")
    own = files.own if isinstance(files, WithImages) else files
    return Sample(
        id=number,
        source=_image(files, record),
        question=record.required("question"),
        references=answers.get(number, ()),
        kind=kinds.get(number, ""),
        attention=tuple(own.image(name) for name in maps[number]),
    )


def _maps(files: Files) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for pattern in MAPS:
        for name in files.find(pattern):
            found.setdefault(name.split("/")[-1].rpartition("_")[0], []).append(name)
    return found


def _answers(files: Files, wanted: Mapping[str, object]) -> tuple[dict[str, tuple[str, ...]], dict[str, str]]:
    """Answers, equal ones together and the most frequent first, and types, by question."""
    answers: dict[str, tuple[str, ...]] = {}
    kinds: dict[str, str] = {}
    for name in (name for pattern in ANNOTATIONS for name in files.find(pattern)):
        for record in json_rows(files, name, "annotations"):
            number = record.required_name("question_id")
            if number in wanted:
                given = record.values.get("answers")
                said = given if isinstance(given, list) else []
                answers[number] = grouped([row(record.place, item).required("answer") for item in said])
                kinds[number] = record.text("question_type") or ""
    return answers, kinds


def _image(files: Files, record: Row) -> ImageSource:
    text = record.required_name("image_id")
    if not text.isdecimal() or len(text) > 18:
        raise WherelookError(f"{record.place}: image_id must be a number, not {text[:60]!r}")
    names = [f"{folder}/COCO_{split}_{int(text):012d}.jpg" for split in SPLITS for folder in (split, "images")]
    return files.image(next((name for name in names if holds_image(files, name)), names[0]))
