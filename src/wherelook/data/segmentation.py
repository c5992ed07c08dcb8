"""Regions as COCO and those after it write them: runs of pixels (RLE), plain or compressed, and polygons.

A mask has one of these forms, as JSON or as the columns of a Parquet file have it:

    {"size": [height, width], "counts": [3, 2, 7]}      runs, column by column, of pixels outside and inside in turn
    {"size": [height, width], "counts": "327"}          the same, compressed as pycocotools does
    [[x0, y0, x1, y1, x2, y2, ...], ...]                polygons, in pixels of the image
    [[[x0, y0], [x1, y1], ...], ...]                    the same in pairs; one polygon may also stand alone

A list of several runs or polygons marks what one of them marks. All of it comes from strangers: what would take more
room than its image, or holds no numbers, is refused.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool

from wherelook.canvas import Size
from wherelook.data.row import is_number
from wherelook.errors import WherelookError

MOST_POINTS = 100_000
"""Corners of the polygons of one mask."""

MOST_CROSSINGS = 10_000_000
"""Places where edges of the polygons of one mask cross the middle of a row of pixels."""

MOST_PARTS = 1000
"""Runs or polygons of one mask."""

ROOM = 0.5
"""How far, in shares of the image's longer side, a corner may lie outside: what sticks out is cut off."""

LONGEST_COUNT = 13
"""Characters of one compressed count: 5 bits each, so that no larger number is made than a mask can need."""

Polygon = tuple[tuple[float, float], ...]
Counts = tuple[int, ...] | str


@dataclass(frozen=True)
class Runs:
    """A mask as run lengths.

    Attributes:
        size: (height, width).
        counts: lengths of runs in column-major order, the first one outside the region; or compressed.
    """

    size: Size
    counts: Counts

    def mask(self, size: Size) -> Bool[np.ndarray, "height width"]:
        """See `Evidence.mask`."""
        if self.size != size:
            raise WherelookError(
                f"the mask (RLE) is of an image of {self.size[0]} x {self.size[1]} pixels (height x width); this one "
                f"has {size[0]} x {size[1]}"
            )
        pixels = size[0] * size[1]
        counts = uncompressed(self.counts, pixels) if isinstance(self.counts, str) else self.counts
        if sum(counts) != pixels or len(counts) > pixels + 1 or min(counts, default=0) < 0:
            raise WherelookError(
                f"the mask (RLE) has {len(counts)} runs that do not make up its {pixels} pixels: expected counts of 0 "
                "or more that add up to height x width"
            )
        values = np.arange(len(counts)) % 2 == 1
        return np.ascontiguousarray(np.repeat(values, counts).reshape(size[::-1]).T)


@dataclass(frozen=True)
class Polygons:
    """The pixels whose middle lies inside one of several polygons, each by the even-odd rule; corners are (x, y)."""

    polygons: tuple[Polygon, ...]

    def mask(self, size: Size) -> Bool[np.ndarray, "height width"]:
        """See `Evidence.mask`."""
        room = ROOM * max(size)
        for x, y in (corner for polygon in self.polygons for corner in polygon):
            if not (-room <= x <= size[1] + room and -room <= y <= size[0] + room):
                raise WherelookError(
                    f"a corner of the mask's polygons, ({x:g}, {y:g}), lies far outside the image of {size[0]} x "
                    f"{size[1]} pixels (height x width): expected x before y, in pixels"
                )
        if sum(_crossings(polygon, size) for polygon in self.polygons) > MOST_CROSSINGS:
            raise WherelookError(
                f"the edges of the mask's polygons cross rows of pixels more than {MOST_CROSSINGS:,} times: no outline "
                "of a thing does; draw the mask as an image"
            )
        mask = np.zeros(size, dtype=bool)
        for polygon in self.polygons:
            _fill(mask, polygon)
        return mask


@dataclass(frozen=True)
class Segmentation:
    """What one of several parts marks; see the module."""

    parts: tuple[Runs | Polygons, ...]

    @property
    def fingerprint(self) -> str:
        return hashlib.sha256(repr(self.parts).encode()).hexdigest()

    def mask(self, size: Size) -> Bool[np.ndarray, "height width"]:
        """See `Evidence.mask`."""
        mask = np.zeros(size, dtype=bool)
        for part in self.parts:
            mask |= part.mask(size)
        if not mask.any():
            raise WherelookError(
                "the mask marks no pixel of the image: expected runs of marked pixels, or polygons around the middle "
                "of a pixel, x before y, in pixels of the image"
            )
        return mask


def is_segmentation(value: Any) -> bool:
    """Whether a value is meant as runs or polygons, and not as an image of a mask."""
    return isinstance(value, list) or (isinstance(value, dict) and not {"bytes", "path"} & value.keys())


def read_segmentation(value: Any, place: str) -> Segmentation:
    """The region that a value of a table describes.

    Args:
        value: in one of the forms of the module, or a list of such.
        place: what errors call it.

    Raises:
        WherelookError: it has none of these forms, numbers that are none, or more of them than any mask needs.
    """
    if isinstance(value, dict):
        return Segmentation((_runs(value, place),))
    if value and all(isinstance(part, dict) for part in value):
        if len(value) > MOST_PARTS:
            raise _too_many(place)
        return Segmentation(tuple(_runs(part, place) for part in value))
    return Segmentation((Polygons(tuple(_polygons(value, place))),))


