"""Boxes in every form: what they cover, which form a table's boxes can only have, and what is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherelook.data.boxes import BOX_FORMATS, ENOUGH, box_mask, corners, infer_format
from wherelook.data.datasets import read_samples
from wherelook.errors import InputError, WherelookError

SIZE = 60, 100
"""(height, width)."""
IN_EVERY_FORM = {
    "xyxy": (20.0, 30.0, 60.0, 45.0),
    "xywh": (20.0, 30.0, 40.0, 15.0),
    "cxcywh": (40.0, 37.5, 40.0, 15.0),
    "xyxy-relative": (0.2, 0.5, 0.6, 0.75),
    "xywh-relative": (0.2, 0.5, 0.4, 0.25),
    "cxcywh-relative": (0.4, 0.625, 0.4, 0.25),
}
"""The same box."""


def test_every_form_covers_the_same_pixels():
    expected = np.zeros(SIZE, dtype=bool)
    expected[30:45, 20:60] = True
    assert set(IN_EVERY_FORM) == set(BOX_FORMATS)
    for form, box in IN_EVERY_FORM.items():
        np.testing.assert_array_equal(box_mask([box], form, SIZE), expected, err_msg=form)


@pytest.mark.parametrize(
    ("box", "form"),
    [
        ((0.2, 0.3, 0.6, 0.5), "xyxy"),  # shares, read as pixels: one pixel of evidence
        ((0.0, 0.0, 0.9, 0.9), "xywh"),
        ((20.0, 30.0, 15.0, 10.0), "xyxy"),  # width and height, read as a corner
        ((90.0, 50.0, 80.0, 40.0), "xywh"),  # corners, read as width and height
        ((50.0, 40.0, 300.0, 200.0), "xyxy"),  # of another image
        ((5.0, 5.0, 5.0, 9.0), "xyxy"),
        ((5.0, 5.0, 0.0, 9.0), "cxcywh"),
        ((20.0, 30.0, 60.0, 45.0), "xyxy-relative"),
    ],
)
def test_a_box_in_another_form_is_refused(box, form):
    with pytest.raises(WherelookError, match=r"does not lie on the image of 60 x 100 pixels .* as .*box_format="):
        box_mask([box], form, SIZE)


SIDES = st.tuples(st.floats(1, 98), st.floats(1, 58), st.floats(1, 60), st.floats(1, 60))


@given(SIDES)
def test_forms_agree_about_every_box(sides):
    x, y, width, height = sides
    pixels = {"xyxy": (x, y, x + width, y + height), "xywh": sides}
    pixels["cxcywh"] = (x + width / 2, y + height / 2, width, height)
    for form, box in pixels.items():
        np.testing.assert_allclose(corners(box, form), pixels["xyxy"], atol=1e-9)
        shares = tuple(number / side for number, side in zip(box, (SIZE[1], SIZE[0]) * 2, strict=True))
        np.testing.assert_allclose(corners(shares, f"{form}-relative", SIZE), pixels["xyxy"], atol=1e-9)


# ---- which form it is ----

CORNERS = [(10.0 * n, 5.0, 10.0 * n + 3, 9.0) for n in range(1, ENOUGH + 1)]


@pytest.mark.parametrize(
    ("boxes", "form"),
    [
        (CORNERS, "xyxy"),  # width and height are never below the place of the corner
        ([(0.0, 0.0, 30.0, 20.0)], "xyxy"),  # the same region as width and height, and no center
        ([(0.0, 0.0, 30.0, 20.0), (5.0, 5.0, 3.0, 4.0)], "xywh"),
        ([(0.2, 0.6, 0.9, 0.8)], "xyxy-relative"),  # as width or height it would end beyond the image
        ([(0.5, 0.5, 0.2, 0.4), (0.9, 0.9, 0.2, 0.2)], "cxcywh-relative"),
        ([(0.0, 0.0, 0.3, 0.2), (0.5, 0.5, 0.3, 0.2)], "xywh-relative"),
    ],
)
def test_the_only_form_that_fits(boxes, form):
    assert infer_format(boxes, "t.csv") == form


@pytest.mark.parametrize(
    ("boxes", "told"),
    [
        ([(10.0, 5.0, 30.0, 12.0)], "can be xyxy or xywh"),  # too few to tell
        ([(50.0, 50.0, 20.0, 20.0)] * 20, "can be xywh or cxcywh"),
        ([(0.4, 0.4, 0.5, 0.5)], "can be xyxy-relative or xywh-relative or cxcywh-relative"),
        ([(5.0, 5.0, 9.0, 0.0)], "can be none of the known forms"),
        ([(9.0, 9.0, 5.0, -5.0), (1.0, 1.0, 2.0, 2.0)], "can be none of the known forms"),
    ],
)
def test_forms_that_cannot_be_told_apart(boxes, told):
    with pytest.raises(InputError, match=rf"t\.csv: its boxes, such as \[.*\], {told}: say which, with ,box_format="):
        infer_format(boxes, "t.csv")


# ---- in a table ----


def table(build, *boxes: object) -> str:
    build.image("a.png", size=SIZE)
    rows = [{"image": "a.png", "question": "?", "box": box} for box in boxes]
    build.text("t.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    return f"table:{build.root / 't.jsonl'}"


@pytest.mark.parametrize("form", BOX_FORMATS)
def test_a_form_that_is_named_counts_for_every_row(build, form):
    samples = list(read_samples(f"{table(build, IN_EVERY_FORM[form])},box_format={form}"))
    assert samples[0].truth.sum() == 15 * 40
    assert len({sample.fingerprint for sample in samples}) == 1


def test_boxes_that_can_be_two_things_are_asked_about_before_any_work(build):
    with pytest.raises(InputError, match=r"t\.jsonl: its boxes, such as \[9.0, 5.0, 30.0, 20.0\], can be xyxy or xywh"):
        read_samples(table(build, [9, 5, 30, 20]))
    with pytest.raises(InputError, match="unknown box_format 'yolo'; valid: xyxy, xywh, cxcywh, xyxy-relative"):
        read_samples(f"{table(build, CORNERS[0])},box_format=yolo")


def test_shares_are_never_one_pixel(build):
    (sample,) = read_samples(table(build, [0.2, 0.5, 0.9, 0.75]))
    assert sample.truth.sum() == 15 * 70
    (sample,) = read_samples(f"{table(build, [0.2, 0.5, 0.9, 0.75])},box_format=xyxy")
    with pytest.raises(WherelookError, match="at least a pixel"):
        _ = sample.truth


def test_one_row_of_another_form_is_an_error_of_its_own(build):
    *good, odd = read_samples(table(build, *CORNERS * 8, [50, 50, 20, 2]))
    assert all(sample.truth.any() for sample in good)
    with pytest.raises(WherelookError, match="does not lie on the image"):
        _ = odd.truth
