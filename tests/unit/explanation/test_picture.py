from __future__ import annotations

import time
import tracemalloc

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional

from wherelook.explanation import picture


def bump(row: int, column: int, cells: int = 28) -> np.ndarray:
    rows, columns = np.mgrid[:cells, :cells]
    return np.clip(1 - np.hypot(rows - row, columns - column) / 5, 0, 1).astype(np.float32)


def photo(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (height, width, 3), dtype=np.uint8)


def upsampled(saliency: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    values = torch.from_numpy(saliency)[None, None]
    return functional.interpolate(values, size=size, mode="bilinear", align_corners=False)[0, 0].numpy()


@pytest.mark.parametrize("size", [(1, 1), (5, 3), (3, 5), (1, 400), (47, 200), (300, 90), (224, 224)])
@pytest.mark.parametrize("meaningful", [True, False])
def test_pictures_have_the_images_size_and_leave_it_alone(size, meaningful):
    pixels = photo(*size)
    before = pixels.copy()
    for shown in (
        picture.overlay(pixels, bump(7, 21), meaningful=meaningful),
        picture.heatmap(bump(7, 21), size, meaningful=meaningful),
    ):
        assert (shown.height, shown.width, shown.mode) == (*size, "RGB")
    assert np.array_equal(pixels, before)


def test_interpolation_is_bilinear_as_in_the_metrics():
    saliency = np.random.default_rng(0).random((28, 20)).astype(np.float32)
    values = np.concatenate([strip.values for strip in picture._strips(saliency, (150, 331))])
    assert np.allclose(values, upsampled(saliency, (150, 331)), atol=1e-5)


def test_strips_join_without_a_seam(monkeypatch):
    pixels, saliency = photo(130, 170), bump(12, 12)
    whole = picture.overlay(pixels, saliency)
    whole_gray = picture.overlay(pixels, saliency, meaningful=False)
    monkeypatch.setattr(picture, "STRIP_PIXELS", 1000)
    assert picture.overlay(pixels, saliency) == whole
    assert picture.overlay(pixels, saliency, meaningful=False) == whole_gray


@pytest.mark.parametrize("size", [(60, 60), (224, 300), (700, 500)])
def test_overlay_keeps_the_image_where_saliency_is_low(size):
    pixels, saliency = photo(*size), bump(7, 21)
    shown = np.asarray(picture.overlay(pixels, saliency, opacity=1.0))
    low = upsampled(saliency, size) <= picture.TRANSPARENT_BELOW - 1e-4
    assert 0.5 < low.mean() < 1
    assert np.array_equal(shown[low], pixels[low])


def test_overlay_colors_the_peak_and_only_there():
    pixels = np.full((252, 252, 3), 100, np.uint8)  # 9 pixels a cell: the middle one has the cell's value
    shown = np.asarray(picture.overlay(pixels, bump(7, 21), opacity=1.0)).astype(int)
    assert np.abs(shown[67, 193] - np.array(picture.COLOR_ANCHORS[-1])).max() == 0
    rows, columns = np.nonzero((shown != 100).any(axis=2))
    assert abs(rows.mean() - 67) < 1
    assert abs(columns.mean() - 193) < 1


def test_opacity_mixes_linearly_and_zero_is_the_image():
    pixels = np.full((40, 40, 3), 100, np.uint8)  # too small for the line
    full, half, none = (
        np.asarray(picture.overlay(pixels, bump(14, 14), opacity=opacity)).astype(float) for opacity in (1, 0.5, 0)
    )
    assert np.array_equal(none, pixels)
    assert np.abs(half - (full + pixels) / 2).max() <= 1
    large = photo(100, 100)
    assert np.array_equal(np.asarray(picture.overlay(large, bump(14, 14), opacity=0)), large)


def test_a_line_surrounds_half_the_maximum():
    pixels = np.full((560, 560, 3), 200, np.uint8)
    shown = np.asarray(picture.overlay(pixels, bump(14, 14), opacity=1.0)).astype(int)
    white = (shown > 230).all(axis=2)
    values = upsampled(bump(14, 14), (560, 560))[white]
    assert white.sum() > 100
    assert values.min() > 0.45
    assert values.max() < 0.55


def test_a_plateau_at_the_level_is_not_painted_over():
    saliency = np.full((28, 28), 0.5, np.float32)
    saliency[10:14, 10:14] = 1
    shown = np.asarray(picture.overlay(np.full((280, 280, 3), 9, np.uint8), saliency, opacity=1.0))
    assert (shown[200:] == picture._color_table()[128]).all(axis=2).mean() > 0.99


def test_zero_map_changes_nothing():
    pixels = photo(100, 80)
    assert np.array_equal(np.asarray(picture.overlay(pixels, np.zeros((28, 28), np.float32))), pixels)


def test_heatmap_is_ordered_by_lightness():
    table = picture._color_table().astype(float) / 255
    linear = np.where(table <= 0.04045, table / 12.92, ((table + 0.055) / 1.055) ** 2.4)
    luminance = linear @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(luminance) > 0).mean() > 0.98
    ramp = np.linspace(0, 1, 256, dtype=np.float32)[None]
    shown = np.asarray(picture.heatmap(ramp, (1, 256)))
    assert np.array_equal(shown[0], picture._color_table())


