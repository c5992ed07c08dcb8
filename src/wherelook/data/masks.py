"""Images that are no pictures: masks of regions, and maps of where people looked, in every mode that files have."""

from __future__ import annotations

import io
import math

import numpy as np
from jaxtyping import Bool, Float
from PIL import Image

from wherelook.data.images import MAXIMUM_PIXELS, decode_with, upright
from wherelook.errors import InputError

ARRAY = b"\x93NUMPY"
"""How a file of `numpy.save` begins."""

ALPHA = ("RGBA", "LA", "PA", "RGBa", "La")


def region_of(data: bytes, name: str) -> Bool[np.ndarray, "height width"]:
    """The pixels of a mask that are marked, as the mode of the file tells.

    Of gray levels (1, 8, 16 or 32 bits, or floating point) those above 0: a mask of 0 and 1 is as good as one of 0 and
    255. Of colors those that are not black. Of a palette those whose color is not black, or, where no color that is
    used is black, whose index is not 0. Of transparency what is not wholly transparent; where the rest is drawn in
    black and one other color, that other color alone. Of an array (.npy) the numbers above 0.

    Args:
        data: the file's bytes.
        name: what errors call it.

    Raises:
        InputError: it cannot be read; see `wherelook.data.images.load_image`.
    """
    if data.startswith(ARRAY):
        return _array(data, name) > 0
    return decode_with(data, name, lambda image: _region(upright(image), name))


def gray_levels(data: bytes, name: str) -> Float[np.ndarray, "height width"]:
    """The gray levels of a map, or the numbers of an array (.npy), float32 in the file's own units; transparent is 0.

    Args, Raises: see `region_of`.
    """
    if data.startswith(ARRAY):
        with np.errstate(over="ignore"):
            levels = np.maximum(_array(data, name).astype(np.float32), 0)
        return _finite(levels, name)
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


def _array(data: bytes, name: str) -> np.ndarray:
    """The array of a .npy file: two-dimensional, of numbers. Nothing is unpickled, and no more is made than there is.

    Raises:
        InputError: it holds something else, or less than it says.
    """
    stream = io.BytesIO(data)
    try:
        readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
        shape, by_column, dtype = readers[np.lib.format.read_magic(stream)](stream)
    except (ValueError, KeyError, TypeError, SyntaxError, RecursionError, MemoryError, EOFError) as error:
        raise InputError(f"{name} is no array that numpy.save wrote, or damaged") from error
    if dtype.kind not in "buif" or len(shape) != 2:
        raise InputError(f"{name} holds {dtype.name} of shape {str(shape)[:60]}; expected numbers of (height, width)")
    cut = math.prod(shape) * dtype.itemsize != len(data) - stream.tell()
    if cut or min(shape) < 1 or math.prod(shape) > MAXIMUM_PIXELS:
        raise InputError(f"{name} is cut off, empty or too large: its shape is said to be {str(shape)[:60]}")
    values = np.frombuffer(data, dtype, offset=stream.tell()).reshape(shape, order="F" if by_column else "C")
    return _finite(values, name)


def _numbers(image: Image.Image, name: str) -> np.ndarray:
    """Of an image of one channel, float32."""
    return _finite(np.asarray(image, np.float32), name)


def _finite(values: np.ndarray, name: str) -> np.ndarray:
    if not np.isfinite(values).all():
        raise InputError(f"{name} holds values that are not finite; expected numbers, 0 where nothing is marked")
    return values
