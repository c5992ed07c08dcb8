"""Score functions without a model: log-probabilities that are a known function of the mask."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from wherelook.canvas import Canvas
from wherelook.metrics import MapContext
from wherelook.score import Cost, Noise

Function = Callable[[Tensor], Tensor]
"""Masks (masks, height, width) to log-probabilities (masks, tokens)."""


class ToyScore:
    """An `AnswerScore` (wherelook.score) on a differentiable function. It remembers every mask that it was given.

    Noise enters as a small known term: a mask with seed s gains `noise.standard_deviation * (s % 1000) / 1000 * mean`.
    """

    def __init__(self, function: Function, *, image_size: tuple[int, int] = (64, 64)) -> None:
        self.function = function
        self.canvas = Canvas((image_size,))
        self.cost = Cost()
        self.device = torch.device("cpu")
        self.asked: list[Tensor] = []
        self.noises: list[Noise | None] = []
        self.original = function(torch.ones(1, *image_size))[0]
        self.baseline = function(torch.zeros(1, *image_size))[0]

    def __call__(self, masks: Tensor) -> Tensor:
        self.asked.append(masks.detach().clone())
        self.cost.add(forward=len(masks))
        return self.function(masks)

    def gradient(self, masks: Tensor, *, noise: Noise | None = None) -> tuple[Tensor, Tensor]:
        self.noises.append(noise)
        leaf = masks.detach().clone().requires_grad_()
        with torch.enable_grad():
            values = self(leaf)
            if noise is not None:
                shares = torch.tensor([seed % 1000 for seed in noise.seeds]) / 1000
                values = values + (noise.standard_deviation * shares * leaf.mean(dim=(1, 2)))[:, None]
            (gradients,) = torch.autograd.grad(values.sum(), leaf)
        self.cost.add(backward=len(masks))
        return values.detach(), gradients


class PixelScore(ToyScore):
    """A `ToyScore` whose pixels are the cells of the asked grid: the mask itself. Its noise is that of `gradient`."""

    def pixel_gradient(self, grid: tuple[int, int], *, noise: Noise | None = None) -> Tensor:
        copies = 1 if noise is None else len(noise.seeds)
        _, slopes = self.gradient(torch.ones(copies, *grid), noise=noise)
        return slopes.mean(dim=0).abs()


def planted(region: Tensor, *, depth: float = 5.0, sharpness: float = 8.0) -> Function:
    """log p = log sigmoid of the share of `region` that the mask keeps: near 0 when kept, about -`depth` when lost.

    Args:
        region: (rows, columns) weights, not negative, resized to the mask.
        depth: nats lost without the region, about.
        sharpness: how suddenly.
    """

    def function(masks: Tensor) -> Tensor:
        weights = functional.interpolate(region[None, None], size=masks.shape[1:], mode="nearest-exact")[0, 0]
        kept = (masks * weights / weights.sum()).sum(dim=(1, 2))
        return (depth * functional.logsigmoid(sharpness * (kept - 0.5)) / sharpness * 2)[:, None]

    return function


def additive(weights: Tensor) -> Function:
    """log p = sum of weights * (mask - 1) on the grid of `weights`: every cell's share is independent of the others."""

    def function(masks: Tensor) -> Tensor:
        size = (weights.shape[0], weights.shape[1])
        resized = functional.interpolate(masks[:, None], size=size, mode="nearest-exact")[:, 0]
        return ((resized - 1) * weights).sum(dim=(1, 2))[:, None]

    return function


def constant(masks: Tensor) -> Tensor:
    """A score of two tokens that does not depend on the mask; its gradient exists and is zero."""
    return torch.full((len(masks), 2), -0.7) + 0.0 * masks.sum(dim=(1, 2))[:, None]


def map_context(saliency: Tensor, score: ToyScore | None = None, **known: Any) -> MapContext:
    """What a metric is given, on a score without a model: whatever is shown, the answer holds."""
    shown = score or ToyScore(constant)
    return MapContext(
        saliency=saliency,
        score=shown,
        other_score=lambda: shown,
        still_holds=lambda score, mask: True,
        superpixels=lambda: np.arange(16).reshape(4, 4),
        **known,
    )
