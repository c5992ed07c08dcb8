"""Functions from a map to a map: it is smoothed, weighed, checked against the model and ranked to its end.

Each takes (score, saliency) and its own constants; `refine` applies a list of them in turn. The map of any method can
be refined: `refined(METHODS["igos+"], smooth, partial(check_peaks, count=4), cost=Passes(8))` is a method.

smooth          inside one patch of a vision tower a gradient is noise; neighbors know more together, and the middle of
                a region is ranked before its edges.
weigh_contexts  an optimized mask knows one context of a region, the more salient ones being gone or alone; random masks
                (RISE) know many.
check_peaks     a path of blends can put weight on a place that matters only while everything is half gone. Removing
                that place from the untouched image then changes nothing, which two forward passes tell.
rank_rest       a map is found while everything else is there. With its first places removed, others speak: some hold
                the answer after all (a second object of the same color), some hold it down (the model would turn to
                them), and removing those brings the answer back.

For the last one, with F the summed log-probability of the selected tokens, S the map and R its first places,

    T = mean over s of dF/dM at s(1 - R)  [+ mean over s of dF/dM at R + s(1 - R)]          outside R

adds up, for many points s, to F(1 - R) - F(0) [and F(1) - F(R)]: integrated gradients of the rest of the image, with a
sign. (Sums of n points: s = 1/n .. 1 in the first, 0 .. 1 - 1/n in the second; both include the image without or with R
alone, where the question is put.) Places with positive T come next, those with negative T last:

    S' = (1 - TAIL) S + TAIL                                                              in R
    S' = (1 - TAIL) max(KEEP S, t max(0, T) min_R S) + TAIL (1 + T) / 2                   outside R

where T is smoothed and scaled to a largest magnitude of 1, and t in [0, 1] is the share of the score gap that is still
there without R. This is done for each of `AREAS` in turn.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from torch import Tensor

from wherelook.attribution.grids import first_places, share_of_gap, to_saliency
from wherelook.attribution.method import Method
from wherelook.attribution.rise import RiseSettings, weighted_mean
from wherelook.canvas import Size
from wherelook.score import AnswerScore, Attribution, Passes, Progress

Refinement = Callable[[AnswerScore, Tensor], Tensor]
"""From a score and a map on the CPU, not negative, to a map of the same size."""

FLOOR = 0.1
"""Share of its saliency that a place keeps when it does nothing alone: it may still matter together with another."""

TIE = 1e-6
"""Differences in saliency from here on are differences."""

CORE = 0.25
"""Cells of a peak's surroundings that count as the peak: at least this share of its height."""

AREAS = (0.04, 0.12, 0.25)
"""Shares of the image that are removed, one after another, to rank the rest."""

KEEP = 0.5
"""What the map's own value of a place outside R still counts."""

TAIL = 0.01
"""Share of the saliency that is the rank of places on which nothing rests."""

SMOOTH = 1.5
"""Standard deviation, in cells, of the Gaussian over a map, over T, and over the map of random masks."""


def refine(
    score: AnswerScore, saliency: Float[Tensor, "rows columns"], refinements: Sequence[Refinement]
) -> Float[Tensor, "rows columns"]:
    """The map after each of the functions in turn; its largest value is 1 after each of them."""
    for function in refinements:
        saliency = to_saliency(function(score, saliency))
    return saliency


NO_PASSES = Passes()


def refined(method: Method, *refinements: Refinement, cost: Passes = NO_PASSES) -> Method:
    """A method whose map is refined.

    Args:
        method: one of `METHODS`, or another one.
        refinements: functions of this module, or others.
        cost: the most passes that these take.
    """

    def run(
        score: AnswerScore,
        image: Float[Tensor, "3 height width"],
        settings: Any,
        *,
        seed: int = 0,
        progress: Progress | None = None,
    ) -> Attribution:
        found = method.run(score, image, settings, seed=seed, progress=progress)
        return replace(found, saliency=refine(score, found.saliency, refinements))

    def passes(settings: Any, image_size: Size) -> Passes:
        own = method.passes(settings, image_size)
        return Passes(own.forward + cost.forward, own.backward + cost.backward)

    names = [getattr(function, "func", function).__name__ for function in (method.run, *refinements)]
    run.__name__ = "+".join(names)
    return replace(method, run=run, passes=passes, summary=f"{method.summary}; then {', '.join(names[1:])}")


