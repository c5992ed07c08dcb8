"""Deletion and insertion: replaying a map on the model.

Cells of a fixed grid are ordered from most to least salient. Deletion replaces them by the baseline step by step,
insertion reveals them on the baseline; the score of every step gives a curve, its area the figure. Lower is better for
deletion, higher for insertion (Petsiuk et al. 2018, arXiv 1806.07421; the paper, section 4).

The score of an image is the geometric mean of the probabilities of the selected tokens: exp of the mean of what the
optimiser works on. (The published code optimises log-probabilities and scores the arithmetic mean of probabilities.)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from wherelook.types import AnswerScore, Size

STEPS = 50
GRID_CELLS = 28
MINIMUM_GAP = 0.05
"""Original minus baseline score below which a normalised area says nothing: dividing by it would explode."""


@dataclass(frozen=True)
class Replay:
    """A map replayed with one baseline.

    Attributes:
        fractions: (steps + 1,) share of the area deleted or inserted, 0 to 1.
        deletion_curve, insertion_curve: (steps + 1,) geometric mean probability in [0, 1].
        deletion, insertion: areas under them, in [0, 1].
        deletion_normalized, insertion_normalized: the areas of (s - s_baseline) / (s_original - s_baseline), each
            point clipped to [0, 1]; None ("guarded") where the score gap is below `MINIMUM_GAP`.
    """

    fractions: NDArray[np.float64]
    deletion_curve: NDArray[np.float64]
    insertion_curve: NDArray[np.float64]
    deletion: float
    insertion: float
    deletion_normalized: float | None
    insertion_normalized: float | None


def replay_grid(image_size: Size, cells: int = GRID_CELLS) -> Size:
    """Rows and columns of the replay grid: about cells x cells square cells over an image of (height, width)."""
    height, width = image_size
    aspect = (height / width) ** 0.5
    return max(1, round(cells * aspect)), max(1, round(cells / aspect))


def replay(
    score: AnswerScore,
    saliency: Float[Tensor, "height width"],
    *,
    steps: int = STEPS,
    cells: int = GRID_CELLS,
) -> Replay:
    """Deletion and insertion of a map, at 2 * (steps - 1) forward passes.

    Args:
        score: the score function; its baseline is the replay's.
        saliency: any resolution; averaged or interpolated to the replay grid, which is the same for every method.
        steps: points of the curve after the first.
        cells: side of the replay grid for a square image.
    """
    rows, columns = replay_grid(score.image_size, cells)
    order = removal_order(saliency, (rows, columns))
    counts = np.rint(np.linspace(0, rows * columns, steps + 1)).astype(int)
    removed = torch.zeros(len(counts) - 2, rows * columns)
    for index, count in enumerate(counts[1:-1]):
        removed[index, order[:count]] = 1.0
    removed = removed.reshape(-1, rows, columns)
    # Both ends of both curves are the untouched image and the bare baseline, whose scores are known.
    values = _probability(score(torch.cat([1 - removed, removed])))
    original, base = _probability(score.original[None])[0], _probability(score.baseline[None])[0]
    deletion_curve = np.concatenate([[original], values[: len(removed)], [base]])
    insertion_curve = np.concatenate([[base], values[len(removed) :], [original]])
    fractions = counts / (rows * columns)
    return Replay(
        fractions,
        deletion_curve,
        insertion_curve,
        area(fractions, deletion_curve),
        area(fractions, insertion_curve),
        *(_normalized(fractions, curve, original, base) for curve in (deletion_curve, insertion_curve)),
    )


def removal_order(saliency: Float[Tensor, "height width"], grid: Size) -> Tensor:
    """Cell indices from most to least salient on a grid of (rows, columns); ties in reading order."""
    resized = functional.interpolate(
        saliency[None, None].float(), size=grid, mode="bilinear", align_corners=False, antialias=True
    )
    return torch.argsort(resized.flatten(), descending=True, stable=True)


def area(fractions: NDArray[np.float64], curve: NDArray[np.float64]) -> float:
    """Exact area under the piecewise linear curve through the points (trapezoids)."""
    return float(np.sum(np.diff(fractions) * (curve[1:] + curve[:-1]) / 2))


def _probability(log_probabilities: Tensor) -> NDArray[np.float64]:
    return log_probabilities.cpu().double().mean(dim=-1).exp().numpy()


def _normalized(
    fractions: NDArray[np.float64], curve: NDArray[np.float64], original: float, base: float
) -> float | None:
    if original - base < MINIMUM_GAP:
        return None
    return area(fractions, np.clip((curve - base) / (original - base), 0, 1))
