"""Baseline images: the blur's table and its shortcut for large images, seeds, shapes, names."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter1d

from wherelook.baselines import BASELINES, OTHER_IMAGE, blur, blur_kernel, make_baseline, mean_color, noise, unseen
from wherelook.config import AUTO_BASELINES
from wherelook.errors import InputError


def picture(height: int, width: int) -> np.ndarray:
    """Coarse random blocks and fine noise: both survive or vanish under a blur as in a photograph."""
    rng = np.random.default_rng(7)
    blocks = np.kron(rng.integers(0, 256, (4, 5, 3)), np.ones((-(-height // 4), -(-width // 5), 1)))[:height, :width]
    return (0.8 * blocks + rng.integers(0, 52, (height, width, 3))).astype(np.uint8)


@pytest.mark.parametrize(
    ("side", "kernel"),
    [(1, 101), (499, 101), (500, 201), (799, 201), (800, 301), (1999, 301), (2000, 501), (9000, 501)],
)
def test_the_papers_table_for_square_images(side, kernel):
    assert blur_kernel(side, side) == kernel


@given(height=st.integers(1, 5000), width=st.integers(1, 5000))
def test_an_image_on_its_side_is_blurred_alike(height, width):
    assert blur_kernel(height, width) == blur_kernel(width, height)


@pytest.mark.parametrize("size", [(40, 90), (700, 900)])
def test_blur_treats_rows_and_columns_alike(size):
    image = picture(*size)
    turned = blur(np.ascontiguousarray(image.swapaxes(0, 1))).swapaxes(0, 1)
    assert np.abs(blur(image).astype(int) - turned).max() <= 1


@pytest.mark.parametrize("size", [(200, 333), (700, 900), (1100, 520)])
def test_blur_is_a_truncated_gaussian_of_the_papers_width(size):
    """Large images take a detour over a small one: the result may differ by what nobody sees."""
    image = picture(*size)
    kernel = blur_kernel(*size)
    exact = image.astype(np.float64)
    for axis in (0, 1):
        exact = gaussian_filter1d(exact, kernel - 1, axis=axis, radius=(kernel - 1) // 2, mode="reflect")
    difference = np.abs(blur(image) - exact)
    assert difference.mean() < 0.8
    assert difference.max() < 4
    assert np.ptp(exact) > 20  # or there would be nothing to compare


@given(height=st.integers(1, 12), width=st.integers(1, 12), level=st.integers(0, 255))
def test_a_plain_image_has_nothing_to_blur_or_average(height, width, level):
    plain = np.full((height, width, 3), (level, 255 - level, 40), np.uint8)
    np.testing.assert_array_equal(blur(plain), plain)
    np.testing.assert_array_equal(mean_color(plain), plain)


def test_a_large_plain_image_stays_plain():
    plain = np.full((600, 1300, 3), (3, 128, 250), np.uint8)
    np.testing.assert_array_equal(blur(plain), plain)


def test_mean_color_is_the_rounded_mean_of_each_channel():
    image = np.array([[[0, 10, 255], [1, 20, 255]], [[1, 30, 255], [1, 41, 0]]], np.uint8)
    np.testing.assert_array_equal(mean_color(image), np.broadcast_to([1, 25, 191], (2, 2, 3)))


def test_noise_is_its_seeds_and_fills_the_range():
    image = picture(50, 40)
    first = noise(image, 1)
    np.testing.assert_array_equal(first, noise(image, 1))
    assert (first != noise(image, 2)).mean() > 0.98
    assert abs(first.mean() - 127.5) < 5
    assert len(np.unique(first)) == 256


@pytest.mark.parametrize("name", BASELINES)
@pytest.mark.parametrize("size", [(1, 1), (1, 7), (60, 20), (300, 700)])
def test_every_baseline_is_a_new_image_of_the_same_size(name, size):
    image = picture(*size)
    image.setflags(write=False)
    before = image.copy()
    result = make_baseline(name, image, seed=3)
    assert result.shape == image.shape
    assert result.dtype == np.uint8
    assert not np.shares_memory(result, image)
    np.testing.assert_array_equal(image, before)


def test_every_map_is_replayed_with_another_baseline_than_its_own():
    for name in (*BASELINES, OTHER_IMAGE, "one of another package"):
        assert unseen(name) in BASELINES
        assert unseen(name) != name


def test_another_image_is_replayed_with_what_was_not_tried_before_it():
    """It is taken where those that are tried show no relevant word: a replay with one of them would be flat."""
    assert unseen(OTHER_IMAGE) not in AUTO_BASELINES


def test_an_unknown_name_lists_the_valid_ones():
    with pytest.raises(InputError, match="unknown baseline 'blurr'; valid: blur, mean, strong-blur, zeros, noise"):
        make_baseline("blurr", picture(4, 4))
