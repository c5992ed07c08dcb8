"""Total variation of a mask, and the form of it that is cheap across the image's edges."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from wherelook.canvas import Canvas

EDGE_SIZE = 224  # longer side of the image on which edges are measured: finer than any mask


def total_variation(values: Float[Tensor, "height width"], power: float, canvas: Canvas) -> Float[Tensor, ""]:
    """Mean over vertical and horizontal neighbors of |difference|^power, summed over the two directions."""
    return sum(
        (steps.abs().pow(power).mean() for steps in _differences(values, canvas) if steps.numel()),
        start=values.new_zeros(()),
    )


def edge_weighted_variation(
    mask: Float[Tensor, "height width"],
    edges: tuple[Tensor, Tensor],
    power: float,
    canvas: Canvas,
    *,
    corners: bool = False,
) -> Float[Tensor, ""]:
    """Total variation of the upsampled mask, cheap across the image's edges.

    With `corners` the middles of the mask's outer cells lie on the image's border, else half a cell within it.
    """
    size = (edges[0].shape[0] + 1, edges[0].shape[1])
    upsampled = canvas.resize(1 - mask, size, mode="bilinear", align_corners=corners)
    return sum(
        (
            (steps.abs().pow(power) * weights).mean()
            for steps, weights in zip(_differences(upsampled, canvas), edges, strict=True)
            if steps.numel()
        ),
        start=mask.new_zeros(()),
    )


def _differences(values: Float[Tensor, "*channels height width"], canvas: Canvas) -> tuple[Tensor, Tensor]:
    """Of vertical (first) and of horizontal neighbors in the same image."""
    vertical, horizontal = torch.diff(values, dim=-2), torch.diff(values, dim=-1)
    if len(canvas) == 1:
        return vertical, horizontal
    return vertical, horizontal[..., canvas.same_image(values.shape[-1]).to(values.device)]


def edge_weights(image: Float[Tensor, "3 height width"], scale: float, canvas: Canvas) -> tuple[Tensor, Tensor]:
    """exp(-dI^2 / scale) between vertical (first) and horizontal neighbors, dI the mean over channels in [0, 1]."""
    height, width = image.shape[1:]
    shrink = min(1.0, EDGE_SIZE / max(height, width))
    size = (max(2, round(height * shrink)), max(2, len(canvas), round(width * shrink)))
    small = canvas.resize(image.float(), size, mode="bilinear", align_corners=False, antialias=True)
    vertical, horizontal = (steps.mean(dim=0) for steps in _differences(small, canvas))
    return torch.exp(-vertical.square() / scale), torch.exp(-horizontal.square() / scale)