def test_layer_over_the_image_is_the_overlay_without_its_line():
    pixels, saliency = photo(45, 40), bump(10, 10)  # too small for the line
    layer = picture.layer(saliency, (45, 40)).convert("RGBA")
    shown = Image.alpha_composite(Image.fromarray(pixels).convert("RGBA"), layer).convert("RGB")
    expected = np.asarray(picture.overlay(pixels, saliency, opacity=1.0)).astype(int)
    assert np.abs(np.asarray(shown).astype(int) - expected).max() <= 3
    assert np.asarray(layer)[44, 39, 3] == 0


def test_contour_closes_around_the_peak_at_the_level():
    segments = picture.contour(bump(7, 21), 0.5)
    ends = [(round(x, 6), round(y, 6)) for segment in segments for x, y in segment]
    assert len(segments) > 8
    assert all(ends.count(end) == 2 for end in ends)  # a closed line: every end meets another
    middle = np.mean(ends, axis=0)
    assert np.allclose(middle, (21.5 / 28, 7.5 / 28), atol=0.01)
    assert picture.contour(np.zeros((4, 4), np.float32), 0.5) == []


def is_gray(image: Image.Image) -> bool:
    channels = np.asarray(image).astype(int)
    return bool((np.ptp(channels, axis=2) <= 6).all())


@pytest.mark.parametrize("size", [(12, 12), (64, 100), (112, 112), (400, 300)])
def test_without_meaning_there_is_no_color_and_no_trace_of_the_map(size):
    pixels = photo(*size)
    first = picture.overlay(pixels, bump(7, 21), meaningful=False)
    assert is_gray(first)
    assert is_gray(picture.heatmap(bump(7, 21), size, meaningful=False))
    assert first == picture.overlay(pixels, bump(20, 3), meaningful=False)
    assert np.abs(np.asarray(first).astype(int) - pixels).mean() > 30


@pytest.mark.parametrize(
    ("size", "labeled"), [((5, 3), False), ((40, 30), False), ((64, 100), True), ((112, 112), True)]
)
def test_label_is_written_where_it_fits(size, labeled):
    shown = np.asarray(picture.heatmap(np.zeros((2, 2)), size, meaningful=False))
    plate = (shown < 60).all(axis=2)
    assert plate.any() == labeled
    if labeled:
        assert (shown[plate.any(axis=1)] > 200).any()
        rows = np.flatnonzero(plate.any(axis=1))
        assert rows[0] > 0
        assert rows[-1] < size[0] - 1


def test_large_image_is_fast_and_bounded():
    pixels = np.zeros((3000, 4000, 3), np.uint8)
    tracemalloc.start()
    started = time.perf_counter()
    try:
        picture.overlay(pixels, bump(7, 21))
        picture.overlay(pixels, bump(7, 21), meaningful=False)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert time.perf_counter() - started < 30  # some two seconds; machines that run tests are busy
    assert peak < 4 * pixels.nbytes
