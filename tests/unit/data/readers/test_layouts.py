"""Every benchmark in the layouts in which it is published, from a folder and from a zip archive."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from layouts import LAYOUTS, tsv
from wherelook.data.samples import DATASETS, prompt_text, read_samples
from wherelook.errors import WherelookError
from wherelook.study.judges import JUDGES


@pytest.mark.parametrize("archived", [False, True], ids=["folder", "zip"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_layout_is_read_as_it_is_published(build, layout, archived):
    name, write = LAYOUTS[layout]
    expected = write(build)
    samples = list(read_samples(f"{name}:{build.zip() if archived else build.root}"))
    assert [sample.id for sample in samples] == [one.id for one in expected]
    for sample, one in zip(samples, expected, strict=True):
        assert prompt_text(sample) == one.prompt
        assert (sample.references, sample.judge) == (one.references, one.judge)
        assert (sample.kind, sample.group) == (one.kind, one.group)
        assert sample.judge is None or sample.judge in JUDGES
        if one.color is None:
            assert sample.flags == ("no image",)
            with pytest.raises(WherelookError, match="no image"):
                _ = sample.image
        else:
            assert len(sample.images) == one.images
            assert tuple(sample.images[0].pixels[0, 0].tolist()) == one.color
            assert pickle.loads(pickle.dumps(sample)).fingerprint == sample.fingerprint


def test_twelve_benchmarks_are_among_them():
    assert len({name for name, _ in LAYOUTS.values()}) >= 12
    assert {name for name, _ in LAYOUTS.values()} <= set(DATASETS)


def test_the_boxes_of_v_star(build):
    LAYOUTS["vstar-jsonl"][1](build)
    (sample,) = read_samples(f"vstar:{build.root}")
    expected = np.zeros((6, 8), dtype=bool)
    expected[2:4, 1:4] = True  # x, y, width, height
    np.testing.assert_array_equal(sample.truth, expected)


@pytest.mark.parametrize(
    ("answer", "message"),
    [(4, r"answer '4' names none of the 2 options; expected a number from 0 to 1"), (-1, "answer '-1' names none")],
)
def test_an_answer_that_names_no_option_is_the_error_of_its_row(build, answer, message):
    row = {"image": {"bytes": build.picture(), "path": None}, "question": "?", "choices": ["a", "b"], "hint": ""}
    build.parquet("test-00000-of-00001.parquet", [row | {"answer": 1}, row | {"answer": answer}, row | {"answer": 0}])
    good, wrong, other = read_samples(f"scienceqa:{build.root}")
    assert (good.reference, other.reference) == ("b", "a")
    assert (wrong.id, wrong.flags) == ("2", ("broken row",))
    with pytest.raises(WherelookError, match=message):
        _ = wrong.image


def test_labels_of_pope_that_are_of_other_questions(build):
    LAYOUTS["pope-llava"][1](build)
    build.lines("coco/coco_pope_popular.json", {"question_id": 1, "text": "Is there a cat?", "label": "yes"})
    _, wrong = read_samples(f"pope:{build.root}")
    with pytest.raises(WherelookError, match="the labels of popular are of other questions: 'Is there a cat"):
        _ = wrong.image


def test_an_image_that_is_in_a_later_row(build):
    rows = [
        {"index": 0, "question": "?", "A": "x", "B": "y", "answer": "A", "image": "2"},
        {"index": 1, "question": "?", "A": "x", "B": "y", "answer": "A", "image": "9"},
        {"index": 2, "question": "?", "A": "x", "B": "y", "answer": "A", "image": "0"},
    ]
    from layouts import GREEN, text64

    rows[2]["image"] = text64(build, GREEN)
    tsv(build, "MMBench_DEV_EN.tsv", rows)
    first, missing, last = read_samples(f"mmbench:{build.root}")
    assert first.image.sha256 == last.image.sha256
    assert first.fingerprint != missing.fingerprint
    with pytest.raises(WherelookError, match="image refers to row '9', which has no image"):
        _ = missing.image
