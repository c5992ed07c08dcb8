"""Checks the peaks of a map against the model: what each does when it is removed, and when it is shown alone.

A path of blends can put weight on a place that matters only while everything is half gone. Removing that place
from the untouched image then changes nothing, which two forward passes tell.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from torch import Tensor

from wherelook.attribution.grids import share_of_gap
from wherelook.score import AnswerScore

FLOOR = 0.1
"""Share of its saliency that a peak keeps when it does nothing alone: it may still matter together with another."""

TIE = 1e-6
"""Differences in saliency from here on are differences."""

CORE = 0.25
"""Cells of a peak's surroundings that count as the peak: at least this share of its height."""


def verify_peaks(
    score: AnswerScore, saliency: Float[Tensor, "height width"], *, peaks: int
) -> Float[Tensor, "height width"]:
    """The map with each of its highest peaks, and the slope around it, weighted by what the model says of it.

    The weight of a peak is FLOOR + (1 - FLOOR) * e, with e in [0, 1] the mean of the share of the score gap F(I) - F(B)
    that is lost when the peak is removed, and the share that is regained when it is shown alone. Slopes of lower peaks
    than the `peaks` highest get FLOOR.

    Args:
        score: the score function; 2 * `peaks` forward passes at most.
        saliency: the map, in [0, 1].
        peaks: how many are checked.
    """
    values = saliency.cpu().double().numpy()
    # On a plateau every cell would be a peak of its own: a wide Gaussian, too faint to move anything else, rounds it.
    basins = np.empty(values.shape, dtype=np.int64)
    for part in score.canvas.columns(values.shape[1]):
        own = values[:, part]
        tops = hill_basins(own + TIE * gaussian_filter(own, max(own.shape) / 4, mode="constant"))
        rows, across = np.divmod(tops, own.shape[1])
        basins[:, part] = rows * values.shape[1] + part.start + across
    heights = {int(top): values.flat[top] for top in np.unique(basins) if values.flat[top] > 0}
    highest = sorted(heights, key=lambda top: -heights[top])[:peaks]
    if not highest:
        return saliency
    cores = np.stack([(basins == top) & (values >= CORE * heights[top]) for top in highest])
    removed = torch.from_numpy(cores.astype(np.float32))
    there = share_of_gap(score, score(torch.cat([1 - removed, removed])).sum(dim=1))
    effects = (1 - there[: len(highest)] + there[len(highest) :]) / 2
    weights = np.full(values.shape, FLOOR)
    for top, effect in zip(highest, effects.tolist(), strict=True):
        weights[basins == top] = FLOOR + (1 - FLOOR) * effect
    return saliency * torch.from_numpy(weights).to(saliency)


def hill_basins(values: NDArray[np.float64]) -> Int[np.ndarray, "height width"]:
    """For each cell the flat index of the peak that steepest ascent over its eight neighbours leads to."""
    height, width = values.shape
    padded = np.pad(values, 1, constant_values=-np.inf)
    shifts = [(down, across) for down in (0, -1, 1) for across in (0, -1, 1)]  # staying put first: it wins ties
    around = np.stack([padded[1 + d : 1 + d + height, 1 + a : 1 + a + width] for d, a in shifts])
    best = around.argmax(axis=0)
    rows, columns = np.indices(values.shape)
    down, across = np.array(shifts)[best].transpose(2, 0, 1)
    uphill = ((rows + down) * width + columns + across).ravel()
    while True:
        further = uphill[uphill]
        if np.array_equal(further, uphill):
            result: Int[np.ndarray, "height width"] = uphill.reshape(values.shape)
            return result
        uphill = further
