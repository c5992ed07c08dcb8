"""iGOS+ and iGOS++ written out a second time, from the equations of the papers alone: pixels in, masks out.

arXiv 2503.13891 (one mask), arXiv 2012.15783 (two masks), without noise. Nothing of the package is used. As in the
published code a mask is upsampled with aligned corners, and of two masks the upsampled ones are multiplied.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

LogProbability = Callable[[Tensor], Tensor]
"""Images (n, 3, height, width) to the summed log-probability of the answer's tokens (n)."""

L1, L2, L3, GAMMA, BETA, SIGMA = 1.0, 0.1, 10.0, 1.0, 2.0, 0.01
STEPS, ITERATIONS, MOMENTUM, RATE, CELLS = 10, 5, 5.0, 10.0, 32
"""Constants of the published example of use."""


def upsample(mask: Tensor, size: tuple[int, int]) -> Tensor:
    return functional.interpolate(mask[None, None], size=size, mode="bilinear", align_corners=True)[0, 0]


def variation(values: Tensor, guide: Tensor | None = None) -> Tensor:
    """TV_beta as a mean over pairs of neighbors, each weighted by exp(-dI^2 / sigma) where a guide is given."""
    total = torch.zeros(())
    for axis in (0, 1):
        steps = values.diff(dim=axis).abs() ** BETA
        if guide is not None:
            steps = steps * torch.exp(-(guide.diff(dim=axis + 1).mean(dim=0) ** 2) / SIGMA)
        total = total + steps.mean()
    return total


def published_mask(score: LogProbability, image: Tensor, baseline: Tensor, guide: Tensor, *, masks: int) -> Tensor:
    """(height, width): the mask at the pixels after the last iteration, low where the image matters.

    Args:
        score: F.
        image, baseline: (3, height, width), as the model takes them.
        guide: the image in [0, 1], whose edges guide the bilateral total variation.
        masks: 1 for iGOS+, 2 for iGOS++.
    """
    size = (image.shape[1], image.shape[2])
    state, before = [torch.ones(CELLS, CELLS) for _ in range(masks)], None
    for k in range(ITERATIONS):
        leaves = [one.clone().requires_grad_() for one in state]
        at_pixels = [upsample(leaf, size) for leaf in leaves]
        objective = torch.zeros(())
        pairs = [(at_pixels[0], at_pixels[0])]
        if masks == 2:
            joint = at_pixels[0] * at_pixels[1]
            pairs = [(at_pixels[0], at_pixels[1]), (joint, joint)]
        for step in range(1, STEPS + 1):
            s = step / STEPS
            for kept, shown in pairs:
                removed = image * (s * kept) + baseline * (1 - s * kept)
                revealed = baseline * (s * shown) + image * (1 - s * shown)
                objective = objective + (score(removed[None])[0] - score(revealed[None])[0]) / STEPS / masks
        mask = leaves[0] if masks == 1 else leaves[0] * leaves[1]
        penalty = (
            L1 * (1 - mask).abs().mean()
            + L2 * math.exp(-GAMMA * k) * ((1 - mask) ** 2).sum()
            + L3 * (variation(mask) + variation(upsample(mask, size), guide)) / 2
        )
        gradients = torch.autograd.grad(objective + penalty, leaves)
        moved = [one - RATE * gradient for one, gradient in zip(state, gradients, strict=True)]
        e = k / (k + MOMENTUM)
        last = moved if before is None else before
        state = [(now + e * (now - then)).clamp(0, 1) for now, then in zip(moved, last, strict=True)]
        before = moved
    final = [upsample(one, size) for one in state]
    return final[0] if masks == 1 else final[0] * final[1]