def uncompressed(text: str, most: int) -> tuple[int, ...]:
    """The counts of a compressed mask (`rleFrString` of COCO's mask API: groups of 5 bits from the character 48 on, the
    lowest first, the 6th saying that more follow; from the fourth count on they are differences to the one before the
    last).

    Args:
        text: the characters.
        most: of pixels: no mask has more counts than one more than these.

    Raises:
        WherelookError: it is cut off, or no such text.

    >>> uncompressed("312", 6)
    (3, 1, 2)
    """
    counts: list[int] = []
    value = shift = 0
    for letter in text:
        group = ord(letter) - 48
        if not 0 <= group < 64 or shift >= 5 * LONGEST_COUNT or len(counts) > most:
            raise _broken()
        value |= (group & 31) << shift
        shift += 5
        if group & 32:
            continue
        if group & 16:
            value -= 1 << shift
        counts.append(value + counts[-2] if len(counts) > 2 else value)
        value = shift = 0
    if shift:
        raise _broken()
    return tuple(counts)


def _crossings(polygon: Polygon, size: Size) -> int:
    rows = [math.ceil(min(max(y, 0.0), float(size[0])) - 0.5) for _, y in polygon]
    return sum(abs(one - other) for one, other in zip(rows, (*rows[1:], rows[0]), strict=True))


def _fill(mask: Bool[np.ndarray, "height width"], polygon: Polygon) -> None:
    """Marks the pixels whose middle lies inside a polygon by the even-odd rule.

    Along a row of pixels every edge that crosses the line through their middles turns inside to outside, or back.
    """
    size = mask.shape
    (left, right), (top, bottom) = (
        _range(line, side) for line, side in zip(zip(*polygon, strict=True), size[::-1], strict=True)
    )
    turns = np.zeros((bottom - top, right - left + 1), dtype=bool)
    for (x0, y0), (x1, y1) in zip(polygon, (*polygon[1:], polygon[0]), strict=True):
        first, last = _range((y0, y1), size[0])
        if first == last:
            continue
        rows = np.arange(first, last)
        crossings = x0 + (rows + 0.5 - y0) * (x1 - x0) / (y1 - y0)
        columns = np.clip(np.ceil(crossings - 0.5), left, right).astype(np.int64)
        turns[rows - top, columns - left] ^= True
    mask[top:bottom, left:right] |= np.logical_xor.accumulate(turns, axis=1)[:, :-1]


def _range(places: Sequence[float], side: int) -> tuple[int, int]:
    """The first pixel whose middle lies between places along a side of the image, and the one after the last."""
    first, last = (math.ceil(min(max(place, 0.0), float(side)) - 0.5) for place in (min(places), max(places)))
    return max(first, 0), max(last, 0)


def _runs(value: dict[str, Any], place: str) -> Runs:
    size, counts = value.get("size"), value.get("counts")
    if isinstance(counts, bytes):
        counts = counts.decode("ascii", "replace")
    if not (isinstance(size, list | tuple) and len(size) == 2 and all(_whole(side) and side > 0 for side in size)):
        raise WherelookError(f"{place}: the size of a mask (RLE) must be [height, width], two whole numbers")
    height, width = (int(side) for side in size)
    if isinstance(counts, str):
        return Runs((height, width), counts)
    if not (isinstance(counts, list | tuple) and all(map(_whole, counts))):
        raise WherelookError(
            f"{place}: the counts of a mask (RLE) must be whole numbers of 0 or more, or a text as COCO compresses them"
        )
    return Runs((height, width), tuple(int(count) for count in counts))


def _polygons(value: Sequence[Any], place: str) -> Iterator[Polygon]:
    """One polygon or several, each a flat list of numbers or a list of pairs."""
    points = parts = 0
    alone = not value or not isinstance(value[0], list) or _pairs(value)
    for polygon in [value] if alone else value:
        flat = [number for pair in polygon for number in pair] if _pairs(polygon) else polygon
        points, parts = points + (len(flat) // 2 if isinstance(flat, list) else 0), parts + 1
        if points > MOST_POINTS or parts > MOST_PARTS:
            raise _too_many(place)
        if not (isinstance(flat, list) and len(flat) >= 6 and len(flat) % 2 == 0 and all(map(is_number, flat))):
            raise WherelookError(
                f"{place}: a mask that is a list must hold polygons of at least three corners, x and y in turn, finite "
                "numbers; or runs (RLE) with size and counts"
            )
        numbers = [float(number) for number in flat]
        yield tuple(zip(numbers[::2], numbers[1::2], strict=True))


def _pairs(polygon: Any) -> bool:
    """Whether it is a list of pairs of numbers."""
    return isinstance(polygon, list) and all(
        isinstance(pair, list) and len(pair) == 2 and not isinstance(pair[0], list) for pair in polygon
    )


def _whole(value: Any) -> bool:
    """Whether it is a whole number from 0 up that a mask can need; pandas makes fractions of columns with gaps."""
    return is_number(value) and 0 <= value < 2**53 and value == int(value)


def _broken() -> WherelookError:
    return WherelookError("the counts of the mask (RLE) are no text that COCO's compression writes, or cut off")


def _too_many(place: str) -> WherelookError:
    return WherelookError(f"{place}: the mask has more than {MOST_POINTS:,} corners, or {MOST_PARTS:,} parts")
