"""iGOS+ and iGOS++: a mask optimized so that deleting the region destroys the answer and inserting it restores it.

With F(X) the summed log-probability of the selected tokens, Phi(M) = I*M + B*(1-M), and M low where the image matters:

iGOS+ (the one-mask form of the paper, arXiv 2503.13891, section 3):
    min_M  F(Phi(M)) - F(Phi(1-M)) + R(M)
iGOS++ (two masks, Khorram et al. 2021, arXiv 2012.15783; the result is M = Mx*My):
    min    [F(Phi(Mx)) - F(Phi(1-My)) + F(Phi(Mx*My)) - F(Phi(1-Mx*My))] / 2 + R(Mx*My)

Gradients of F are integrated gradients along the mask's path: the mean over s = 1/n .. 1 of d/dM F(Phi(s*M)), with
fresh noise on every path image. Steps are Nesterov's.

    R(M) = L1 mean|1-M| + L2 exp(-gamma k) sum (1-M)^2 + L3 BTV(M)      (k: iteration)
    BTV(M) = [TV(M) + edge-weighted TV(M upsampled)] / 2,  edge weight exp(-dI^2 / sigma)

`wherelook.attribution.guided_igos` optimizes the same objective from another start and refines the map.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from wherelook.attribution.grids import to_saliency
from wherelook.attribution.total_variation import edge_weighted_variation, edge_weights, total_variation
from wherelook.canvas import Canvas, Size
from wherelook.errors import InputError
from wherelook.score import AnswerScore, Attribution, Noise, Passes, Progress

Steps = Generator[Tensor, Tensor, None]
"""Receives gradients, yields masks; the first mask is the start."""

EDGE_SCALE = 0.01
"""Sigma of the edge weights, in both papers and here."""

FINE = (224, 448)
"""Pixels on the longer side of an upsampled mask, at least and at most."""


@dataclass(frozen=True)
class IgosPlusSettings:
    """The constants of iGOS+ and iGOS++. The defaults are the paper's (published example of use).

    Attributes:
        cells: the mask is cells x cells, whatever the image's shape.
        iterations: steps of the optimizer.
        steps: path points n of the integrated gradients.
        learning_rate: of the step.
        momentum: of the Nesterov step, e = k / (k + momentum).
        l1: weight of mean|1-M|: small regions.
        l2: weight of sum (1-M)^2, decaying as exp(-l2_decay * k).
        l2_decay: gamma.
        tv: weight of the bilateral total variation: smooth regions that follow the image's edges.
        tv_power: beta.
        noise: standard deviation of the noise on path images, in normalized pixel space.
        upsampling: "corners": the middles of the mask's outer cells lie on the image's border, and two masks are
            multiplied after they are upsampled [the paper's code]; "cells": each cell stands for its share of the
            image, as in every other map here, and cells are multiplied.
    """

    cells: int = 32
    iterations: int = 5
    steps: int = 10
    learning_rate: float = 10.0
    momentum: float = 5.0
    l1: float = 1.0
    l2: float = 0.1
    l2_decay: float = 1.0
    tv: float = 10.0
    tv_power: float = 2.0
    noise: float = 0.2
    upsampling: Literal["corners", "cells"] = "corners"

    def __post_init__(self) -> None:
        for name, most in (("cells", 512), ("iterations", 1000), ("steps", 1000)):
            if not 1 <= getattr(self, name) <= most:
                raise InputError(f"{name} must be from 1 to {most}, not {getattr(self, name)}")
        if self.learning_rate <= 0 or min(self.l1, self.l2, self.l2_decay, self.tv, self.noise) < 0:
            raise InputError("the learning rate must be positive, weights and noise not negative")
        if self.tv_power < 1 or self.momentum < 0:
            raise InputError("tv_power must be at least 1, momentum not negative")
        if self.upsampling not in ("corners", "cells"):
            raise InputError("upsampling is corners or cells")


PRESETS: dict[str, IgosPlusSettings] = {"paper": IgosPlusSettings()}


def igos_plus(
    score: AnswerScore,
    image: Float[Tensor, "3 height width"],
    settings: IgosPlusSettings,
    *,
    seed: int = 0,
    progress: Progress | None = None,
) -> Attribution:
    """iGOS+: one mask.

    Args:
        score: log-probabilities of the selected tokens as a function of masks.
        image: the image, RGB in [0, 1]; its edges guide the total variation.
        settings: see `IgosPlusSettings`.
        seed: of the noise on path images.
        progress: called after each iteration.

    Returns:
        The saliency 1 - M, scaled so that its largest value is 1, and the objective after each iteration.
    """
    return _optimized(score, image, settings, masks=1, seed=seed, progress=progress)


def igos_plus_plus(
    score: AnswerScore,
    image: Float[Tensor, "3 height width"],
    settings: IgosPlusSettings,
    *,
    seed: int = 0,
    progress: Progress | None = None,
) -> Attribution:
    """iGOS++: one mask for deletion, one for insertion; the result is their product. See `igos_plus`."""
    return _optimized(score, image, settings, masks=2, seed=seed, progress=progress)


def passes(settings: IgosPlusSettings, image_size: Size, *, masks: int) -> Passes:
    """The passes of one run, each with a gradient."""
    count = 2 * masks * settings.steps * settings.iterations
    return Passes(count, count)


def _optimized(
    score: AnswerScore,
    image: Tensor,
    settings: IgosPlusSettings,
    *,
    masks: int,
    seed: int,
    progress: Progress | None,
) -> Attribution:
    corners = settings.upsampling == "corners"
    edges = image_edges(score, image)

    def penalty(mask: Tensor, iteration: int) -> Tensor:
        l2 = settings.l2 * math.exp(-settings.l2_decay * iteration)
        return regularization(
            mask, edges, score.canvas, l1=settings.l1, l2=l2, tv=settings.tv, power=settings.tv_power, corners=corners
        )

    upsample = Upsampling(score.canvas) if corners else None
    objective = Objective(
        score, steps=settings.steps, penalty=penalty, upsample=upsample, noise=noises(settings.noise, seed)
    )
    start = torch.ones(masks, settings.cells, settings.cells, device=score.device, dtype=torch.float32)
    visited, trace = descend(objective, nesterov(start, settings), settings.iterations, progress)
    mask = visited[-1].prod(dim=0) if upsample is None else upsample.cells(visited[-1])
    return Attribution(to_saliency(1 - mask), trace)


def descend(
    objective: Objective, steps: Steps, iterations: int, progress: Progress | None
) -> tuple[list[Tensor], tuple[float, ...]]:
    """The masks after each iteration, or the start where there is none, and the objective before each."""
    masks = next(steps)
    visited, trace = [], []
    for iteration in range(iterations):
        value, gradient = objective(masks, iteration)
        masks = steps.send(gradient)
        visited.append(masks)
        trace.append(value)
        if progress is not None:
            progress("optimize", iteration + 1, iterations)
    return visited or [masks], tuple(trace)


@dataclass(frozen=True)
class Upsampling:
    """Masks as fine as a model's input, the middles of their outer cells on the border of the image."""

    canvas: Canvas

    def __call__(self, masks: Float[Tensor, "masks rows columns"]) -> Float[Tensor, "masks height width"]:
        # What is removed is upsampled: of nothing it is nothing, to the last bit.
        return 1 - self.canvas.resize(1 - masks, fine_size(self.canvas.size), mode="bilinear", align_corners=True)

    def cells(self, masks: Float[Tensor, "masks rows columns"]) -> Float[Tensor, "rows columns"]:
        """The product of upsampled masks, as cells that each stand for their share of the image."""
        return self.canvas.resize(self(masks).prod(dim=0), (masks.shape[1], masks.shape[2]), mode="area")


@dataclass(frozen=True)
class Objective:
    """The objective of the module's docstring, for one mask or two, and its gradient.

    Attributes:
        score: F.
        steps: path points n.
        penalty: R of the product of the masks at an iteration.
        scale: what F is divided by.
        upsample: makes of masks what the score is given; None where cells are cells, as the score reads them.
        noise: for a number of path images the noise on them; None for none.
    """

    score: AnswerScore
    steps: int
    penalty: Callable[[Tensor, int], Tensor]
    scale: float = 1.0
    upsample: Callable[[Tensor], Tensor] | None = None
    noise: Callable[[int], Noise | None] | None = None

    def __call__(self, masks: Float[Tensor, "masks rows columns"], iteration: int) -> tuple[float, Tensor]:
        """Its value and its gradient at one mask or two."""
        with torch.enable_grad():
            leaf = masks.detach().requires_grad_()
            shown = leaf if self.upsample is None else self.upsample(leaf)
            product = shown.prod(dim=0)
            # With one mask deletion and insertion are one batch; with two each has its own, and both have the product.
            deleted, inserted = (
                (shown, shown)
                if len(masks) == 1
                else (torch.stack([shown[0], product]), torch.stack([shown[1], product]))
            )
            deletion, insertion = self._path_gradients(deleted.detach(), inserted.detach())
            # Its gradient by the cells is that of the scores: slopes are by what was shown.
            linear = (deleted * deletion.slope).sum() - (inserted * insertion.slope).sum()
            penalty = self.penalty(leaf.prod(dim=0), iteration)
            (gradient,) = torch.autograd.grad(linear / (len(masks) * self.scale) + penalty, leaf)
        value = (deletion.value - insertion.value).sum() / len(masks)
        return float(value) / self.scale + float(penalty.detach()), gradient

    def _path_gradients(self, deleted: Tensor, inserted: Tensor) -> tuple[_Path, _Path]:
        """Integrated gradients of F(Phi(M)) and of F(Phi(1-M)) at each of the masks."""
        points = torch.arange(1, self.steps + 1, device=self.score.device, dtype=torch.float32) / self.steps
        path = points[:, None, None, None]
        rows = torch.cat([path * deleted, 1 - path * inserted]).flatten(0, 1)
        noise = None if self.noise is None else self.noise(len(rows))
        values, gradients = self.score.gradient(rows, noise=noise)
        gradients = gradients.reshape(2, self.steps, *deleted.shape)
        values = values.sum(dim=1).reshape(2, self.steps, len(deleted))
        slopes = (path * gradients).mean(dim=1)  # the inner derivative of s*M is s
        return _Path(values[0, -1], slopes[0]), _Path(values[1, -1], -slopes[1])


@dataclass(frozen=True)
class _Path:
    value: Tensor  # (masks,) F at the path's end
    slope: Tensor  # (masks, h, w)


def regularization(
    mask: Float[Tensor, "rows columns"],
    edges: tuple[Tensor, Tensor],
    canvas: Canvas,
    *,
    l1: float,
    tv: float,
    l2: float = 0.0,
    power: float = 2.0,
    corners: bool = False,
) -> Float[Tensor, ""]:
    """R(M) of the module's docstring, `l2` at its iteration; total variations are means over neighbor pairs.

    Cells of two images are no neighbors.
    """
    removed = 1 - mask
    variation = total_variation(mask, power, canvas)
    variation = variation + edge_weighted_variation(mask, edges, power, canvas, corners=corners)
    return l1 * removed.abs().mean() + l2 * removed.square().sum() + tv * variation / 2


def image_edges(score: AnswerScore, image: Float[Tensor, "3 height width"]) -> tuple[Tensor, Tensor]:
    """The edge weights of an image on the score's device. Resampled on the CPU: not every device has the filter."""
    vertical, horizontal = edge_weights(image.cpu(), EDGE_SCALE, score.canvas)
    return vertical.to(score.device), horizontal.to(score.device)


def nesterov(masks: Tensor, settings: IgosPlusSettings) -> Steps:
    """Nesterov's steps: y = M - lr*g, M' = clamp(y + e (y - y_before), 0, 1), e = k / (k + momentum)."""
    before, k = masks, 0
    gradient = yield masks
    while True:
        moved = masks - settings.learning_rate * gradient
        momentum = k / (k + settings.momentum) if k else 0.0
        masks = (moved + momentum * (moved - before)).clamp(0, 1)
        before, k = moved, k + 1
        gradient = yield masks


def fine_size(image_size: Size) -> Size:
    """(height, width) of an upsampled mask for an image of (height, width): about as fine as a model's input."""
    longest = max(image_size)
    side = min(max(longest, FINE[0]), FINE[1])
    height, width = (max(1, round(length * side / longest)) for length in image_size)
    return height, width


def noises(standard_deviation: float, seed: int) -> Callable[[int], Noise | None]:
    """Noise for a number of path images, each time another one."""
    seeds = _seeds(seed)

    def draw(count: int) -> Noise | None:
        if standard_deviation == 0:
            return None
        return Noise(standard_deviation, tuple(next(seeds) for _ in range(count)))

    return draw


def _seeds(seed: int) -> Iterator[int]:
    generator = torch.Generator().manual_seed(seed)
    while True:
        yield int(torch.randint(2**62, (), generator=generator))
