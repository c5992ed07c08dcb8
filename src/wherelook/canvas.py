"""Several images of one prompt under one mask.

The images, scaled to one height, lie side by side on a sheet, as on a photographer's contact sheet. A mask covers the
sheet, so that a method or a metric that works on one image works on several: it sees one mask and one score. What must
not happen is that something crosses the border between two images: their last and first columns are neighbours on the
sheet and nowhere else. Whatever looks at neighbours (smoothing, windows, interpolation) therefore goes image by image,
with the functions here.

A mask has any number of columns. They are dealt to the images in proportion to their widths on the sheet, whole columns
only, at least one to each.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

from wherelook.errors import InputError
from wherelook.score import AnswerScore, SeveralImages, Size


def sheet_widths(sizes: Sequence[Size]) -> tuple[int, ...]:
    """Widths in pixels of images of these (height, width) on their sheet."""
    height = _sheet_height(sizes)
    return tuple(max(1, round(width * height / own)) for own, width in sizes)


def sheet_size(sizes: Sequence[Size]) -> Size:
    """(height, width) in pixels of the sheet. It has about as many pixels as the images together; one image is its own
    sheet.
    """
    return max(1, round(_sheet_height(sizes))), sum(sheet_widths(sizes))


def _sheet_height(sizes: Sequence[Size]) -> float:
    heights = {height for height, _ in sizes}
    if len(heights) == 1:
        return heights.pop()
    return (sum(height * width for height, width in sizes) / sum(width / height for height, width in sizes)) ** 0.5


def widths_of(score: AnswerScore) -> tuple[int, ...]:
    """Widths of a score's images on their sheet; empty where it has one image."""
    return score.image_widths if isinstance(score, SeveralImages) else ()


def columns(count: int, widths: Sequence[int]) -> tuple[slice, ...]:
    """Which of `count` columns belong to each image; all of them where there are no widths.

    Raises:
        InputError: fewer columns than images.
    """
    images = len(widths)
    if images < 2:
        return (slice(0, count),)
    if count < images:
        raise InputError(f"a map of {count} columns cannot tell {images} images apart: give it more cells")
    borders, reached = [0], 0
    for index, width in enumerate(widths, start=1):
        reached += width
        ideal = round(count * reached / sum(widths))
        borders.append(min(max(ideal, borders[-1] + 1), count - (images - index)))
    return tuple(slice(start, stop) for start, stop in pairwise(borders))


def split(values: Float[Tensor, "*batch height width"], widths: Sequence[int]) -> list[Tensor]:
    """The part of each image; views, not copies."""
    return [values[..., part] for part in columns(values.shape[-1], widths)]


def each_image(
    values: Float[Tensor, "*batch height width"], widths: Sequence[int], function: Callable[[Tensor], Tensor]
) -> Float[Tensor, "*batch height width"]:
    """`function` of each image's part, put together again."""
    return torch.cat([function(part) for part in split(values, widths)], dim=-1)


def resize(
    values: Float[Tensor, "*batch height width"], size: Size, widths: Sequence[int], **options: object
) -> Float[Tensor, "*batch rows columns"]:
    """Each image's part resized to its part of a sheet of `size` cells; `options` are those of `interpolate`."""
    flat = values.reshape(1, -1, *values.shape[-2:])
    resized = [
        functional.interpolate(part, size=(size[0], place.stop - place.start), **options)  # type: ignore[arg-type]
        for part, place in zip(split(flat, widths), columns(size[1], widths), strict=True)
    ]
    return torch.cat(resized, dim=-1).reshape(*values.shape[:-2], *size)


def same_image(count: int, widths: Sequence[int]) -> Bool[Tensor, " pairs"]:
    """For each column but the last, whether the next one belongs to the same image."""
    same = torch.ones(max(0, count - 1), dtype=torch.bool)
    for part in columns(count, widths)[:-1]:
        same[part.stop - 1] = False
    return same
