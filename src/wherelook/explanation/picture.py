"""Pictures of a map: false colors, and the overlay on the image.

A map is small (some 28 cells a side) and the image may have 100 million pixels, so everything here works on horizontal
strips: beyond the result, memory does not grow with the image.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from wherelook.canvas import Size

# The anchors of "plasma" (CC0): lightness only rises, so the order survives gray print and color blindness.
COLOR_ANCHORS = ((13, 8, 135), (106, 0, 168), (177, 42, 144), (225, 100, 98), (252, 166, 54), (240, 249, 33))

TRANSPARENT_BELOW, OPAQUE_FROM = 0.1, 0.5
"""Saliency up to which the image stays untouched, and from which the color has its full opacity."""

OUTLINE_LEVEL = 0.5  # share of the maximum, as for the focus box
SMALLEST_OUTLINED = 48  # pixels of the shorter side: below, a line would hide what it surrounds
STRIP_PIXELS = 1 << 20

NO_FOCUS = "no focus region: the answer rests too little on the image"
NO_FOCUS_SHORT = "no focus region"
SMALLEST_TEXT = 10  # pixels

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def overlay(
    pixels: NDArray[np.uint8],
    saliency: Float[np.ndarray, "rows columns"],
    *,
    opacity: float = 0.65,
    meaningful: bool = True,
) -> Image.Image:
    """A map on its image: color where the saliency is high, the image itself elsewhere.

    Args:
        pixels: (height, width, 3), the image; not changed.
        saliency: values in [0, 1], of any resolution, over the whole image.
        opacity: of the colors where the saliency is at least a half, in [0, 1]. It falls to nothing at a saliency of
            0.1; where the saliency is lower, every pixel is the image's own.
        meaningful: False draws no map: the image turns gray and hatched, and says that there is no focus region.

    Returns:
        An RGB image of the same size. A thin line surrounds the region of at least half the maximum, unless the image
        is too small for one.
    """
    if not meaningful:
        return _no_focus(pixels)
    result = np.array(pixels)
    for strip in _strips(saliency, pixels.shape[:2]):
        _tint(result[strip.rows], strip.values, opacity)
        if min(pixels.shape[:2]) >= SMALLEST_OUTLINED and opacity > 0:
            _outline(result[strip.rows], strip, max(pixels.shape[:2]), OUTLINE_LEVEL * float(saliency.max()))
    return Image.fromarray(result)


def heatmap(
    saliency: Float[np.ndarray, "rows columns"], size: tuple[int, int], *, meaningful: bool = True
) -> Image.Image:
    """A map in false colors, from dark blue (0) to yellow (1).

    Args:
        saliency: values in [0, 1].
        size: (height, width) of the picture; the map is interpolated to it.
        meaningful: False draws a gray, hatched picture that says that there is no focus region.

    Returns:
        An RGB image.
    """
    if not meaningful:
        return _no_focus(np.broadcast_to(np.uint8(128), (*size, 3)))
    result = np.empty((*size, 3), np.uint8)
    for strip in _strips(saliency, size):
        result[strip.rows] = _color_table()[_levels(strip.values)]
    return Image.fromarray(result)


def layer(saliency: Float[np.ndarray, "rows columns"], size: tuple[int, int]) -> Image.Image:
    """The colors of `overlay` at opacity 1 alone, transparent where the saliency is low, without the line.

    A palette image with transparency: a quarter of the bytes of RGBA, and shown at any opacity by its viewer.
    """
    levels = np.empty(size, np.uint8)
    for strip in _strips(saliency, size):
        levels[strip.rows] = _levels(strip.values)
    opacities = np.rint(255 * strength(np.linspace(0, 1, 256))).astype(np.uint8)
    picture = Image.fromarray(levels)
    picture.putpalette(np.column_stack([_color_table(), opacities]).tobytes(), "RGBA")
    return picture


def contour(
    saliency: Float[np.ndarray, "rows columns"], level: float
) -> list[tuple[tuple[float, float], tuple[float, float]]]:
    """Line segments where the interpolated map crosses `level` (marching squares).

    Returns:
        Pairs of (x, y), as shares of the image's width and height. A line that reaches the border goes on beyond it.
    """
    values = np.pad(saliency, 1, mode="edge")
    above = values >= level
    corners = above[:-1, :-1].astype(int) + above[:-1, 1:] + above[1:, 1:] + above[1:, :-1]
    segments = []
    for row, column in np.argwhere((corners > 0) & (corners < 4)).tolist():
        ring = [(row, column), (row, column + 1), (row + 1, column + 1), (row + 1, column)]
        crossings = []
        for start, end in zip(ring, ring[1:] + ring[:1], strict=True):
            if above[start] != above[end]:
                share = (level - values[start]) / (values[end] - values[start])
                y, x = (float(first + share * (second - first)) for first, second in zip(start, end, strict=True))
                # Index 1 of the padded map is the first cell, whose middle is half a cell from the border.
                crossings.append(((x - 0.5) / saliency.shape[1], (y - 0.5) / saliency.shape[0]))
        segments += list(zip(crossings[::2], crossings[1::2], strict=True))
    return segments


class _Strip(NamedTuple):
    """Rows of the interpolated map: values, and their change per pixel to the right and downwards."""

    rows: slice
    values: NDArray[np.float32]
    slope_x: NDArray[np.float32]
    slope_y: NDArray[np.float32]


def _strips(saliency: Float[np.ndarray, "rows columns"], size: Size) -> Iterator[_Strip]:
    """The map interpolated to (height, width), from top to bottom."""
    height, width = size
    down = _interpolation(height, saliency.shape[0])
    across = (saliency.astype(np.float32) @ _interpolation(width, saliency.shape[1]).T).clip(0, 1)
    down_slope, across_slope = _differences(down, 0), _differences(across, 1)
    step = max(1, STRIP_PIXELS // width)
    for top in range(0, height, step):
        rows = slice(top, min(top + step, height))
        yield _Strip(rows, down[rows] @ across, down[rows] @ across_slope, down_slope[rows] @ across)


def _interpolation(length: int, cells: int) -> NDArray[np.float32]:
    """(length, cells): bilinear weights of the cells for each pixel; cells finer than pixels are averaged."""
    scale = cells / length
    centers = (np.arange(length) + 0.5) * scale - 0.5
    weights = np.maximum(0, 1 - np.abs(centers[:, None] - np.arange(cells)) / max(1.0, scale))
    result: NDArray[np.float32] = (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
    return result


def _differences(values: NDArray[np.float32], axis: int) -> NDArray[np.float32]:
    return np.gradient(values, axis=axis) if values.shape[axis] > 1 else np.zeros_like(values)


@cache
def _color_table() -> NDArray[np.uint8]:
    positions = np.linspace(0, 1, len(COLOR_ANCHORS))
    channels = [np.interp(np.linspace(0, 1, 256), positions, channel) for channel in zip(*COLOR_ANCHORS, strict=True)]
    result: NDArray[np.uint8] = np.rint(np.stack(channels, axis=1)).astype(np.uint8)
    return result


def _levels(values: NDArray[np.float32]) -> NDArray[np.uint8]:
    return np.rint(values * 255).clip(0, 255).astype(np.uint8)


def strength(values: NDArray[Any]) -> NDArray[Any]:
    """The share of the full opacity with which a saliency is drawn, in [0, 1]."""
    return ((values - TRANSPARENT_BELOW) / (OPAQUE_FROM - TRANSPARENT_BELOW)).clip(0, 1)


def _tint(pixels: NDArray[np.uint8], values: NDArray[np.float32], opacity: float) -> None:
    """Mixes the map's colors into a strip, in place."""
    touched = values > TRANSPARENT_BELOW
    weights = (opacity * strength(values[touched]))[:, None]
    colors = _color_table()[_levels(values[touched])]
    pixels[touched] = np.rint(pixels[touched] * (1 - weights) + colors * weights).astype(np.uint8)


