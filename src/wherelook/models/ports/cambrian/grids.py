"""Where an image lies in the square that it is padded to, and which cells of a feature map belong to one query."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor

from wherelook.canvas import Size


def content_box(size: Size, side: int) -> tuple[int, int, int, int]:
    """The cells (x0, y0, x1, y1) of a grid over the padded square that hold the image; the others hold padding.

    Rounded as the published models were trained: the short side's cells are counted downwards, and as many cells are
    cut at one end as at the other.

    Args:
        size: (height, width) of the image in pixels.
        side: rows (and columns) of the grid.
    """
    height, width = size
    cells = int(min(size) * (side / max(size)))
    padding = (side - cells) // 2
    return (0, padding, side, side - padding) if width > height else (padding, 0, side - padding, side)


def crop(
    grids: Shaped[Tensor, "images rows columns *_"], boxes: Sequence[tuple[int, int, int, int]]
) -> list[Shaped[Tensor, "_ _ *_"]]:
    """The cells (x0, y0, x1, y1) of each image's grid."""
    return [grid[top:bottom, left:right] for grid, (left, top, right, bottom) in zip(grids, boxes, strict=True)]


def cut_windows(
    features: Float[Tensor, "images side side channels"], grid: int
) -> Float[Tensor, "images {grid} {grid} keys channels"]:
    """The cells of a map that each of grid x grid queries attends to, row by row."""
    split = features.unflatten(2, (grid, -1)).unflatten(1, (grid, -1))
    result: Float[Tensor, "images {grid} {grid} keys channels"] = split.transpose(2, 3).flatten(3, 4)
    return result


def window_masks(sizes: Sequence[Size], side: int, grid: int) -> Bool[Tensor, "images {grid} {grid} keys"]:
    """True where a query may attend: at cells of the image, and everywhere in a window of nothing but padding.

    Args:
        sizes: (height, width) of each image in pixels.
        side: rows (and columns) of the feature map.
        grid: rows (and columns) of the queries.
    """
    content = torch.zeros(len(sizes), side, side, 1, dtype=torch.float32)
    for image, size in zip(content, sizes, strict=True):
        left, top, right, bottom = content_box(size, side)
        image[top:bottom, left:right] = 1.0
    open_cells = cut_windows(content, grid)[..., 0] > 0
    return open_cells | ~open_cells.any(dim=-1, keepdim=True)
