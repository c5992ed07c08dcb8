"""Rank correlation and compactness against closed forms."""

from __future__ import annotations

import pytest
import torch

from wherelook.metrics import compactness, rank_correlation


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
