"""Several images side by side: columns dealt whole, nothing over a border."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from toy import ToyScore, constant
from wherelook.canvas import columns, each_image, resize, same_image, sheet_size, sheet_widths, split, widths_of
from wherelook.errors import InputError

WIDTHS = st.lists(st.integers(1, 4000), min_size=2, max_size=12)


@given(widths=WIDTHS, more=st.integers(0, 200))
def test_columns_are_dealt_whole_in_order_and_in_proportion(widths, more):
    count = len(widths) + more
    parts = columns(count, widths)
    assert [part.start for part in parts] == [0, *(part.stop for part in parts[:-1])]
    assert parts[-1].stop == count
    assert all(part.stop > part.start for part in parts)
    if count >= 2 * sum(widths) / min(widths):  # no image's share is below two columns: rounding is all that moves
        for part, width in zip(parts, widths, strict=True):
            assert abs(part.stop - part.start - count * width / sum(widths)) <= 1


def test_an_image_has_the_columns_of_its_own_pixels():
    assert columns(178, (127, 51)) == (slice(0, 127), slice(127, 178))
    assert columns(9, (300, 100, 500)) == (slice(0, 3), slice(3, 4), slice(4, 9))
    assert columns(3, (1, 10**6, 1)) == (slice(0, 1), slice(1, 2), slice(2, 3))


@pytest.mark.parametrize("widths", [(), (40,)])
def test_one_image_has_all_columns(widths):
    assert columns(7, widths) == (slice(0, 7),)


def test_fewer_columns_than_images_are_refused():
    with pytest.raises(InputError, match=r"^a map of 2 columns cannot tell 3 images apart: give it more cells$"):
        columns(2, (5, 5, 5))


def test_images_of_one_height_keep_their_pixels():
    assert sheet_size([(60, 80), (60, 25)]) == (60, 105)
    assert sheet_widths([(60, 80), (60, 25)]) == (80, 25)
    assert sheet_size([(48, 64)]) == (48, 64)


@given(sizes=st.lists(st.tuples(st.integers(1, 3000), st.integers(1, 3000)), min_size=1, max_size=8))
def test_a_sheet_is_no_larger_than_its_images(sizes):
    """A thin image next to a tall one is not blown up to the tall one's height."""
    height, width = sheet_size(sizes)
    assert width == sum(sheet_widths(sizes))
    assert height * width <= 1.5 * sum(rows * across for rows, across in sizes) + 2 * width + 2 * height * len(sizes)


def test_resizing_mixes_within_images_only():
    """0 in the first image, 1 in the second: whatever the size, nothing between."""
    values = torch.tensor([[0.0, 0, 0, 1, 1]])
    larger = resize(values, (4, 50), (60, 40), mode="bilinear", align_corners=False)
    assert larger.shape == (4, 50)
    torch.testing.assert_close(larger, torch.cat([torch.zeros(4, 30), torch.ones(4, 20)], dim=1), atol=1e-6, rtol=0)
    smaller = resize(larger, (1, 5), (60, 40), mode="bilinear", align_corners=False, antialias=True)
    torch.testing.assert_close(smaller, values, atol=1e-6, rtol=0)


def test_each_image_is_treated_by_itself():
    values = torch.arange(10.0).reshape(2, 5)
    sums = each_image(values, (30, 20), lambda part: part.sum().expand(part.shape))
    assert sums[0].tolist() == [21, 21, 21, 24, 24]  # 0 + 1 + 2 + 5 + 6 + 7, and 3 + 4 + 8 + 9
    assert [part.shape[1] for part in split(values, (30, 20))] == [3, 2]


def test_the_last_column_of_one_image_is_no_neighbour_of_the_first_of_the_next():
    assert same_image(5, (30, 20)).tolist() == [True, True, False, True]
    assert same_image(3, ()).tolist() == [True, True]


def test_a_score_without_widths_has_one_image():
    score = ToyScore(constant)
    assert widths_of(score) == ()
    score.image_widths = (40, 24)
    assert widths_of(score) == (40, 24)
