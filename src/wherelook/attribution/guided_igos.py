"""Guided iGOS, a method of this project: the objective of iGOS+ from a start that knows the image, and a refined map.

1. start: the mask starts from the integrated gradient of the whole image, and not from ones.
2. optimize: the objective of iGOS+, F divided by its gap F(I) - F(B), so that weights and steps mean the same for every
   answer and model; a few steps of Adam, equal in every cell; the mean of the masks, which ranks cells in a saturated
   region.
3. smooth, weigh by random contexts, check peaks, rank the rest: functions from a map to a map, in
   `wherelook.attribution.refinement`, which refine the map of any other method as well.

Cells are square, and each stands for its share of the image. Nothing is random but the contexts, whose masks are the
same for every answer and seed. What each part brings: docs/fidelity.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor

from wherelook.attribution.gradients import integrated_gradient
from wherelook.attribution.grids import to_saliency
from wherelook.attribution.igos_plus import Objective, Steps, descend, image_edges, regularization
from wherelook.attribution.refinement import AREAS, Refinement, check_peaks, rank_rest, refine, smooth, weigh_contexts
from wherelook.canvas import Size, map_size
from wherelook.errors import InputError
from wherelook.score import AnswerScore, Attribution, Passes, Progress


@dataclass(frozen=True)
class GuidedIgosSettings:
    """Attributes:
    cells: side of the mask for a square image; its cells are square.
    masks: 1 as in iGOS+, or 2 as in iGOS++.
    start_steps: path points of the integrated gradient from which the mask starts, which costs one pass more.
    iterations: steps of the optimizer; 0 keeps the start.
    steps: path points n of the objective's integrated gradients.
    learning_rate: of a step of Adam.
    l1: weight of mean|1-M|: small regions.
    tv: weight of the bilateral total variation: smooth regions that follow the image's edges.
    smooth: standard deviation, in cells, of a Gaussian over the map (0: none).
    center: standard deviation of a second one, whose result multiplies the first: middles before edges (0: none).
    contexts: random masks whose map weighs this one (0: none); a forward pass for each.
    verify: how many of the map's peaks are checked (0: none); two forward passes for each.
    rest: path points of gradients that rank what is left once the map's first places are gone (0: not ranked).
    rest_shown: whether gradients with only the first places shown are added, which doubles the cost of `rest`.
    """

    cells: int = 28
    masks: int = 1
    start_steps: int = 12
    iterations: int = 5
    steps: int = 8
    learning_rate: float = 0.1
    l1: float = 1.0
    tv: float = 0.5
    smooth: float = 1.5
    center: float = 2.5
    contexts: int = 72
    verify: int = 4
    rest: int = 4
    rest_shown: bool = True

    def __post_init__(self) -> None:
        for name, least, most in (
            ("cells", 1, 512), ("masks", 1, 2), ("start_steps", 1, 1000), ("iterations", 0, 1000), ("steps", 1, 1000),
            ("rest", 0, 1000),
        ):  # fmt: skip
            if not least <= getattr(self, name) <= most:
                raise InputError(f"{name} must be from {least} to {most}, not {getattr(self, name)}")
        if self.learning_rate <= 0 or min(self.l1, self.tv) < 0:
            raise InputError("the learning rate must be positive, weights not negative")
        if min(self.smooth, self.center, self.contexts, self.verify) < 0:
            raise InputError("smooth, center, contexts and verify must not be negative")


PRESETS: dict[str, GuidedIgosSettings] = {
    "best": GuidedIgosSettings(),
    "fast": GuidedIgosSettings(
        start_steps=8, iterations=1, steps=4, learning_rate=0.2, contexts=0, rest_shown=False,
    ),
}  # fmt: skip


def passes(settings: GuidedIgosSettings, image_size: Size) -> Passes:
    """The most passes of one run: with a gradient for start, steps and rest, without one for contexts and peaks."""
    optimizer = 2 * settings.masks * settings.steps * settings.iterations
    rest = settings.rest * len(AREAS) * (2 if settings.rest_shown else 1)
    backward = settings.start_steps + 1 + optimizer + rest
    return Passes(backward + settings.contexts + 2 * settings.verify, backward)


def guided_igos(
    score: AnswerScore,
    image: Float[Tensor, "3 height width"],
    settings: GuidedIgosSettings,
    *,
    seed: int = 0,
    progress: Progress | None = None,
) -> Attribution:
    """Guided iGOS.

    Args:
        score: log-probabilities of the selected tokens as a function of masks.
        image: the image, RGB in [0, 1]; its edges guide the total variation.
        settings: see `GuidedIgosSettings`.
        seed: not used; nothing depends on it.
        progress: called after each iteration.

    Returns:
        The refined map, its largest value 1, and the objective before each iteration.

    Raises:
        InputError: the answer is not less likely with the baseline.
    """
    start = gradient_start(score, settings)
    saliency, trace = optimize(score, image, start, settings, progress=progress)
    return Attribution(refine(score, saliency, refinements(settings)), trace)


def gradient_start(score: AnswerScore, settings: GuidedIgosSettings) -> Float[Tensor, "rows columns"]:
    """The positive part of the integrated gradient of the whole image, its largest value 1.

    Raises:
        InputError: the answer is not less likely with the baseline.
    """
    if not float((score.original - score.baseline).sum()) > 0:
        raise InputError("the answer is not less likely with the baseline image: there is nothing to optimize")
    return to_saliency(integrated_gradient(score, map_size(settings.cells, score.canvas.size), settings.start_steps))


def optimize(
    score: AnswerScore,
    image: Float[Tensor, "3 height width"],
    start: Float[Tensor, "rows columns"],
    settings: GuidedIgosSettings,
    *,
    progress: Progress | None = None,
) -> tuple[Float[Tensor, "rows columns"], tuple[float, ...]]:
    """The map after a few steps from a map, the mean over the steps, and the objective before each."""
    edges = image_edges(score, image)

    def penalty(mask: Tensor, iteration: int) -> Tensor:
        return regularization(mask, edges, score.canvas, l1=settings.l1, tv=settings.tv)

    gap = float((score.original - score.baseline).sum())
    objective = Objective(score, steps=settings.steps, penalty=penalty, scale=gap)
    masks = (1 - start.to(score.device)).expand(settings.masks, *start.shape).clone()
    visited, trace = descend(objective, adam(masks, settings.learning_rate), settings.iterations, progress)
    total = torch.zeros_like(visited[0][0])
    for masks in visited:
        total += masks.prod(dim=0)
    return (1 - total / len(visited)).cpu(), trace


def refinements(settings: GuidedIgosSettings) -> list[Refinement]:
    """What is done to the map after the optimizer, in this order. A number of 0 leaves the map as it is."""
    return [
        partial(smooth, width=settings.smooth, center=settings.center),
        partial(weigh_contexts, count=settings.contexts, width=settings.smooth),
        partial(check_peaks, count=settings.verify),
        partial(rank_rest, steps=settings.rest, shown=settings.rest_shown),
    ]


def adam(masks: Tensor, learning_rate: float) -> Steps:
    """The steps of Adam (Kingma & Ba 2015) with decay 0.9 and 0.999; masks are clamped to [0, 1]."""
    first, second, k = torch.zeros_like(masks), torch.zeros_like(masks), 0
    gradient = yield masks
    while True:
        k += 1
        first = 0.9 * first + 0.1 * gradient
        second = 0.999 * second + 0.001 * gradient.square()
        direction = (first / (1 - 0.9**k)) / ((second / (1 - 0.999**k)).sqrt() + 1e-12)
        masks = (masks - learning_rate * direction).clamp(0, 1)
        gradient = yield masks
