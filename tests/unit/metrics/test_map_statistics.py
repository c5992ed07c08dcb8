"""Spread, center and border of maps whose figures are known in closed form."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from wherelook.metrics import border_mass, center_mass, center_of_mass, compactness, effective_area
from wherelook.metrics.map_statistics import gini

FLAT = torch.ones(7, 12)


def block(rows: slice, columns: slice, *, size=(16, 16)) -> torch.Tensor:
    saliency = torch.zeros(size)
    saliency[rows, columns] = 0.7
    return saliency


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([[1.0, 1.0], [1.0, 1.0]], 0.5),
        ([[1.0, 0.0], [0.0, 0.0]], 0.25),
        ([[3.0, 2.0], [1.0, 0.0]], 0.25),
        ([[2.0, 2.0], [2.0, 1.0]], 0.5),
    ],
)
def test_compactness_is_the_smallest_area_with_half_the_map(values, expected):
    assert compactness(torch.tensor(values)) == expected


def test_compactness_of_nothing_is_nothing():
    assert compactness(torch.zeros(3, 3)) is None


def test_effective_area_of_a_flat_region_is_its_share_at_any_resolution():
    assert effective_area(FLAT) == pytest.approx(1)
    region = block(slice(2, 6), slice(8, 12))
    assert effective_area(region) == pytest.approx(16 / 256)
    assert effective_area(region.repeat_interleave(3, 0).repeat_interleave(2, 1)) == pytest.approx(16 / 256)


def test_effective_area_of_two_values_by_hand():
    """Shares 1/2, 1/4, 1/4: H = 3/2 ln 2, so that exp(H) = 2^1.5 of four cells."""
    assert effective_area(torch.tensor([[2.0, 1.0], [1.0, 0.0]])) == pytest.approx(2**1.5 / 4)


@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 99))
def test_no_map_is_spread_over_less_than_a_cell_or_more_than_the_image(rows, columns, seed):
    saliency = torch.rand(rows, columns, generator=torch.Generator().manual_seed(seed))
    assert 1 / saliency.numel() - 1e-12 <= effective_area(saliency) <= 1 + 1e-12
    inner, border = center_mass(saliency), border_mass(saliency)
    assert 0 <= inner <= 1
    assert 0 <= border <= 1 - inner + 1e-12  # the center is not on the border


def test_the_center_of_mass_is_in_pixels_of_the_image():
    assert center_of_mass(FLAT, (30, 50)) == pytest.approx((25, 15))
    saliency = torch.zeros(4, 5)
    saliency[1, 4], saliency[3, 0] = 3.0, 1.0  # (90, 15) and (10, 35) on 40 x 100
    assert center_of_mass(saliency, (40, 100)) == pytest.approx((0.75 * 90 + 0.25 * 10, 0.75 * 15 + 0.25 * 35))


@pytest.mark.parametrize("size", [(1, 1), (3, 5), (7, 12), (32, 32)])
def test_center_and_border_of_a_flat_map_are_their_areas(size):
    """Whatever lines the cells fall on."""
    assert center_mass(torch.ones(size)) == pytest.approx(0.25)
    assert border_mass(torch.ones(size)) == pytest.approx(0.4375)


@pytest.mark.parametrize(
    ("rows", "columns", "center", "border"),
    [
        (slice(4, 12), slice(4, 12), 1.0, 0.0),
        (slice(7, 9), slice(2, 14), 8 / 12, 0.0),
        (slice(0, 2), slice(0, 16), 0.0, 1.0),
        (slice(1, 3), slice(8, 9), 0.0, 0.5),
    ],
)
def test_center_and_border_of_planted_blocks(rows, columns, center, border):
    assert center_mass(block(rows, columns)) == pytest.approx(center)
    assert border_mass(block(rows, columns)) == pytest.approx(border)


def test_a_map_of_zeros_has_no_figures():
    nothing = torch.zeros(5, 5)
    assert [measure(nothing) for measure in (effective_area, center_mass, border_mass)] == [None] * 3
    assert center_of_mass(nothing, (10, 10)) is None


def test_the_map_is_not_changed():
    saliency = torch.linspace(-1, 1, 12).reshape(3, 4)
    before = saliency.clone()
    center_of_mass(saliency, (6, 8)), border_mass(saliency), effective_area(saliency)
    assert np.array_equal(saliency, before)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([[1.0, 1.0], [1.0, 1.0]], 0.0),
        ([[0.0, 0.0], [0.0, 1.0]], 0.75),
        ([[0.0, 1.0], [1.0, 0.0]], 0.5),
        ([[1.0, 2.0], [3.0, 4.0]], 0.25),  # half the mean difference over the mean: 1.25 / 2 / 2.5
    ],
)
def test_the_gini_index_by_hand(values, expected):
    assert gini(torch.tensor(values)) == pytest.approx(expected)


@given(values=st.lists(st.floats(0, 1, width=32), min_size=1, max_size=12).filter(any))
def test_the_gini_index_is_half_the_relative_mean_difference(values):
    cells = np.array(values, np.float64)
    difference = np.abs(cells[:, None] - cells[None]).mean()
    assert gini(torch.tensor([values])) == pytest.approx(difference / 2 / cells.mean(), abs=1e-9)


def test_the_gini_index_of_nothing_is_nothing():
    assert gini(torch.zeros(3, 3)) is None
