"""What an explanation says of each of several images: its part of the map, where that points, what rests on it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from wherelook.canvas import Canvas
from wherelook.data.images import LoadedImage
from wherelook.explanation.record import Focus, ImagePart
from wherelook.metrics import ImageShare, focus_box, peak


def image_parts(
    images: Sequence[LoadedImage], saliency: Float[Tensor, "height width"], shares: Sequence[ImageShare]
) -> tuple[ImagePart, ...]:
    """A part for each image of a prompt; none where there is one image.

    Args:
        images: in the order of the prompt.
        saliency: the map over their canvas.
        shares: what rests on each; empty where nothing does.
    """
    if len(images) == 1:
        return ()
    parts = _canvas(images).split(saliency)
    known: Sequence[ImageShare | None] = shares or [None] * len(images)
    return tuple(
        ImagePart(
            path=image.path,
            frame=image.frame,
            sha256=image.sha256,
            pixels=image.pixels,
            heatmap=part.numpy().astype(np.float32),
            focus=_focus(part, image) if part.any() else None,
            share=share.share if share else None,
            lost=share.lost if share else None,
            restored=share.restored if share else None,
        )
        for image, part, share in zip(images, parts, known, strict=True)
    )


def focus_of(images: Sequence[LoadedImage], saliency: Float[Tensor, "height width"]) -> Focus:
    """Where the map points, in pixels of the canvas.

    Box and peak are those of the image that the largest value lies in.
    """
    canvas = _canvas(images)
    parts = canvas.split(saliency)
    first = int(torch.stack([part.max() for part in parts]).argmax())
    focus, place, (height, width) = _focus(parts[first], images[first]), canvas.places[first], images[first].size
    left, across, down = place.start, (place.stop - place.start) / width, canvas.size[0] / height
    x0, y0, x1, y1 = focus.box
    return Focus(
        (left + int(x0 * across), int(y0 * down), left + int(np.ceil(x1 * across)), int(np.ceil(y1 * down))),
        (left + focus.peak[0] * across, focus.peak[1] * down),
    )


def _canvas(images: Sequence[LoadedImage]) -> Canvas:
    return Canvas(tuple(image.size for image in images))


def _focus(saliency: Tensor, image: LoadedImage) -> Focus:
    return Focus(focus_box(saliency, image.size), peak(saliency, image.size))