def smooth(
    score: AnswerScore, saliency: Float[Tensor, "rows columns"], *, width: float = SMOOTH, center: float = 2.5
) -> Float[Tensor, "rows columns"]:
    """The map smoothed by a Gaussian, and multiplied by the map smoothed by a wider one.

    Args:
        score: whose canvas tells images apart: nothing is smoothed across their border.
        saliency: the map.
        width, center: standard deviations in cells; 0 leaves that Gaussian out.
    """
    values = saliency.double()
    result = score.canvas.smooth(values, width) if width > 0 else values
    if center > 0:
        result = result * score.canvas.smooth(values, center)
    return result.float()


def weigh_contexts(
    score: AnswerScore, saliency: Float[Tensor, "rows columns"], *, count: int, width: float = SMOOTH
) -> Float[Tensor, "rows columns"]:
    """The map times the square root of a smoothed map of RISE, which is between `FLOOR` and 1.

    Args:
        score: the score function; `count` forward passes.
        saliency: the map.
        count: random masks, the same for every answer and seed; 0 leaves the map as it is.
        width: standard deviation, in cells, of the Gaussian over RISE's map.
    """
    if count == 0:
        return saliency
    sampled = weighted_mean(score, RiseSettings(masks=count, centered=True))
    resized = score.canvas.resize(sampled, (len(saliency), saliency.shape[1]), mode="bilinear", align_corners=False)
    return saliency * (FLOOR + (1 - FLOOR) * score.canvas.smooth(resized, width).float().sqrt())


def check_peaks(
    score: AnswerScore, saliency: Float[Tensor, "rows columns"], *, count: int
) -> Float[Tensor, "rows columns"]:
    """The map with each of its highest peaks, and the slope around it, weighted by what the model says of it.

    The weight of a peak is FLOOR + (1 - FLOOR) * e, with e in [0, 1] the mean of the share of the score gap F(I) - F(B)
    that is lost when the peak is removed, and the share that is regained when it is shown alone. Slopes of lower peaks
    than the `count` highest get FLOOR.

    Args:
        score: the score function; 2 * `count` forward passes at most.
        saliency: the map, in [0, 1].
        count: how many are checked; 0 leaves the map as it is.
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
    highest = sorted(heights, key=lambda top: -heights[top])[:count]
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
    """For each cell the flat index of the peak that steepest ascent over its eight neighbors leads to."""
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


def rank_rest(
    score: AnswerScore, saliency: Float[Tensor, "rows columns"], *, steps: int, shown: bool = False
) -> Float[Tensor, "rows columns"]:
    """The map with everything after its first places ranked anew; see the module.

    Args:
        score: the score function; `steps` passes with a gradient for each of `AREAS`, twice as many with `shown`.
        saliency: the map, in [0, 1], on the CPU.
        steps: path points of the gradients; 0 leaves the map as it is.
        shown: whether the second term of T is added.
    """
    for area in AREAS if steps else ():
        first = first_places(saliency, area)
        if first.any():
            saliency = _ranked(score, saliency, first, steps, shown)
    return saliency


def _ranked(score: AnswerScore, saliency: Tensor, first: Tensor, steps: int, shown: bool) -> Tensor:
    rest = (~first).float()
    path = (torch.arange(1, steps + 1, dtype=torch.float32) / steps)[:, None, None]
    masks = path * rest
    if shown:
        masks = torch.cat([masks, first + (path - 1 / steps) * rest])
    values, gradients = score.gradient(masks)
    slopes = gradients.cpu().sum(dim=0) / steps * rest
    signed = score.canvas.smooth(slopes, SMOOTH).float() * rest
    largest = signed.abs().max()
    if not largest > 0:
        return saliency
    signed = signed / largest
    left = share_of_gap(score, values[steps - 1].sum())
    next_ones = left * signed.clamp_min(0) * saliency[first].min()
    behind = (1 - TAIL) * torch.maximum(KEEP * saliency, next_ones) + TAIL * (1 + signed) / 2
    ranked = torch.where(first, (1 - TAIL) * saliency + TAIL, behind)
    return ranked / ranked.max()
