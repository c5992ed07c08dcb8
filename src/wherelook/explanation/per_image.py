"""What an explanation says of each of several images: its part of the map, where that points, what rests on it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from torch import Tensor

from wherelook.canvas import Canvas
from wherelook.data.images import LoadedImage
from wherelook.explanation.record import Focus, ImagePart
from wherelook.metrics import ImageShare, focus_box, peak


def image_parts(
    images: Sequence[LoadedImage], saliency: Float[Tensor, "height width"], shares: Sequence[ImageShare]
) -> tuple[ImagePart, ...]:
    """A part for each image of a prompt.

    Args:
        images: in the order of the prompt.
        saliency: the map over their canvas.
        shares: what rests on each; empty where nothing does.
    """
    parts = Canvas(tuple(image.size for image in images)).split(saliency)
    known: Sequence[ImageShare | None] = shares or [None] * len(images)
    return tuple(
        ImagePart(
            path=image.path,
            frame=image.frame,
            sha256=image.sha256,
            pixels=image.pixels,
            heatmap=part.numpy().astype(np.float32),
            focus=Focus(focus_box(part, image.size), peak(part, image.size)) if part.any() else None,
            share=share.share if share else None,
            lost=share.lost if share else None,
            restored=share.restored if share else None,
        )
        for image, part, share in zip(images, parts, known, strict=True)
    )
