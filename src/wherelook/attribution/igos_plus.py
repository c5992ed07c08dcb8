"""iGOS+ and iGOS++: a mask optimised so that deleting the region destroys the answer and inserting it restores it.

With F(X) the summed log-probability of the selected tokens, Phi(M) = I*M + B*(1-M), and M low where the image matters:

iGOS+ (the one-mask form of the paper, arXiv 2503.13891):
    min_M  F(Phi(M)) - F(Phi(1-M)) + R(M)
iGOS++ (two masks, arXiv 2012.15783; the result is M = Mx*My):
    min    [F(Phi(Mx)) - F(Phi(1-My)) + F(Phi(Mx*My)) - F(Phi(1-Mx*My))] / 2 + R(Mx*My)

Gradients of F are integrated gradients along the mask's path: the mean over s = 1/n .. 1 of d/dM F(Phi(s*M)), with
fresh noise on every path image.

    R(M) = L1 mean|1-M| + L2 exp(-gamma k) sum (1-M)^2 + L3 BTV(M)      (k: iteration)
    BTV(M) = [TV(M) + edge-weighted TV(M upsampled)] / 2,  edge weight exp(-dI^2 / sigma)

What the presets change beyond the paper is written at `IgosSettings`.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from wherelook.attribution.gradients import integrated_gradient
from wherelook.attribution.grids import first_places, share_of_gap
from wherelook.attribution.peak_checks import FLOOR, verify_peaks
from wherelook.attribution.refinement import AREAS, rank_rest
from wherelook.attribution.rise import RiseSettings, rise
from wherelook.attribution.total_variation import edge_weighted_variation, edge_weights, total_variation
from wherelook.canvas import Canvas, Size, map_size
from wherelook.errors import InputError
from wherelook.score import AnswerScore, Attribution, Noise, Passes, Progress

Steps = Generator[Tensor, Tensor, None]

SHOWN = (0.125, 0.25, 0.5)
"""Shares of the image that are shown, each by itself, to tell whether a start is good enough: with little the answer
may not be there yet, with more what speaks against it may come."""


FINE = (224, 448)
"""Pixels on the longer side of an upsampled mask, at least and at most."""


@dataclass(frozen=True)
class IgosSettings:
    """Every constant of the iGOS family. The defaults are the paper's (published example of use).

    Attributes:
        cells: side of the mask for a square image.
        square: the mask is cells x cells whatever the image's shape [paper]; else its cells are square.
        iterations: steps of the optimiser; 0 keeps the start.
        steps: path points n of the integrated gradients.
        learning_rate: of the step.
        momentum: of the Nesterov step, e = k / (k + momentum).
        l1: weight of mean|1-M|: small regions.
        l2: weight of sum (1-M)^2, decaying as exp(-l2_decay * k).
        l2_decay: gamma.
        tv: weight of the bilateral total variation: smooth regions that follow the image's edges.
        tv_power: beta.
        edge_scale: sigma.
        upsampling: "corners": the middles of the mask's outer cells lie on the image's border, and two masks are
            multiplied after they are upsampled [the paper's code]; "cells": each cell stands for its share of the
            image, as in every other map here, and cells are multiplied.
        noise: standard deviation of the noise on path images, in normalised pixel space.
        relative: F is divided by its gap F(I) - F(B): weights and steps then mean the same for every answer and model.
        update: "nesterov" [paper], or "adam": steps of equal size in every cell.
        start: "ones" [paper], or "gradient": from the integrated gradient of the whole image.
        start_steps: path points of that gradient, which costs one pass more.
        enough: the optimiser is left out where the start's first places (each of `SHOWN` of the image), shown alone,
            bring back at least this share of the score gap (0: never left out). An easy answer then costs little.
        average: the mask is the mean over iterations, which ranks cells inside a saturated region by when they fell.
        sharpen: the result is multiplied by the start gradient to this power (0: not), which ranks further.
        smooth: standard deviation, in cells, of a Gaussian over the result (0: none). Gradients know the inside of a
            model's patch badly: neighbours tell together what each of them tells with noise.
        center: standard deviation, in cells, of a wider Gaussian over the result, by which the smoothed result is
            multiplied (0: not). It ranks the middle of a region before its edges, and a region before a speck.
        contexts: random masks (of RISE) whose map multiplies the result (0: none), a forward pass for each. An
            optimised mask knows one context of a region, the more salient ones being gone or alone; these know many.
        verify: how many of the map's peaks are checked by removing each, and by showing it alone (0: none); see
            `wherelook.attribution.peak_checks`. Two forward passes for each.
        rest: path points of gradients that rank what is left once the map's first places are gone (0: not ranked); see
            `wherelook.attribution.refinement`.
        rest_shown: whether gradients with only the first places shown are added, which doubles the cost of `rest`.
    """

    cells: int = 32
    square: bool = True
    iterations: int = 5
    steps: int = 10
    learning_rate: float = 10.0
    momentum: float = 5.0
    l1: float = 1.0
    l2: float = 0.1
    l2_decay: float = 1.0
    tv: float = 10.0
    tv_power: float = 2.0
    edge_scale: float = 0.01
    upsampling: Literal["corners", "cells"] = "corners"
    noise: float = 0.2
    relative: bool = False
    update: Literal["nesterov", "adam"] = "nesterov"
    start: Literal["ones", "gradient"] = "ones"
    start_steps: int = 10
    enough: float = 0.0
    average: bool = False
    sharpen: float = 0.0
    smooth: float = 0.0
    center: float = 0.0
    contexts: int = 0
    verify: int = 0
    rest: int = 0
    rest_shown: bool = False

    def __post_init__(self) -> None:
        for name, least, most in (
            ("cells", 1, 512), ("iterations", 0, 1000), ("steps", 1, 1000), ("start_steps", 1, 1000), ("rest", 0, 1000),
        ):  # fmt: skip
            if not least <= getattr(self, name) <= most:
                raise InputError(f"{name} must be from {least} to {most}, not {getattr(self, name)}")
        if (
            self.learning_rate <= 0
            or min(self.l1, self.l2, self.l2_decay, self.tv, self.noise, self.sharpen) < 0
            or min(self.smooth, self.center, self.contexts, self.verify) < 0
        ):
            raise InputError("the learning rate must be positive, weights and noise not negative")
        if self.edge_scale <= 0 or self.tv_power < 1 or self.momentum < 0:
            raise InputError("edge_scale must be positive, tv_power at least 1, momentum not negative")
        if self.update not in ("nesterov", "adam") or self.start not in ("ones", "gradient"):
            raise InputError("update is nesterov or adam, start is ones or gradient")
        if self.upsampling not in ("corners", "cells"):
            raise InputError("upsampling is corners or cells")
        if not 0 <= self.enough <= 1:
            raise InputError(f"enough is a share from 0 to 1, not {self.enough}")
        if (self.iterations == 0 or self.enough > 0) and self.start == "ones":
            raise InputError("without iterations the mask must start from the gradient (start=gradient)")


PRESETS: dict[str, IgosSettings] = {
    "paper": IgosSettings(),
    "best": IgosSettings(
        cells=28, square=False, upsampling="cells", iterations=5, steps=8, learning_rate=0.1, l1=1.0, l2=0.0, tv=0.5,
        noise=0.0, relative=True, update="adam", start="gradient", start_steps=12, average=True, smooth=1.5, center=2.5,
        contexts=72, verify=4, rest=4, rest_shown=True,
    ),
    "fast": IgosSettings(
        cells=28, square=False, upsampling="cells", iterations=1, steps=4, learning_rate=0.2, l1=1.0, l2=0.0, tv=0.5,
        noise=0.0, relative=True, update="adam", start="gradient", start_steps=8, average=True, smooth=1.5, center=2.5,
        verify=4,
        rest=4,
    ),
}  # fmt: skip


def igos_plus(
    score: AnswerScore,
    image: Float[Tensor, "3 height width"],
    settings: IgosSettings,
    *,
    seed: int = 0,
    progress: Progress | None = None,
) -> Attribution:
    """iGOS+: one mask.

    Args:
        score: log-probabilities of the selected tokens as a function of masks.
        image: the image, RGB in [0, 1]; its edges guide the total variation.
        settings: see `IgosSettings`.
        seed: of the noise on path images.
        progress: called after each iteration.

    Returns:
        The saliency 1 - M, scaled so that its largest value is 1, and the objective after each iteration.
    """
    return _optimize(score, image, settings, masks=1, seed=seed, progress=progress)


def igos_plus_plus(
    score: AnswerScore,
    image: Float[Tensor, "3 height width"],
    settings: IgosSettings,
    *,
    seed: int = 0,
    progress: Progress | None = None,
) -> Attribution:
    """iGOS++: one mask for deletion, one for insertion; the result is their product. See `igos_plus`."""
    return _optimize(score, image, settings, masks=2, seed=seed, progress=progress)


def passes(settings: IgosSettings, image_size: Size, *, masks: int) -> Passes:
    """The most passes of one run: with a gradient for start, steps and rest, without one for contexts and peaks."""
    start = settings.start_steps + 1 if settings.start == "gradient" or settings.sharpen > 0 else 0
    rest = settings.rest * len(AREAS) * (2 if settings.rest_shown else 1)
    backward = start + 2 * masks * settings.steps * settings.iterations + rest
    return Passes(backward + settings.contexts + 2 * settings.verify + len(SHOWN) * (settings.enough > 0), backward)


def _optimize(
    score: AnswerScore,
    image: Tensor,
    settings: IgosSettings,
    *,
    masks: int,
    seed: int,
    progress: Progress | None,
) -> Attribution:
    size = mask_size(settings, score.canvas.size)
    device = score.device
    gap = float((score.original - score.baseline).sum())
    scale = gap if settings.relative else 1.0
    if not gap > 0 and (settings.relative or settings.verify or settings.rest or settings.enough):
        raise InputError("the answer is not less likely with the baseline image: there is nothing to optimise")
    objective = _Objective(score, image.cpu(), settings, scale, _seeds(seed))

    slope = None
    if settings.start == "gradient" or settings.sharpen > 0:
        slope = _unit(integrated_gradient(score, size, settings.start_steps).clamp_min(0))
    first = (
        1 - slope
        if slope is not None and settings.start == "gradient"
        else torch.ones(size, device=device, dtype=torch.float32)
    )
    iterations = settings.iterations
    if iterations and settings.enough > 0 and _is_enough(score, 1 - first.cpu(), settings):
        iterations = 0
    state = first.expand(masks, *size).clone()
    step = _adam(state, settings) if settings.update == "adam" else _nesterov(state, settings)
    next(step)

    trace, total = [], torch.zeros(size, device=device, dtype=torch.float32)
    for iteration in range(iterations):
        value, gradient = objective(state, iteration)
        trace.append(value)
        state = step.send(gradient)
        total += objective.map(state)
        if progress is not None:
            progress("optimise", iteration + 1, iterations)
    mask = total / iterations if settings.average and iterations else objective.map(state)
    saliency = 1 - mask
    if slope is not None and settings.sharpen > 0:
        saliency = saliency * slope**settings.sharpen
    saliency = _unit(_smoothed(saliency.cpu(), settings, score.canvas))
    if settings.contexts > 0:
        saliency = _unit(saliency * _context_weights(score, image, settings, size))
    if settings.verify > 0:
        saliency = _unit(verify_peaks(score, saliency, peaks=settings.verify))
    if settings.rest > 0:
        saliency = rank_rest(score, saliency, steps=settings.rest, shown=settings.rest_shown)
    return Attribution(saliency, tuple(trace))


def _is_enough(score: AnswerScore, start: Tensor, settings: IgosSettings) -> bool:
    """Whether the first places of the start, shown alone, hold as much of the answer as is asked for."""
    saliency = _unit(_smoothed(start, settings, score.canvas))
    shown = torch.stack([first_places(saliency, area) for area in SHOWN]).float()
    with torch.no_grad():
        there = share_of_gap(score, score(shown).sum(dim=1))
    return bool(there.min() >= settings.enough)


def _smoothed(saliency: Tensor, settings: IgosSettings, canvas: Canvas) -> Tensor:
    values = saliency.double()
    result = canvas.smooth(values, settings.smooth) if settings.smooth > 0 else values
    if settings.center > 0:
        result = result * canvas.smooth(values, settings.center)
    return result.float()


def _context_weights(score: AnswerScore, image: Tensor, settings: IgosSettings, size: Size) -> Tensor:
    """In [FLOOR, 1]: the square root of a smoothed map of RISE, whose masks are the same for every answer and seed."""
    sampled = rise(score, image, RiseSettings(masks=settings.contexts, cells=settings.cells, centered=True)).saliency
    resized = score.canvas.resize(sampled, size, mode="bilinear", align_corners=False)
    return FLOOR + (1 - FLOOR) * score.canvas.smooth(resized, settings.smooth).float().sqrt()


def fine_size(image_size: Size) -> Size:
    """(height, width) of an upsampled mask for an image of (height, width): about as fine as a model's input."""
    longest = max(image_size)
    side = min(max(longest, FINE[0]), FINE[1])
    height, width = (max(1, round(length * side / longest)) for length in image_size)
    return height, width


def mask_size(settings: IgosSettings, image_size: Size) -> Size:
    """(rows, columns) of the mask for an image of (height, width)."""
    if settings.square:
        return settings.cells, settings.cells
    return map_size(settings.cells, image_size)


class _Objective:
    """The value and the gradient of the objective; holds what does not change between iterations."""

    def __init__(
        self, score: AnswerScore, image: Tensor, settings: IgosSettings, scale: float, seeds: Iterator[int]
    ) -> None:
        self.score = score
        self.settings = settings
        self.scale = scale
        self.seeds = seeds
        # Resampled on the CPU: not every device has the filter.
        vertical, horizontal = edge_weights(image, settings.edge_scale, score.canvas)
        self.edges = vertical.to(score.device), horizontal.to(score.device)
        self.fine = fine_size(score.canvas.size)
        self.path = torch.arange(1, settings.steps + 1, device=score.device, dtype=torch.float32) / settings.steps

    def __call__(self, state: Tensor, iteration: int) -> tuple[float, Tensor]:
        """Objective and its gradient at masks of shape (1 or 2, h, w)."""
        with torch.enable_grad():
            leaf = state.detach().requires_grad_()
            shown = self._upsampled(leaf)
            product = shown.prod(dim=0)
            # With one mask deletion and insertion are one batch; with two each has its own, and both have the product.
            deleted, inserted = (
                (shown, shown)
                if len(state) == 1
                else (torch.stack([shown[0], product]), torch.stack([shown[1], product]))
            )
            deletion, insertion = self._path_gradients(deleted.detach(), inserted.detach())
            # Its gradient by the cells is that of the scores: slopes are by what was shown.
            linear = (deleted * deletion.slope).sum() - (inserted * insertion.slope).sum()
            penalty = regularization(leaf.prod(dim=0), self.edges, self.settings, iteration, self.score.canvas)
            (gradient,) = torch.autograd.grad(linear / (len(state) * self.scale) + penalty, leaf)
        value = (deletion.value - insertion.value).sum() / len(state)
        return float(value) / self.scale + float(penalty.detach()), gradient

    def map(self, state: Tensor) -> Tensor:
        """The product of the masks, (h, w) cells that each stand for their share of the image."""
        if self.settings.upsampling == "cells":
            return state.prod(dim=0)
        shown = self._upsampled(state).prod(dim=0)
        return self.score.canvas.resize(shown, (state.shape[1], state.shape[2]), mode="area")

    def _upsampled(self, masks: Tensor) -> Tensor:
        """What is given to the score, which reads cells as cells: masks themselves, or as fine as a model's input."""
        if self.settings.upsampling == "cells":
            return masks
        # What is removed is upsampled: of nothing it is nothing, to the last bit.
        return 1 - self.score.canvas.resize(1 - masks, self.fine, mode="bilinear", align_corners=True)

    def _path_gradients(self, deleted: Tensor, inserted: Tensor) -> tuple[_Path, _Path]:
        """Integrated gradients of F(Phi(M)) and of F(Phi(1-M)) at each of the masks."""
        path = self.path[:, None, None, None]
        rows = torch.cat([path * deleted, 1 - path * inserted]).flatten(0, 1)
        values, gradients = self.score.gradient(rows, noise=self._noise(len(rows)))
        gradients = gradients.reshape(2, len(self.path), *deleted.shape)
        values = values.sum(dim=1).reshape(2, len(self.path), len(deleted))
        slopes = (path * gradients).mean(dim=1)  # the inner derivative of s*M is s
        return _Path(values[0, -1], slopes[0]), _Path(values[1, -1], -slopes[1])

    def _noise(self, count: int) -> Noise | None:
        if self.settings.noise == 0:
            return None
        return Noise(self.settings.noise, tuple(next(self.seeds) for _ in range(count)))


@dataclass(frozen=True)
class _Path:
    value: Tensor  # (masks,) F at the path's end
    slope: Tensor  # (masks, h, w)


def regularization(
    mask: Float[Tensor, "height width"],
    edges: tuple[Tensor, Tensor],
    settings: IgosSettings,
    iteration: int,
    canvas: Canvas,
) -> Float[Tensor, ""]:
    """R(M) of the module's docstring at iteration k; total variations are means over neighbour pairs.

    Cells of two images are no neighbors.
    """
    removed = 1 - mask
    variation = total_variation(mask, settings.tv_power, canvas)
    variation = variation + edge_weighted_variation(
        mask, edges, settings.tv_power, canvas, corners=settings.upsampling == "corners"
    )
    return (
        settings.l1 * removed.abs().mean()
        + settings.l2 * math.exp(-settings.l2_decay * iteration) * removed.square().sum()
        + settings.tv * variation / 2
    )


def _nesterov(state: Tensor, settings: IgosSettings) -> Steps:
    """Receives gradients, yields masks: y = M - lr*g, M' = clamp(y + e (y - y_before)), e = k / (k + momentum)."""
    before, k = state, 0
    gradient = yield state
    while True:
        moved = state - settings.learning_rate * gradient
        momentum = k / (k + settings.momentum) if k else 0.0
        state = (moved + momentum * (moved - before)).clamp(0, 1)
        before, k = moved, k + 1
        gradient = yield state


def _adam(state: Tensor, settings: IgosSettings) -> Steps:
    """Receives gradients, yields masks: Adam (Kingma & Ba 2015) with decay 0.9 and 0.999, clamped to [0, 1]."""
    first, second, k = torch.zeros_like(state), torch.zeros_like(state), 0
    gradient = yield state
    while True:
        k += 1
        first = 0.9 * first + 0.1 * gradient
        second = 0.999 * second + 0.001 * gradient.square()
        direction = (first / (1 - 0.9**k)) / ((second / (1 - 0.999**k)).sqrt() + 1e-12)
        state = (state - settings.learning_rate * direction).clamp(0, 1)
        gradient = yield state


def _seeds(seed: int) -> Iterator[int]:
    generator = torch.Generator().manual_seed(seed)
    while True:
        yield int(torch.randint(2**62, (), generator=generator))


def _unit(values: Tensor) -> Tensor:
    """Scaled so that the largest value is 1; zeros stay."""
    top = values.max()
    return (values / top if top > 0 else torch.zeros_like(values)).clamp(0, 1).float()
