"""Every benchmark in the layouts in which it is published, from a folder and from a zip archive."""

from __future__ import annotations

import base64
import io
import json
import pickle

import numpy as np
import pytest
from PIL import Image

from layouts import LAYOUTS, tsv
from wherelook.data.datasets import DATASETS, prompt_text, read_samples
from wherelook.data.row import LONGEST_LIST
from wherelook.errors import WherelookError
from wherelook.evaluation.consensus import soft_accuracy
from wherelook.evaluation.judges import JUDGES


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


def test_the_boxes_of_v_star_may_lie_with_images_elsewhere(build, tmp_path):
    other = type(build)(tmp_path / "images")
    row = {"question_id": "0", "text": "What is it?\n(A) a cat\n(B) a dog", "label": "A"}
    build.lines("test_questions.jsonl", row | {"image": "direct/1.jpg"}, row | {"image": "all/direct/2.jpg"},
                row | {"image": ""})  # fmt: skip
    for name, left in (("1", 1), ("2", 4)):
        other.image(f"direct/{name}.jpg")
        other.json(f"direct/{name}.json", {"bbox": [[left, 2, 3, 2]]})
    for place in (other.root, other.zip()):
        first, second, _ = read_samples(f"vstar:{build.root},images={place}")
        assert [np.argwhere(sample.truth)[0].tolist() for sample in (first, second)] == [[2, 1], [2, 4]]


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (["n/a", "?", "", *["cat"] * 7], ["cat"] * 7 + ["n/a", "?", ""]),
        ([""] * 10, []),
        (["?"], []),
        (["cat"], ["cat"]),
    ],
)
def test_of_several_people_one_may_say_that_it_is_unknown(build, given, kept):
    row = {"question_id": 1, "question": "what?", "image": {"bytes": build.picture(), "path": None}, "answers": given}
    build.parquet("data/validation-00000-of-00001.parquet", [row])
    (sample,) = read_samples(f"textvqa:{build.root}")
    assert sorted(sample.references) == sorted(kept)
    assert soft_accuracy("cat", sample.references) == (1.0 if len(given) == 10 and kept else None)


@pytest.mark.parametrize("write", [str, json.dumps], ids=["python", "json"])
def test_large_images_in_a_list(build, write):
    """Three images of half a million characters in base64 each."""
    image = io.BytesIO()
    Image.frombytes("RGB", (360, 360), np.random.default_rng(1).bytes(360 * 360 * 3)).save(image, "PNG")
    text = base64.b64encode(image.getvalue()).decode()
    assert len(text) * 3 > LONGEST_LIST
    row = {"index": 1, "image": write([text] * 3), "question": "Which?", "A": "one", "B": "two", "answer": "B"}
    tsv(build, "MMMU_DEV_VAL.tsv", [row])
    (sample,) = read_samples(f"mmmu:{build.root}")
    assert (sample.flags, sample.reference) == ((), "two")
    assert [one.size for one in sample.images] == [(360, 360)] * 3


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
