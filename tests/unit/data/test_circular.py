"""CircularEval: every rotation of the options is a question of its own."""

from __future__ import annotations

import pytest

from wherelook.data.circular import is_rotation, rotations
from wherelook.data.datasets import read_samples
from wherelook.data.images import load_image
from wherelook.data.sample import Sample
from wherelook.data.sources import ImageInMemory
from wherelook.errors import InputError


@pytest.fixture
def question() -> Sample:
    import numpy as np

    image = ImageInMemory(load_image(np.zeros((4, 4, 3), np.uint8)))
    return Sample("17", image, "Which?", references=("cat",), choices=("dog", "cat", "cow"))


def test_every_rotation_once_and_the_right_answer_moves_along(question):
    found = list(rotations([question]))
    assert [sample.choices for sample in found] == [
        ("dog", "cat", "cow"),
        ("cat", "cow", "dog"),
        ("cow", "dog", "cat"),
    ]
    assert [sample.id for sample in found] == ["17#rotated-0", "17#rotated-1", "17#rotated-2"]
    assert {sample.group for sample in found} == {"17"}
    assert all(sample.references == ("cat",) for sample in found)
    assert len({sample.fingerprint for sample in found}) == 3
    assert all(is_rotation(sample.id) for sample in found)


@pytest.mark.parametrize("name", ["17", "#rotated-1", "17#rotated-", "17#rotated-x"])
def test_other_ids_are_no_rotations(name):
    assert not is_rotation(name)


def test_questions_without_options_stay_as_they_are(question):
    from dataclasses import replace

    plain = replace(question, choices=())
    assert list(rotations([plain])) == [plain]


def test_it_is_an_option_of_every_dataset(tmp_path):
    (tmp_path / "one.csv").write_text('image,question,answer,choices\na.png,Which?,cat,"[""dog"", ""cat""]"\n')
    path = f"table:{tmp_path / 'one.csv'}"
    assert len(list(read_samples(path))) == 1
    assert [sample.group for sample in read_samples(f"{path},circular=true")] == ["1", "1"]
    with pytest.raises(InputError, match="circular is true or false; got 'yes'"):
        read_samples(f"{path},circular=yes")
