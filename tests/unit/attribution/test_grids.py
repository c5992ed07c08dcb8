"""Regions cover the image, each once, and are never more than promised."""

from __future__ import annotations

import pytest
import torch
from scipy.ndimage import label

from wherelook.attribution.grids import cells, region_labels, superpixels
from wherelook.canvas import Canvas, map_size


def noise(height: int, width: int) -> torch.Tensor:
    return torch.rand(3, height, width, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("image_size", "count", "grid"),
    [((64, 64), 49, (7, 7)), ((100, 400), 64, (4, 16)), ((64, 64), 784, (28, 28)), ((1, 900), 9, (1, 90))],
)
def test_cells_are_square(image_size, count, grid):
    assert map_size(count**0.5, image_size) == grid


def test_cells_are_numbered_in_reading_order_and_divided():
    labels = cells((2, 3))
    assert labels.shape == (20, 30)
    assert torch.equal(labels[::10, ::10], torch.tensor([[0, 1, 2], [3, 4, 5]]))
    assert torch.equal(labels.unique(return_counts=True)[1], torch.full((6,), 100))


def test_cells_as_fine_as_the_map_are_not_divided():
    assert torch.equal(cells((28, 28)), torch.arange(784).reshape(28, 28))


@pytest.mark.parametrize("size", [(1, 1), (1, 50), (300, 7), (149, 224), (60, 90), (500, 400)])
@pytest.mark.parametrize("count", [1, 2, 6, 13, 64])
def test_superpixels_are_used_and_no_more_than_asked_for(size, count):
    for image in (noise(*size), torch.full((3, *size), 0.5)):
        labels = superpixels(image, count)
        assert max(labels.shape) == min(224, max(size))
        found = labels.unique()
        assert torch.equal(found, torch.arange(len(found)))
        assert len(found) <= count


@pytest.mark.parametrize("size", [(224, 224), (300, 200)])
def test_superpixels_are_about_as_many_as_asked_for_and_connected(size):
    labels = superpixels(noise(*size), 64)
    regions = int(labels.max()) + 1
    assert regions > 48
    assert all(label((labels == index).numpy())[1] == 1 for index in range(regions))


def test_superpixels_follow_edges():
    """A red disc on blue: no superpixel has more than a sliver of both."""
    rows, columns = torch.meshgrid(torch.arange(200.0), torch.arange(200.0), indexing="ij")
    inside = (rows - 90) ** 2 + (columns - 110) ** 2 < 45**2
    image = torch.stack([inside.float(), torch.zeros(200, 200), 1 - inside.float()])
    labels = superpixels(image, 64)
    shares = torch.stack([inside[labels == index].float().mean() for index in range(int(labels.max()) + 1)])
    sizes = labels.flatten().bincount()
    mixed = (torch.minimum(shares, 1 - shares) * sizes).sum() / labels.numel()
    grid = cells((8, 8))
    grid = grid.repeat_interleave(8, 0).repeat_interleave(8, 1)[:200, :200]
    grid_shares = torch.stack([inside[grid == index].float().nan_to_num().mean() for index in grid.unique()])
    grid_mixed = (torch.minimum(grid_shares, 1 - grid_shares) * grid.flatten().bincount()[grid.unique()]).sum() / 40000
    assert mixed < 0.25 * grid_mixed


def test_the_same_image_has_the_same_regions_and_is_not_changed():
    image = noise(80, 120)
    before = image.clone()
    first, second = (region_labels(image, "superpixels", 30, Canvas(((80, 120),))) for _ in range(2))
    assert torch.equal(first, second)
    assert torch.equal(image, before)
    assert torch.equal(region_labels(image, "cells", 9, Canvas(((40, 40),))), cells((3, 3)))
