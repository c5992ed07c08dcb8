"""One or several images of a prompt under one mask.

The images, scaled to one height, lie side by side on a canvas; one image is a canvas of one. A mask covers the canvas,
so that a method or a metric that works on one image works on several: it sees one mask and one score. What must not
happen is that something crosses the border between two images: their last and first columns are neighbors on the canvas
and nowhere else. Whatever looks at neighbors (smoothing, windows, interpolation) therefore goes image by image, with
the functions of `Canvas`.

A mask has any number of columns. They are dealt to the images in proportion to their widths on the canvas, whole
columns only, at least one to each.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from PIL import Image
from scipy.ndimage import gaussian_filter
from torch import Tensor
from torch.nn import functional

from wherelook.errors import InputError

Size = tuple[int, int]
"""(height, width) in pixels or cells."""


def map_size(cells: float, size: Size) -> Size:
    """(rows, columns) of about `cells` x `cells` square cells on an image of (height, width)."""
    aspect = (size[0] / size[1]) ** 0.5
    return max(1, round(cells * aspect)), max(1, round(cells / aspect))


@dataclass(frozen=True)
class Canvas:
    """Images side by side, scaled to one height.

    Attributes:
        sizes: (height, width) in pixels of each image, in the prompt's order.

    Example:
        >>> canvas = Canvas(((60, 80), (60, 40)))
        >>> canvas.size
        (60, 120)
        >>> canvas.columns(6)
        (slice(0, 4, None), slice(4, 6, None))
    """

    sizes: tuple[Size, ...]

    def __len__(self) -> int:
        """How many images."""
        return len(self.sizes)

    @cached_property
    def _height(self) -> float:
        if len({height for height, _ in self.sizes}) == 1:
            return self.sizes[0][0]
        pixels = sum(height * width for height, width in self.sizes)
        result: float = (pixels / sum(width / height for height, width in self.sizes)) ** 0.5
        return result

    @cached_property
    def widths(self) -> tuple[int, ...]:
        """Width in pixels of each image on the canvas."""
        return tuple(max(1, round(width * self._height / height)) for height, width in self.sizes)

    @cached_property
    def size(self) -> Size:
        """(height, width) in pixels: about as many as the images have together; of one image its own."""
        return max(1, round(self._height)), sum(self.widths)

    @property
    def places(self) -> tuple[slice, ...]:
        """Which columns of the canvas's pixels belong to each image."""
        return self.columns(self.size[1])

    def paste(self, pictures: Sequence[Image.Image]) -> UInt8[np.ndarray, "height width 3"]:
        """The pictures of the images side by side, each resized to its place."""
        height, width = self.size
        canvas = Image.new("RGB", (width, height))
        for picture, place in zip(pictures, self.places, strict=True):
            size = (place.stop - place.start, height)
            canvas.paste(picture.resize(size, Image.Resampling.BICUBIC), (place.start, 0))
        return np.array(canvas)

    def columns(self, count: int) -> tuple[slice, ...]:
        """Which of a mask's `count` columns belong to each image.

        Raises:
            InputError: fewer columns than images.
        """
        images = len(self)
        if count < images:
            raise InputError(f"a map of {count} columns cannot tell {images} images apart: give it more cells")
        borders, reached = [0], 0
        for index, width in enumerate(self.widths, start=1):
            reached += width
            ideal = round(count * reached / self.size[1])
            borders.append(min(max(ideal, borders[-1] + 1), count - (images - index)))
        return tuple(slice(start, stop) for start, stop in pairwise(borders))

    def split(self, values: Float[Tensor, "*batch height width"]) -> list[Tensor]:
        """The part of each image; views, not copies."""
        return [values[..., part] for part in self.columns(values.shape[-1])]

    def each(
        self, function: Callable[[Tensor], Tensor], values: Float[Tensor, "*batch height width"]
    ) -> Float[Tensor, "*batch height width"]:
        """`function` of each image's part, put together again."""
        return torch.cat([function(part) for part in self.split(values)], dim=-1)

    def resize(
        self, values: Float[Tensor, "*batch height width"], size: Size, **options: Any
    ) -> Float[Tensor, "*batch rows columns"]:
        """Each image's part resized to its part of a map of `size` cells; `options` are those of `interpolate`."""
        flat = values.reshape(1, -1, *values.shape[-2:])
        resized = [
            functional.interpolate(part, size=(size[0], place.stop - place.start), **options)
            for part, place in zip(self.split(flat), self.columns(size[1]), strict=True)
        ]
        return torch.cat(resized, dim=-1).reshape(*values.shape[:-2], *size)

    def smooth(self, values: Float[Tensor, "height width"], deviation: float) -> Float[Tensor, "height width"]:
        """A Gaussian of this standard deviation, in cells, over a map on the CPU; float64."""
        return self.each(
            lambda part: torch.from_numpy(gaussian_filter(part.numpy(), deviation, mode="nearest")), values.double()
        )

    def same_image(self, count: int) -> Bool[Tensor, " pairs"]:
        """For each of `count` columns but the last, whether the next one belongs to the same image."""
        same = torch.ones(max(0, count - 1), dtype=torch.bool)
        for part in self.columns(count)[:-1]:
            same[part.stop - 1] = False
        return same
