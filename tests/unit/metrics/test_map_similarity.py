"""Likeness of maps against closed forms, brute force and planted moves."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import wasserstein_distance

from wherelook.metrics import earth_movers_distance, rank_correlation, top_overlap


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def cell(row: int, column: int, size=(8, 8)) -> torch.Tensor:
    saliency = torch.zeros(size)
    saliency[row, column] = 0.6
    return saliency


def test_rank_correlation_sees_order_alone():
    values = torch.arange(784.0).reshape(28, 28)
    assert rank_correlation(values, values**3) == pytest.approx(1)
    assert rank_correlation(values, -values) == pytest.approx(-1)


def test_rank_correlation_of_unrelated_maps_is_near_zero():
    first, second = torch.rand(2, 28, 28, generator=torch.Generator().manual_seed(0))
    assert abs(rank_correlation(first, second)) < 0.1


def test_rank_correlation_of_a_known_order():
    """Spearman: 1 - 6 sum d^2 / (n (n^2 - 1)), here with d = (0, 1, -1, 0)."""
    first, second = torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.tensor([[1.0, 3.0], [2.0, 4.0]])
    assert rank_correlation(first, second, grid=(2, 2)) == pytest.approx(1 - 6 * 2 / (4 * 15))


def test_maps_of_different_resolution_are_compared_on_one_grid():
    fine = torch.arange(56.0).repeat(56, 1)
    assert rank_correlation(fine, torch.arange(14.0).repeat(14, 1)) > 0.99


def test_a_flat_map_correlates_with_nothing():
    assert rank_correlation(torch.zeros(28, 28), torch.arange(784.0).reshape(28, 28)) is None


# ---- overlap of the top area ----


def test_overlap_of_areas_that_share_a_known_part():
    """Two areas of 28 cells (of 784) that share 14: 14 / 42."""
    first, second = torch.zeros(28, 28), torch.zeros(28, 28)
    first[3, :], second[3, :14], second[9, :14] = 1, 1, 1
    assert top_overlap(first, second, share=28 / 784) == pytest.approx(1 / 3)
    assert top_overlap(first, first**2, share=28 / 784) == pytest.approx(1)
    assert top_overlap(first, first.flip(0), share=28 / 784) == 0


def test_cells_that_tie_share_the_last_places():
    """A quarter of 8 cells is two: the largest, and the fourth part of four that tie."""
    first = torch.tensor([[9.0, 5, 5, 5], [5, 0, 0, 0]])
    assert top_overlap(first, first.flip(1), share=0.25, grid=(2, 4)) == pytest.approx(
        # Row 1 of both: (1, 1/4, 1/4, 1/4) and (1/4, 1/4, 1/4, 1); row 2: (1/4, 0, 0, 0) and (0, 0, 0, 1/4).
        (4 * 0.25) / (1 + 0.25 + 0.25 + 1 + 0.25 + 0.25)
    )


def test_overlap_by_chance():
    values = [top_overlap(*torch.rand(2, 28, 28, generator=seeded(seed))) for seed in range(100)]
    assert np.mean(values) == pytest.approx(0.1 / 1.9, abs=0.005)


def test_overlap_sees_order_alone_and_no_flat_map():
    first, second = torch.rand(2, 28, 28, generator=seeded(1))
    assert top_overlap(first, second) == top_overlap(first**3, second) == top_overlap(second, first)
    assert top_overlap(first, torch.full((5, 5), 0.2)) is None


# ---- earth mover's distance ----


def test_the_distance_of_two_points_is_their_distance():
    """3 cells down and 4 across on an 8 x 8 grid of a square image: 5 cells of a diagonal of 8 sqrt(2)."""
    assert earth_movers_distance(cell(1, 1), cell(4, 5)) == pytest.approx(5 / (8 * 2**0.5))
    assert earth_movers_distance(cell(0, 0), cell(7, 7)) == pytest.approx(7 / 8)


def test_the_shape_of_the_image_counts():
    """8 cells of 10 x 30 pixels: 3 down are 30 pixels, 4 across 120; the diagonal is that of 80 x 240."""
    distance = earth_movers_distance(cell(1, 1), cell(4, 5), image_size=(80, 240))
    assert distance == pytest.approx(np.hypot(30, 120) / np.hypot(80, 240))


def test_what_both_maps_share_stays():
    both = cell(0, 0) + cell(7, 7)
    assert earth_movers_distance(both, cell(0, 0)) == pytest.approx(0.5 * 7 / 8)
    assert earth_movers_distance(both, 3 * both) == 0


def test_maps_of_other_resolution_are_the_same_map():
    saliency = torch.rand(8, 8, generator=seeded(0))
    finer = saliency.repeat_interleave(4, 0).repeat_interleave(3, 1)
    assert earth_movers_distance(saliency, finer) == pytest.approx(0, abs=1e-9)
    other = torch.rand(7, 13, generator=seeded(1))  # cells that lie on the grid's lines
    assert earth_movers_distance(saliency, other) == pytest.approx(earth_movers_distance(finer, other), abs=1e-9)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 999))
def test_along_a_line_it_is_the_distance_of_the_cumulated_maps(seed):
    first, second = torch.rand(2, 1, 12, generator=seeded(seed)).double()
    places = np.arange(12)
    expected = wasserstein_distance(places, places, first[0].numpy(), second[0].numpy())
    found = earth_movers_distance(first, second, grid=(1, 12), image_size=(9, 12))
    assert found == pytest.approx(expected / 15, abs=1e-7)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 999))
def test_equal_masses_are_matched_as_the_best_of_all_ways(seed):
    """Four cells each of the same mass: the optimum is one of the 24 ways to pair them."""
    order = torch.randperm(16, generator=seeded(seed)).numpy()
    ours, theirs = order[:4], order[4:8]
    places = np.stack(np.divmod(np.arange(16), 4), axis=1)
    expected = min(
        sum(np.linalg.norm(places[a] - places[b]) for a, b in zip(ours, way, strict=True))
        for way in itertools.permutations(theirs)
    )
    first, second = torch.zeros(2, 16)
    first[ours], second[theirs] = 0.3, 0.9
    found = earth_movers_distance(first.reshape(4, 4), second.reshape(4, 4), grid=(4, 4))
    assert found == pytest.approx(expected / 4 / (4 * 2**0.5), abs=1e-7)


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 999))
def test_it_is_a_distance(seed):
    a, b, c = torch.rand(3, 8, 8, generator=seeded(seed))
    there, back = earth_movers_distance(a, b), earth_movers_distance(b, a)
    assert there == pytest.approx(back, abs=1e-7)
    assert 0 <= there < 1
    assert there <= earth_movers_distance(a, c) + earth_movers_distance(c, b) + 1e-7


def test_a_map_of_zeros_is_at_no_distance():
    assert earth_movers_distance(torch.zeros(8, 8), cell(1, 1)) is None
    assert earth_movers_distance(cell(1, 1), torch.zeros(3, 3)) is None
