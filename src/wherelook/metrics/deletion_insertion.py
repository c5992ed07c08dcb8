"""Deletion and insertion: replaying a map on the model.

Cells of a fixed grid are ordered from most to least salient. Deletion replaces them by the baseline step by step,
insertion reveals them on the baseline; the score of every step gives a curve, its area the figure. Lower is better for
deletion, higher for insertion (Petsiuk et al. 2018, arXiv 1806.07421; the paper, section 4).

The score of an image is the geometric mean of the probabilities of the selected tokens: exp of the mean of what the
optimizer works on. (The published code optimizes log-probabilities and scores the arithmetic mean of probabilities.)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor

from wherelook.arguments import FLIP_FLOOR, STEPS
from wherelook.canvas import Canvas, Size, map_size
from wherelook.metrics.metric import Metric
from wherelook.score import AnswerScore, Token

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


def unexplained_word(
    result: Replay, saliency: Float[Tensor, "rows columns"], tokens: Sequence[Token], *, outline: float
) -> tuple[str, ...]:
    """A note where the map of several words does not explain the one with the largest drop.

    The outlined region is what a reader looks at. Without it the word loses less than half of its drop, while the other
    words together lose half of theirs or more.

    Args:
        result: the map's replay with the baseline that the words were selected with.
        saliency: the map.
        tokens: the selected tokens, in the order of the score's.
        outline: the region is where the map has at least this share of its maximum.
    """
    outlined = float((saliency >= outline * saliency.max()).float().mean())
    lost, total = dict[int | None, float](), dict[int | None, float]()
    for token, drops in zip(tokens, result.drops.T, strict=True):
        lost[token.word] = lost.get(token.word, 0.0) + float(np.interp(outlined, result.fractions, drops))
        total[token.word] = total.get(token.word, 0.0) + float(drops[-1])
    strongest = max(total, key=lambda word: total[word])
    rest, rest_lost = sum(total.values()) - total[strongest], sum(lost.values()) - lost[strongest]
    if len(total) < 2 or total[strongest] < FLIP_FLOOR or rest < FLIP_FLOOR:
        return ()
    if lost[strongest] >= total[strongest] / 2 or rest_lost < rest / 2:
        return ()
    text = "".join(token.text for token in tokens if token.word == strongest).strip()
    return (
        f"the outlined region does not explain {text!r}, the word with the largest drop: without the region it "
        f"loses {max(lost[strongest], 0):.2f} of its {total[strongest]:.2f} nats; --per-token, or --tokens with this "
        "word, shows where it comes from",
    )


def doubts(metrics: Mapping[str, float | None], preset: str) -> tuple[str, ...]:
    """A warning where the map's own replay speaks against it.

    The deletion of a map is the insertion of its reverse, and the other way round.
    """
    deletion, insertion = metrics.get("deletion"), metrics.get("insertion")
    if deletion is None or insertion is None or insertion > deletion:
        return ()
    advice = "the preset 'best', or another method" if preset == "fast" else "another method"
    return (
        f"do not trust this map: its reverse would do as well or better (deletion {deletion:.3f} is not below "
        f"insertion {insertion:.3f}); try {advice}",
    )


COST = "steps - 1 forwards per baseline"
SUPERPIXEL_COST = "reads - 1 forwards"
NORMALIZED = "between the baseline's score (0) and the image's (1), clipped; none when the gap is under 0.05"

METRICS = {
    "deletion": Metric(
        measure=lambda context: context.replay.deletion,
        summary="score while the most salient cells are replaced by the baseline",
        label="Deletion",
        group="Deletion and insertion",
        better="lower",
        values="0 to 1",
        cost=COST,
        source="Petsiuk et al. 2018; paper section 4",
        level="replay",
        both_baselines=True,
    ),
    "insertion": Metric(
        measure=lambda context: context.replay.insertion,
        summary="score while the most salient cells are revealed on the baseline",
        label="Insertion",
        group="Deletion and insertion",
        better="higher",
        values="0 to 1",
        cost=COST,
        source="Petsiuk et al. 2018; paper section 4",
        level="replay",
        both_baselines=True,
    ),
    "deletion_normalized": Metric(
        measure=lambda context: context.replay.deletion_normalized,
        summary=f"deletion {NORMALIZED}",
        label="Deletion, normalized",
        better="lower",
        values="0 to 1",
        cost="none beyond deletion",
        source="paper section 4, with a guard",
        level="replay",
        both_baselines=True,
    ),
    "insertion_normalized": Metric(
        measure=lambda context: context.replay.insertion_normalized,
        summary=f"insertion {NORMALIZED}",
        label="Insertion, normalized",
        better="higher",
        values="0 to 1",
        cost="none beyond insertion",
        source="paper section 4, with a guard",
        level="replay",
        both_baselines=True,
    ),
    "deletion_superpixels": Metric(
        measure=lambda context: context.unseen.superpixel_replay.deletion,
        summary="deletion of whole superpixels instead of cells",
        label="Deletion, superpixels",
        group="Deletion and insertion",
        better="lower",
        values="0 to 1",
        cost=SUPERPIXEL_COST,
        source="Petsiuk et al. 2018, on another grid",
        level="all",
    ),
    "insertion_superpixels": Metric(
        measure=lambda context: context.unseen.superpixel_replay.insertion,
        summary="insertion of whole superpixels instead of cells",
        label="Insertion, superpixels",
        group="Deletion and insertion",
        better="higher",
        values="0 to 1",
        cost=SUPERPIXEL_COST,
        source="Petsiuk et al. 2018, on another grid",
        level="all",
    ),
}
