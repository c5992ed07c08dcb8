"""Images that are no pictures: masks of regions, and maps of where people looked, in every mode that files have."""

from __future__ import annotations

import re

import numpy as np
from jaxtyping import Bool, Float
from PIL import Image

from wherelook.data.images import MAXIMUM_PIXELS, decode_with, upright
from wherelook.errors import InputError

ARRAY = b"\x93NUMPY"
"""How a file of `numpy.save` begins."""

VERSIONS = (b"\x01\x00", b"\x02\x00")
HEADER = re.compile(
    rb"\{'descr': '([<>|=]?[buif]\d{1,2})', 'fortran_order': (True|False), 'shape': \((\d{1,9})L?, (\d{1,9})L?\), \}\s*"
)
LONGEST_HEADER = 1000
"""Bytes; numpy pads to a multiple of 64."""

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
    result: np.ndarray = np.maximum(_numbers(image, name), 0)
    return result


def _array(data: bytes, name: str) -> np.ndarray:
    """The array of a .npy file: two-dimensional, of numbers. Nothing is unpickled, and no more is made than there is.

    The header is matched as `numpy.save` writes it for such an array, and not evaluated as the format would have it
    (https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html).

    Raises:
        InputError: it holds something else, or less than it says.
    """
    wide = data[6:7] != b"\x01"  # of the length of the header: 2 bytes in version 1, 4 in version 2
    begin = 12 if wide else 10
    end = begin + int.from_bytes(data[8:begin], "little")
    header = HEADER.fullmatch(data[begin : min(end, begin + LONGEST_HEADER)]) if data[6:8] in VERSIONS else None
    if header is None:
        said = data[begin : min(end, begin + 100)].decode("latin-1").strip()
        raise InputError(
            f"{name} is no array of numbers, (height, width), as numpy.save writes it; its header is {said!a}"
        )
    kind, by_column, shape = header[1].decode(), header[2] == b"True", (int(header[3]), int(header[4]))
    try:
        dtype = np.dtype(kind)
    except TypeError as error:
        raise InputError(f"{name} holds numbers of a type that numpy does not have: {kind!r}") from error
    pixels = shape[0] * shape[1]
    if not 0 < pixels <= MAXIMUM_PIXELS or pixels * dtype.itemsize != len(data) - end:
        raise InputError(f"{name} is cut off, empty or too large: its shape is said to be {shape}")
    values = np.frombuffer(data, dtype, offset=end).reshape(shape, order="F" if by_column else "C")
    return _finite(values, name)


def _numbers(image: Image.Image, name: str) -> np.ndarray:
    """Of an image of one channel, float32."""
    return _finite(np.asarray(image, np.float32), name)


def _finite(values: np.ndarray, name: str) -> np.ndarray:
    if not np.isfinite(values).all():
        raise InputError(f"{name} holds values that are not finite; expected numbers, 0 where nothing is marked")
    return values
