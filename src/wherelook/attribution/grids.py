"""What maps of several methods share: their scale, what is measured of them, and regions, the units of a search."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional

from wherelook.canvas import Canvas, Size, map_size
from wherelook.errors import InputError
from wherelook.score import AnswerScore

RegionKind = Literal["superpixels", "cells"]

SUPERPIXEL_SIZE = 224
"""Longer side of the image on which superpixels are found, in pixels: finer than models see, and quick."""

CELL_MAP_SIZE = 28
"""Least longer side of a map of cells, in cells or parts of them. Masks are interpolated between their cells' centers:
large cells are given in parts, or most of each would be half shown."""


def to_saliency(values: Float[Tensor, "height width"]) -> Float[Tensor, "height width"]:
    """The positive part, scaled so that its largest value is 1, float32 on the CPU. Without a positive value: zeros."""
    positive = values.detach().to("cpu").float().clamp_min(0)
    top = positive.max()
    return positive / top if top > 0 else positive


def first_places(saliency: Float[Tensor, "height width"], area: float) -> Bool[Tensor, "height width"]:
    """The most salient cells of a map on the CPU: this share of all cells, or all that are positive if these are fewer.

    Where the map is zero no place comes before another.
    """
    count = min(round(area * saliency.numel()), int((saliency > 0).sum()))
    first = torch.zeros(saliency.numel(), dtype=torch.bool)
    first[saliency.flatten().argsort(descending=True, stable=True)[:count]] = True
    return first.reshape(saliency.shape)


def share_of_gap(score: AnswerScore, totals: Float[Tensor, "*masks"]) -> Float[Tensor, "*masks"]:
    """(F - F(B)) / (F(I) - F(B)), clamped to [0, 1]: what is there of the score gap.

    Args:
        score: whose ends are meant.
        totals: F, summed log-probabilities of the selected tokens.

    Raises:
        InputError: the image's score is not above the baseline's.
    """
    original, baseline = score.original.sum().cpu(), score.baseline.sum().cpu()
    if not original > baseline:
        raise InputError("the answer is not less likely with the baseline image: there are no shares of the score gap")
    return ((totals.detach().cpu() - baseline) / (original - baseline)).clamp(0, 1)


def region_labels(
    image: Float[Tensor, "3 height width"], kind: RegionKind, count: int, canvas: Canvas
) -> Int[Tensor, "rows columns"]:
    """The region of each place of the image.

    Args:
        image: RGB in [0, 1].
        kind: "superpixels" (at most `count`, following the image's edges) or "cells" (square cells, about `count`).
        count: how many, at least 1.
        canvas: the explained image, whose size gives the cells their shape. Each of several images has an equal part
            of the regions, at least one.

    Returns:
        Labels 0 .. regions - 1 on the CPU, each of them used, at the resolution of the map.
    """
    if len(canvas) == 1:
        return superpixels(image, count) if kind == "superpixels" else cells(map_size(count**0.5, canvas.size))
    share = max(1, count // len(canvas))
    own = [
        region_labels(part, kind, share, Canvas(((canvas.size[0], place.stop - place.start),)))
        for part, place in zip(canvas.split(image), canvas.places, strict=True)
    ]
    return _side_by_side(own, canvas)


def _side_by_side(own: Sequence[Int[Tensor, "_ _"]], canvas: Canvas) -> Int[Tensor, "rows columns"]:
    """The labels of each image's regions, counted on from image to image, on one map."""
    size = max(len(labels) for labels in own), sum(labels.shape[1] for labels in own)
    placed, first = [], 0
    for labels, part in zip(own, canvas.columns(size[1]), strict=True):
        shape = (size[0], part.stop - part.start)
        enlarged = functional.interpolate(labels[None, None].float(), size=shape, mode="nearest-exact")[0, 0]
        placed.append(enlarged.long() + first)
        first += int(labels.max()) + 1
    together = torch.cat(placed, dim=1)
    # A region thinner than a cell may have been lost.
    result: Int[Tensor, "rows columns"] = torch.unique(together, return_inverse=True)[1]
    return result


def cells(grid: Size) -> Int[Tensor, "rows columns"]:
    """Labels of a grid of (rows, columns) in reading order, every cell divided into as many parts as it takes."""
    parts = -(-CELL_MAP_SIZE // max(grid))
    labels = torch.arange(grid[0] * grid[1]).reshape(grid)
    return labels.repeat_interleave(parts, dim=0).repeat_interleave(parts, dim=1)


def superpixels(image: Float[Tensor, "3 height width"], count: int) -> Int[Tensor, "rows columns"]:
    """At most `count` superpixels: SLIC with a compactness that adapts to each of them.

    Source: Achanta et al. 2012, "SLIC superpixels compared to state-of-the-art superpixel methods" (SLICO).

    Args:
        image: RGB in [0, 1].
        count: how many at most. SLIC starts from a regular grid, so that a square image has a square number of them.

    Returns:
        Labels on the CPU; the longer side of the map is that of the image, at most `SUPERPIXEL_SIZE`.
    """
    from skimage.segmentation import slic  # takes a second

    height, width = image.shape[1:]
    shrink = min(1.0, SUPERPIXEL_SIZE / max(height, width))
    size = max(1, round(height * shrink)), max(1, round(width * shrink))
    small = functional.interpolate(
        image[None].cpu().float(), size=size, mode="bilinear", align_corners=False, antialias=True
    )[0]
    pixels = small.permute(1, 2, 0).clamp(0, 1).double().numpy()
    labels = np.zeros(size, dtype=np.int64)
    # SLIC takes the number as a wish and may give more; the cost of a search is promised from it.
    for wish in range(count, 1, -1):
        found = slic(pixels, n_segments=wish, slic_zero=True, start_label=0, channel_axis=-1)
        if found.max() < count:
            labels = found
            break
    return torch.from_numpy(labels.astype(np.int64))
