"""Several images side by side: columns dealt whole, nothing over a border."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from wherelook.canvas import Canvas
from wherelook.errors import InputError

WIDTHS = st.lists(st.integers(1, 4000), min_size=2, max_size=12)
TWO = Canvas(((50, 60), (50, 40)))


def of_widths(*widths: int) -> Canvas:
    return Canvas(tuple((100, width) for width in widths))


@given(widths=WIDTHS, more=st.integers(0, 200))
def test_columns_are_dealt_whole_in_order_and_in_proportion(widths, more):
    count = len(widths) + more
    parts = of_widths(*widths).columns(count)
    assert [part.start for part in parts] == [0, *(part.stop for part in parts[:-1])]
    assert parts[-1].stop == count
    assert all(part.stop > part.start for part in parts)
    if count >= 2 * sum(widths) / min(widths):  # no image's share is below two columns: rounding is all that moves
        for part, width in zip(parts, widths, strict=True):
            assert abs(part.stop - part.start - count * width / sum(widths)) <= 1


def test_an_image_has_the_columns_of_its_own_pixels():
    assert of_widths(127, 51).columns(178) == (slice(0, 127), slice(127, 178))
    assert of_widths(300, 100, 500).columns(9) == (slice(0, 3), slice(3, 4), slice(4, 9))
    assert of_widths(1, 10**6, 1).columns(3) == (slice(0, 1), slice(1, 2), slice(2, 3))


def test_one_image_has_all_columns():
    assert of_widths(40).columns(7) == (slice(0, 7),)


def test_fewer_columns_than_images_are_refused():
    with pytest.raises(InputError, match=r"^a map of 2 columns cannot tell 3 images apart: give it more cells$"):
        of_widths(5, 5, 5).columns(2)


def test_images_of_one_height_keep_their_pixels():
    canvas = Canvas(((60, 80), (60, 25)))
    assert canvas.size == (60, 105)
    assert canvas.widths == (80, 25)
    assert Canvas(((48, 64),)).size == (48, 64)


@given(sizes=st.lists(st.tuples(st.integers(1, 3000), st.integers(1, 3000)), min_size=1, max_size=8))
def test_a_canvas_is_no_larger_than_its_images(sizes):
    """A thin image next to a tall one is not blown up to the tall one's height."""
    canvas = Canvas(tuple(sizes))
    height, width = canvas.size
    assert [place.stop - place.start for place in canvas.places] == list(canvas.widths)
    assert width == canvas.places[-1].stop
    assert height * width <= 1.5 * sum(rows * across for rows, across in sizes) + 2 * width + 2 * height * len(sizes)


def test_resizing_mixes_within_images_only():
    """0 in the first image, 1 in the second: whatever the size, nothing between."""
    values = torch.tensor([[0.0, 0, 0, 1, 1]])
    larger = TWO.resize(values, (4, 50), mode="bilinear", align_corners=False)
    assert larger.shape == (4, 50)
    torch.testing.assert_close(larger, torch.cat([torch.zeros(4, 30), torch.ones(4, 20)], dim=1), atol=1e-6, rtol=0)
    smaller = TWO.resize(larger, (1, 5), mode="bilinear", align_corners=False, antialias=True)
    torch.testing.assert_close(smaller, values, atol=1e-6, rtol=0)


def test_each_image_is_treated_by_itself():
    values = torch.arange(10.0).reshape(2, 5)
    sums = TWO.each(lambda part: part.sum().expand(part.shape), values)
    assert sums[0].tolist() == [21, 21, 21, 24, 24]  # 0 + 1 + 2 + 5 + 6 + 7, and 3 + 4 + 8 + 9
    assert [part.shape[1] for part in TWO.split(values)] == [3, 2]


def test_the_last_column_of_one_image_is_no_neighbor_of_the_first_of_the_next():
    assert TWO.same_image(5).tolist() == [True, True, False, True]
    assert of_widths(40).same_image(3).tolist() == [True, True]


def test_smoothing_stays_within_each_image():
    values = torch.tensor([[0.0, 0, 0, 1, 0]])
    smooth = TWO.smooth(values, 1.0)
    assert smooth.dtype == torch.float64
    assert smooth[0, :3].tolist() == [0, 0, 0]
    assert float(smooth.sum()) == pytest.approx(1)  # a step in the middle, smoothed alike on both sides