def _outline(pixels: NDArray[np.uint8], strip: _Strip, longest_side: int, level: float) -> None:
    """Draws a white line with a dark rim, which shows on every background, where the map crosses a level; in place."""
    slope = np.hypot(strip.slope_x, strip.slope_y)
    # A plateau that happens to lie at the level has no slope: it is a region, not a line.
    clear = (slope > 0.02 / longest_side) & (strip.values > TRANSPARENT_BELOW)
    distance = np.abs(strip.values[clear] - level) / slope[clear]
    width = max(1.0, longest_side / 450)
    colors = pixels[clear].astype(np.float32)
    for half_width, color, strength in ((width, 0, 0.55), (width / 2, 255, 0.95)):
        cover = strength * (half_width + 0.5 - distance).clip(0, 1)[:, None]  # anti-aliased: half a pixel of ramp
        colors += (color - colors) * cover
    pixels[clear] = np.rint(colors).astype(np.uint8)


def _no_focus(pixels: NDArray[np.uint8]) -> Image.Image:
    """The image in faded gray under diagonal lines, with a label if there is room for one."""
    height, width = pixels.shape[:2]
    period = max(6, max(height, width) // 28)
    faded = 0.45 * np.arange(256) + 75
    plain, lined = (np.rint(levels).astype(np.uint8) for levels in (faded, 0.4 * faded + 0.6 * 235))
    # The lines repeat after a period in either direction.
    line = np.arange(width + period) % period < max(1, period // 5)
    result = np.empty((height, width), np.uint8)
    step = max(1, STRIP_PIXELS // width)
    for top in range(0, height, step):
        rows = slice(top, min(top + step, height))
        gray = np.asarray(Image.fromarray(np.ascontiguousarray(pixels[rows])).convert("L"))
        result[rows] = plain[gray]
        for row, levels in enumerate(gray, start=top):
            on = line[row % period : row % period + width]
            result[row][on] = lined[levels[on]]
    picture = Image.fromarray(result).convert("RGB")
    _label(picture)
    return picture


def _label(picture: Image.Image) -> None:
    """Writes `NO_FOCUS` in the middle, as large as reads well; less of it, or nothing, where it does not fit."""
    room = 0.9 * picture.width
    for text, share in ((NO_FOCUS, 0.45), (NO_FOCUS_SHORT, 0.8)):
        size = max(SMALLEST_TEXT, round(min(picture.width / 22, picture.height / 8)))
        while size >= SMALLEST_TEXT:
            font = ImageFont.load_default(size)
            lines = _wrap(text, font, room)
            margin = size / 2
            height = size * 1.25 * len(lines) + margin
            if max(font.getlength(line) for line in lines) <= room and height <= share * picture.height:
                _draw_label(picture, lines, font, size, height)
                return
            size = size - max(1, size // 8)


def _draw_label(picture: Image.Image, lines: list[str], font: Font, size: int, height: float) -> None:
    draw = ImageDraw.Draw(picture)
    top = (picture.height - height) / 2
    draw.rectangle((0, top, picture.width, top + height), fill=(24, 24, 28))
    for index, line in enumerate(lines):
        y = top + size / 4 + (index + 0.5) * size * 1.25
        draw.text((picture.width / 2, y), line, font=font, fill="white", anchor="mm")


def _wrap(text: str, font: Font, room: float) -> list[str]:
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and font.getlength(longer) <= room and not lines[-1].endswith(":"):
            lines[-1] = longer
        else:
            lines.append(word)
    return lines
