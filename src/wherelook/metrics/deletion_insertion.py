"""Deletion and insertion: replaying a map on the model.

Cells of a fixed grid are ordered from most to least salient. Deletion replaces them by the baseline step by step,
insertion reveals them on the baseline; the score of every step gives a curve, its area the figure. Lower is better for
deletion, higher for insertion (Petsiuk et al. 2018, arXiv 1806.07421; the paper, section 4).

The score of an image is the geometric mean of the probabilities of the selected tokens: exp of the mean of what the
optimizer works on. (The published code optimizes log-probabilities and scores the arithmetic mean of probabilities.)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor

from wherelook.arguments import STEPS
from wherelook.canvas import Canvas, Size, map_size
from wherelook.score import AnswerScore

GRID_CELLS = 28
MINIMUM_GAP = 0.05
"""Original minus baseline score below which a normalized area says nothing: dividing by it would explode."""


@dataclass(frozen=True)
class Replay:
    """A map replayed with one baseline.

    Attributes:
        fractions: (steps + 1,) share of the area deleted or inserted, 0 to 1.
        deletion_curve, insertion_curve: (steps + 1,) geometric mean probability in [0, 1].
        deletion, insertion: areas under them, in [0, 1].
        deletion_normalized, insertion_normalized: the areas of (s - s_baseline) / (s_original - s_baseline), each
            point clipped to [0, 1]; None ("guarded") where the score gap is below `MINIMUM_GAP`.
        drops: (steps + 1, tokens) nats of log-likelihood that each token loses at every point of the deletion.
    """

    fractions: NDArray[np.float64]
    deletion_curve: NDArray[np.float64]
    insertion_curve: NDArray[np.float64]
    deletion: float
    insertion: float
    deletion_normalized: float | None
    insertion_normalized: float | None
    drops: NDArray[np.float64]


def replay_grid(image_size: Size, cells: int = GRID_CELLS) -> Size:
    """Rows and columns of the replay grid: about cells x cells square cells over an image of (height, width)."""
    return map_size(cells, image_size)


def replay(
    score: AnswerScore,
    saliency: Float[Tensor, "height width"],
    *,
    steps: int = STEPS,
    cells: int = GRID_CELLS,
    regions: Int[np.ndarray, "rows columns"] | None = None,
) -> Replay:
    """Deletion and insertion of a map, at 2 * (steps - 1) forward passes.

    Args:
        score: the score function; its baseline is the replay's.
        saliency: any resolution; averaged or interpolated to the replay grid, which is the same for every method.
        steps: points of the curve after the first; with regions at most as many as there are regions.
        cells: side of the replay grid for a square image.
        regions: label of every cell of another grid, such as superpixels; a region then goes as a whole, in the order
            of mean saliency, and `cells` has no meaning.
    """
    if regions is None:
        grid = replay_grid(score.canvas.size, cells)
        order = removal_order(saliency, grid, score.canvas)
        counts = np.rint(np.linspace(0, grid[0] * grid[1], steps + 1)).astype(int)
    else:
        grid = (regions.shape[0], regions.shape[1])
        order, counts = _region_order(saliency, regions, steps, score.canvas)
    removed = torch.stack([_first(order, count, grid) for count in counts[1:-1].tolist()])
    # Both ends of both curves are the untouched image and the bare baseline, whose scores are known.
    scored = score(torch.cat([1 - removed, removed]))
    values = _probability(scored)
    original, base = _probability(score.original[None])[0], _probability(score.baseline[None])[0]
    deletion_curve = np.concatenate([[original], values[: len(removed)], [base]])
    insertion_curve = np.concatenate([[base], values[len(removed) :], [original]])
    fractions = counts / len(order)
    return Replay(
        fractions=fractions,
        deletion_curve=deletion_curve,
        insertion_curve=insertion_curve,
        deletion=area(fractions, deletion_curve),
        insertion=area(fractions, insertion_curve),
        deletion_normalized=_normalized(fractions, deletion_curve, original, base),
        insertion_normalized=_normalized(fractions, insertion_curve, original, base),
        drops=_drops(score, scored[: len(removed)]),
    )


def top_area(saliency: Float[Tensor, "height width"], canvas: Canvas, share: float) -> Float[Tensor, "rows columns"]:
    """1 on the most salient `share` of the replay grid's cells, 0 elsewhere."""
    grid = replay_grid(canvas.size)
    return _first(removal_order(saliency, grid, canvas), round(share * grid[0] * grid[1]), grid)


def _first(order: Tensor, count: int, grid: Size) -> Tensor:
    """(rows, columns): 1 on the first `count` cells of an order."""
    mask = torch.zeros(grid[0] * grid[1], dtype=torch.float32)
    mask[order[:count]] = 1.0
    return mask.reshape(grid)


def _region_order(
    saliency: Tensor, regions: Int[np.ndarray, "rows columns"], steps: int, canvas: Canvas
) -> tuple[Tensor, NDArray[np.int64]]:
    """Cells region by region, most salient region first, and the counts of cells at which the curve is read."""
    size = (regions.shape[0], regions.shape[1])
    values = _resize(saliency, size, canvas).numpy().ravel()
    _, labels, areas = np.unique(regions.ravel(), return_inverse=True, return_counts=True)
    means = np.bincount(labels, weights=values) / areas
    ranking = np.argsort(-means, kind="stable")
    rank = np.empty_like(ranking)
    rank[ranking] = np.arange(len(ranking))
    order = torch.from_numpy(np.argsort(rank[labels], kind="stable"))
    reads = np.unique(np.rint(np.linspace(0, len(areas), steps + 1)).astype(int))
    return order, np.concatenate([[0], np.cumsum(areas[ranking])])[reads]


def removal_order(saliency: Float[Tensor, "height width"], grid: Size, canvas: Canvas) -> Tensor:
    """Cell indices from most to least salient on a grid of (rows, columns); ties in reading order."""
    return torch.argsort(_resize(saliency, grid, canvas).flatten(), descending=True, stable=True)


def _resize(saliency: Tensor, size: Size, canvas: Canvas) -> Tensor:
    return canvas.resize(saliency.float(), size, mode="bilinear", align_corners=False, antialias=True)


def area(fractions: NDArray[np.float64], curve: NDArray[np.float64]) -> float:
    """Exact area under the piecewise linear curve through the points (trapezoids)."""
    return float(np.sum(np.diff(fractions) * (curve[1:] + curve[:-1]) / 2))


def _probability(log_probabilities: Tensor) -> NDArray[np.float64]:
    return log_probabilities.cpu().double().mean(dim=-1).exp().numpy()


def _drops(score: AnswerScore, deleted: Tensor) -> NDArray[np.float64]:
    """What each token loses when nothing, more and more, and all is deleted."""
    path = torch.cat([score.original[None], deleted, score.baseline[None]]).cpu().double()
    return (path[:1] - path).numpy()


def _normalized(
    fractions: NDArray[np.float64], curve: NDArray[np.float64], original: float, base: float
) -> float | None:
    if original - base < MINIMUM_GAP:
        return None
    return area(fractions, np.clip((curve - base) / (original - base), 0, 1))
