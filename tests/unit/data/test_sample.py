"""What a sample tells: prompts, fingerprints, evidence and human maps."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from wherelook.data.images import load_image
from wherelook.data.sample import Sample, prompt_text
from wherelook.data.sources import Boxes, ImageBytes, ImageFile, ImageInMemory, MaskInMemory
from wherelook.errors import InputError, WherelookError

IMAGE = ImageInMemory(load_image(np.full((6, 8, 3), 9, dtype=np.uint8)))
SAMPLE = Sample("1", IMAGE, "What?", references=("blue",), choices=("red", "blue"))


LETTER = "Answer with the option's letter from the given choices directly."
SHORT = "Answer the question using a single word or phrase."
UNANSWERABLE = "When the provided information is insufficient, respond with 'Unanswerable'."
OPEN = replace(SAMPLE, choices=())
YES = replace(OPEN, question="Is it?", references=("Yes",))


@pytest.mark.parametrize(
    ("sample", "style", "text"),
    [
        (SAMPLE, "open", "What?"),
        (SAMPLE, "choices", f"What?\nA. red\nB. blue\n{LETTER}"),
        (SAMPLE, "short", f"What?\n{SHORT}"),
        (SAMPLE, "vizwiz", f"What?\n{UNANSWERABLE}\n{SHORT}"),
        (OPEN, "choices", "What?"),
        (YES, "yes-no", "Is it? Please answer yes or no."),
        (OPEN, "yes-no", "What?"),  # the answer is "blue"
        # What a dataset asks for is asked once.
        (replace(YES, question="Is it? Please answer yes or no."), "yes-no", "Is it? Please answer yes or no."),
        (replace(YES, question=f"Is it?\n{SHORT}"), "yes-no", f"Is it?\n{SHORT}"),
        (replace(OPEN, question=f"What? {SHORT}\n"), "short", f"What? {SHORT}\n"),
        # auto: as the dataset does, else with the options where there are any.
        (SAMPLE, "auto", f"What?\nA. red\nB. blue\n{LETTER}"),
        (OPEN, "auto", "What?"),
        (replace(SAMPLE, prompt="open"), "auto", "What?"),
        (replace(YES, prompt="yes-no"), "auto", "Is it? Please answer yes or no."),
        (replace(YES, prompt="yes-no"), "short", f"Is it?\n{SHORT}"),
    ],
)
def test_prompts(sample, style, text):
    assert prompt_text(sample, style) == text


def test_an_unknown_prompt_style():
    with pytest.raises(InputError, match="unknown prompt style 'letters'; valid: auto, open, choices, short, yes-no"):
        prompt_text(SAMPLE, "letters")


@pytest.mark.parametrize(
    "change",
    [
        {"question": "Why?"}, {"references": ("red",)}, {"choices": ("blue", "red")}, {"kind": "color"}, {"group": "1"},
        {"flags": ("wrong label",)}, {"paraphrase": "Which?"}, {"evidence": Boxes(((0.0, 0.0, 1.0, 1.0),))},
        {"attention": (IMAGE,)}, {"source": ImageInMemory(load_image(np.zeros((6, 8, 3), dtype=np.uint8)))},
    ],
)  # fmt: skip
def test_every_change_changes_the_fingerprint(change):
    assert replace(SAMPLE, **change).fingerprint != SAMPLE.fingerprint


def test_the_fingerprint_is_of_the_content():
    same = Sample(
        "2", ImageInMemory(load_image(np.full((6, 8, 3), 9, dtype=np.uint8))), "What?", ("blue",), ("red", "blue")
    )
    assert same.fingerprint == SAMPLE.fingerprint


def test_the_fingerprint_of_a_file_in_a_folder(tmp_path, build):
    (tmp_path / "a.png").write_bytes(build.picture())
    source = ImageFile(tmp_path, "a.png")
    before = source.fingerprint
    assert ImageFile(tmp_path.parent / tmp_path.name, "a.png").fingerprint == before
    (tmp_path / "a.png").write_bytes(build.picture() + b"x")
    assert source.fingerprint != before
    (tmp_path / "a.png").unlink()
    assert source.fingerprint == "a.png missing"


def test_an_image_is_read_once(build):
    class Counting(ImageBytes):
        loads = 0

        def load(self):
            Counting.loads += 1
            return super().load()

    sample = Sample("1", Counting(build.picture(), "x"), "What?", evidence=Boxes(((0.0, 0.0, 1.0, 1.0),)))
    assert Counting.loads == 0
    _ = sample.image, sample.truth, sample.image
    assert Counting.loads == 1


def test_boxes_cover_every_pixel_that_they_touch_and_are_cut_at_the_edge():
    mask = Boxes(((-0.5, 4.5, 1.1, 6.2), (7.0, 0.0, 8.0, 1.0))).mask((6, 8))
    expected = np.zeros((6, 8), dtype=bool)
    expected[4:6, 0:2] = True
    expected[0, 7] = True
    np.testing.assert_array_equal(mask, expected)


@pytest.mark.parametrize(
    "box", [(3.0, 0.0, 3.0, 2.0), (3.0, 2.0, 1.0, 4.0), (8.0, 0.0, 9.0, 1.0), (0.0, -3.0, 1.0, 0.0)]
)
def test_boxes_that_cover_nothing(box):
    with pytest.raises(WherelookError, match="does not lie on the image of 6 x 8 pixels"):
        Boxes((box,)).mask((6, 8))


def test_a_mask_of_another_size():
    with pytest.raises(WherelookError, match=r"the mask has the size \(2, 2\), the image \(6, 8\)"):
        MaskInMemory(np.ones((2, 2), dtype=bool)).mask((6, 8))


def test_human_maps_are_averaged_and_scaled():
    maps = [np.zeros((6, 8, 3), dtype=np.uint8), np.zeros((3, 4, 3), dtype=np.uint8)]
    maps[0][0, 0] = 80
    maps[1][:] = 40
    sample = replace(SAMPLE, attention=tuple(ImageInMemory(load_image(values)) for values in maps))
    expected = np.full((6, 8), 40 / 120)
    expected[0, 0] = 1
    np.testing.assert_allclose(sample.human, expected, rtol=1e-6)
    assert SAMPLE.human is None
    assert SAMPLE.truth is None
