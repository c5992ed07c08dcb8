"""Images that are no pictures: masks of regions, and maps of where people looked, in every mode that files have."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float
from PIL import Image

from wherelook.data.images import decode_with, upright
from wherelook.errors import InputError

ALPHA = ("RGBA", "LA", "PA", "RGBa", "La")


def region_of(data: bytes, name: str) -> Bool[np.ndarray, "height width"]:
    """The pixels of a mask that are marked, as the mode of the file tells.

    Of gray levels (1, 8, 16 or 32 bits, or floating point) those above 0: a mask of 0 and 1 is as good as one of 0 and
    255. Of colors those that are not black. Of a palette those whose color is not black, or, where no color that is
    used is black, whose index is not 0. Of transparency what is not wholly transparent; where the rest is drawn in
    black and one other color, that other color alone.

    Args:
        data: the file's bytes.
        name: what errors call it.

    Raises:
        InputError: it cannot be read; see `wherelook.data.images.load_image`.
    """
    return decode_with(data, name, lambda image: _region(upright(image), name))


def gray_levels(data: bytes, name: str) -> Float[np.ndarray, "height width"]:
    """The gray levels of a map, float32 in the file's own units, whatever its depth; transparent is 0.

    Args, Raises: see `region_of`.
    """
    return decode_with(data, name, lambda image: _levels(upright(image), name))


def _region(image: Image.Image, name: str) -> np.ndarray:
    if image.mode in ALPHA or "transparency" in image.info:
        pixels = np.asarray(image.convert("RGBA"))
        opaque = pixels[..., 3] > 0
        if not opaque.all():
            colors = np.unique(pixels[opaque][:, :3], axis=0)
            drawn = len(colors) == 2 and not colors[0].any()
            return np.asarray(opaque & pixels[..., :3].any(axis=2)) if drawn else opaque
        return np.asarray(pixels[..., :3].any(axis=2))
    if image.mode == "P":
        indices = np.asarray(image)
        colored = np.asarray(np.asarray(image.convert("RGB")).any(axis=2))
        return colored if colored.any() and not colored.all() else np.asarray(indices > 0)
    if image.mode in ("RGB", "CMYK", "YCbCr", "HSV", "LAB"):
        return np.asarray(np.asarray(image.convert("RGB")).any(axis=2))
    return _numbers(image, name) > 0


def _levels(image: Image.Image, name: str) -> np.ndarray:
    if image.mode in ALPHA or "transparency" in image.info:
        on_black = Image.alpha_composite(Image.new("RGBA", image.size, "black"), image.convert("RGBA"))
        return np.asarray(on_black.convert("L"), np.float32)
    if image.mode in ("P", "RGB", "CMYK", "YCbCr", "HSV", "LAB"):
        return np.asarray(image.convert("RGB").convert("L"), np.float32)
    return np.maximum(_numbers(image, name), 0)


def _numbers(image: Image.Image, name: str) -> np.ndarray:
    """Of an image of one channel, float32."""
    values = np.asarray(image, np.float32)
    if not np.isfinite(values).all():
        raise InputError(f"{name} holds values that are not finite; expected numbers, 0 where nothing is marked")
    return values
