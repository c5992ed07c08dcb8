"""Total variation of a mask, and the form of it that is cheap across the image's edges."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from wherelook.canvas import resize, same_image

EDGE_SIZE = 224  # longer side of the image on which edges are measured: finer than any mask


def total_variation(
    values: Float[Tensor, "height width"], power: float, widths: Sequence[int] = ()
) -> Float[Tensor, ""]:
    """Mean over vertical and horizontal neighbours of |difference|^power, summed over the two directions."""
    return sum(
        (steps.abs().pow(power).mean() for steps in _differences(values, widths) if steps.numel()),
        start=values.new_zeros(()),
    )


def edge_weighted_variation(
    mask: Float[Tensor, "height width"],
    edges: tuple[Tensor, Tensor],
    power: float,
    widths: Sequence[int] = (),
    *,
    corners: bool = False,
) -> Float[Tensor, ""]:
    """Total variation of the upsampled mask, cheap across the image's edges.

    With `corners` the middles of the mask's outer cells lie on the image's border, else half a cell within it.
    """
    size = (edges[0].shape[0] + 1, edges[0].shape[1])
    upsampled = resize(1 - mask, size, widths, mode="bilinear", align_corners=corners)
    return sum(
        (
            (steps.abs().pow(power) * weights).mean()
            for steps, weights in zip(_differences(upsampled, widths), edges, strict=True)
            if steps.numel()
        ),
        start=mask.new_zeros(()),
    )


def _differences(values: Float[Tensor, "*channels height width"], widths: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Of vertical (first) and of horizontal neighbours in the same image."""
    vertical, horizontal = torch.diff(values, dim=-2), torch.diff(values, dim=-1)
    if len(widths) < 2:
        return vertical, horizontal
    return vertical, horizontal[..., same_image(values.shape[-1], widths).to(values.device)]


def edge_weights(
    image: Float[Tensor, "3 height width"], scale: float, widths: Sequence[int] = ()
) -> tuple[Tensor, Tensor]:
    """exp(-dI^2 / scale) between vertical (first) and horizontal neighbours, dI the mean over channels in [0, 1]."""
    height, width = image.shape[1:]
    shrink = min(1.0, EDGE_SIZE / max(height, width))
    size = (max(2, round(height * shrink)), max(2, len(widths), round(width * shrink)))
    small = resize(image.float(), size, widths, mode="bilinear", align_corners=False, antialias=True)
    vertical, horizontal = (steps.mean(dim=0) for steps in _differences(small, widths))
    return torch.exp(-vertical.square() / scale), torch.exp(-horizontal.square() / scale)
