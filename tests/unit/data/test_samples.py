"""Samples from scenes and from files."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest
from PIL import Image

from wherelook.data.samples import LOCAL_KINDS, read_samples
from wherelook.data.scenes import REPORTING_SEEDS, make_scene, write_scenes
from wherelook.types import InputError, WherelookError


def test_scenes_give_one_question_each_with_its_evidence():
    samples = list(itertools.islice(read_samples("scenes"), 10))
    assert len({sample.id for sample in samples}) == 10
    assert all(int(sample.id) in REPORTING_SEEDS for sample in samples)
    assert len({sample.kind for sample in samples}) > 2
    for sample in samples:
        scene = make_scene(int(sample.id))
        question = next(question for question in scene.questions if question.text == sample.question)
        assert question.exclusive
        assert question.kind in LOCAL_KINDS
        assert sample.reference == question.answer
        assert sample.paraphrase == question.paraphrase
        assert np.array_equal(sample.truth, question.evidence)
        assert np.array_equal(sample.image.pixels, np.asarray(scene.image))


def test_tuning_scenes_are_other_scenes():
    first = next(read_samples("scenes-tuning"))
    assert int(first.id) not in REPORTING_SEEDS


def test_a_folder_of_scenes(tmp_path):
    records = write_scenes(tmp_path / "scenes", n=3, seed=5, size=(64, 64))
    samples = list(read_samples(str(tmp_path / "scenes")))
    assert [sample.id for sample in samples] == [r.id for r in records if r.exclusive and r.evidence]
    assert all(sample.truth.shape == (64, 64) and sample.truth.any() for sample in samples)
    assert [sample.paraphrase for sample in samples] == [r.paraphrase for r in records if r.exclusive and r.evidence]


@pytest.fixture
def lines(tmp_path):
    Image.new("RGB", (8, 6), "red").save(tmp_path / "a.png")
    mask = np.zeros((6, 8), dtype=np.uint8)
    mask[2:4, 3:5] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")

    def write(*rows) -> str:
        path = tmp_path / "data.jsonl"
        path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows))
        return str(path)

    return write


def test_lines_of_a_file(lines):
    first, second = read_samples(
        lines({"image": "a.png", "question": "What?", "answer": "Red.", "mask": "mask.png", "id": "x"}, "",
              {"image": "a.png", "question": "Why?", "paraphrase": "What for?"})
    )  # fmt: skip
    assert (first.id, first.question, first.reference) == ("x", "What?", "Red.")
    assert first.truth.sum() == 4
    assert first.truth[2, 3]
    assert (second.id, second.reference, second.truth) == ("3", None, None)
    assert (first.paraphrase, second.paraphrase) == (None, "What for?")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("{", "line 1: not a line of JSON"),
        ("[]", "line 1: expected an object"),
        ({"image": "a.png"}, "line 1: image or question is missing"),
        ({"image": "a.png", "question": 3}, "line 1: question must be text, not 3"),
        ({"image": "a.png", "question": "?", "paraphrase": 3}, "line 1: paraphrase must be text, not 3"),
        ({"image": "a.png", "question": " "}, "line 1: the question is empty"),
        ({"image": "a.png", "question": "?", "paraphrase": ""}, "line 1: the paraphrase is empty"),
        ({"image": "../a.png", "question": "?"}, "line 1: '../a.png' is not a file inside the folder"),
        ({"image": "/etc/hostname", "question": "?"}, "line 1: '/etc/hostname' is not a file inside"),
        ({"image": "a.png", "question": "?", "mask": "b.png"}, "line 1: 'b.png' is not a file inside"),
    ],
)
def test_broken_lines(lines, row, message):
    with pytest.raises(WherelookError, match=message):
        list(read_samples(lines(row)))


def test_a_mask_of_another_size(lines, tmp_path):
    Image.new("L", (5, 5), 255).save(tmp_path / "small.png")
    with pytest.raises(WherelookError, match=r"the mask must have the image's size, \(6, 8\)"):
        list(read_samples(lines({"image": "a.png", "question": "?", "mask": "small.png"})))


@pytest.mark.parametrize("name", ["", "nothing", "nothing.jsonl"])
def test_no_such_data_set(name):
    with pytest.raises(InputError, match=r"no data set .*; valid: scenes, scenes-tuning, a folder"):
        read_samples(name)
