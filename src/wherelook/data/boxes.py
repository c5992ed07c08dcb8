"""Boxes in the forms that datasets write them, and the pixels that they cover.

A form is named, or follows from the numbers where only one of them fits. `xyxy`: two corners; `xywh`: the upper left
corner, width and height, as COCO has them; `cxcywh`: the center, width and height, as YOLO has them. In pixels, or
with `-relative` in shares of the image's width and height.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np
from jaxtyping import Bool

from wherelook.canvas import Size
from wherelook.errors import InputError, WherelookError

Numbers = tuple[float, float, float, float]

BoxFormat = Literal["xyxy", "xywh", "cxcywh", "xyxy-relative", "xywh-relative", "cxcywh-relative"]
BOX_FORMATS: tuple[BoxFormat, ...] = get_args(BoxFormat)

PIXEL_CORNERS: BoxFormat = "xyxy"
"""What boxes are when nothing else is said of them."""

ENOUGH = 8
"""Boxes that tell corners from width and height: width and height are seldom both larger than the corner's place, and
hardly ever in so many boxes."""

ROUNDING = 1e-3
"""How much a box in shares may stick out, for they are rounded."""

EXACT = 1e-6
"""Pixels that are no more than the rounding of a float."""

MOST_OUTSIDE = 0.5
"""A larger share of a box than this outside the image means another form, or another image."""


def box_mask(boxes: Sequence[Numbers], form: str, size: Size) -> Bool[np.ndarray, "height width"]:
    """True for every pixel that one of the boxes touches; what sticks out of the image is cut off.

    Args:
        boxes: four numbers each.
        form: one of `BOX_FORMATS`.
        size: (height, width) of the image.

    Raises:
        WherelookError: a box has no area, covers less than a pixel, or lies for the most part outside the image.
    """
    height, width = size
    mask = np.zeros(size, dtype=bool)
    for box in boxes:
        found = _visible(box, form, size)
        if found is None:
            raise WherelookError(
                f"box {tuple(box)} does not lie on the image of {height} x {width} pixels (height x width) as {form}: "
                "expected x0 < x1 and y0 < y1, at least a pixel, and half of it inside; of your own table say the form "
                "with box_format=xyxy, xywh or cxcywh, or the same with -relative"
            )
        left, top, right, bottom = found
        mask[
            math.floor(top + EXACT) : math.ceil(bottom - EXACT), math.floor(left + EXACT) : math.ceil(right - EXACT)
        ] = True
    return mask


def lies_on(box: Numbers, form: str, size: Size) -> bool:
    """Whether `box_mask` takes it: at least a pixel, and half of it inside an image of (height, width)."""
    return _visible(box, form, size) is not None


def _visible(box: Numbers, form: str, size: Size) -> Numbers | None:
    """The corners, in pixels, of the part of a box that is inside the image; None where it does not lie on it."""
    height, width = size
    x0, y0, x1, y1 = corners(box, form, size)
    left, top = max(x0, 0.0), max(y0, 0.0)
    right, bottom = min(x1, float(width)), min(y1, float(height))
    area = (x1 - x0) * (y1 - y0)
    inside = max(right - left, 0.0) * max(bottom - top, 0.0)
    tiny = area < 1 and not form.endswith("-relative")
    if not (x0 < x1 and y0 < y1) or tiny or inside < (1 - MOST_OUTSIDE) * area or inside == 0:
        return None
    return left, top, right, bottom


def corners(box: Numbers, form: str, size: Size = (1, 1)) -> Numbers:
    """(x0, y0, x1, y1) of a box in pixels of an image of (height, width)."""
    height, width = size
    kind = form.removesuffix("-relative")
    x, y, right, bottom = box
    if kind == "cxcywh":
        x, y, right, bottom = x - right / 2, y - bottom / 2, x + right / 2, y + bottom / 2
    elif kind == "xywh":
        right, bottom = x + right, y + bottom
    if form.endswith("-relative"):
        return x * width, y * height, right * width, bottom * height
    return x, y, right, bottom


def check_format(form: str) -> BoxFormat:
    """The form of this name.

    Raises:
        InputError: there is none.
    """
    if form not in BOX_FORMATS:
        raise InputError(f"unknown box_format {form!r}; valid: {', '.join(BOX_FORMATS)}")
    return form


def has_area(box: Numbers) -> bool:
    """Whether it is a box in any form."""
    return any(_fits([box], form) for form in BOX_FORMATS)


def infer_format(boxes: Sequence[Numbers], place: str) -> BoxFormat:
    """The form that boxes of one table can only have.

    Args:
        boxes: some of them, at least one.
        place: what errors call the table.

    Raises:
        InputError: several forms fit, or none; it names the option.
    """
    shares = all(0 <= number <= 1 for box in boxes for number in box)
    fitting = [form for form in BOX_FORMATS if form.endswith("-relative") and shares and _fits(boxes, form)]
    relative = bool(fitting)
    fitting = fitting or [form for form in BOX_FORMATS if not form.endswith("-relative") and _fits(boxes, form)]
    if len(fitting) > 1:
        different = [form for form in fitting if any(corners(box, form) != corners(box, fitting[0]) for box in boxes)]
        fitting = fitting if different else fitting[:1]
    if fitting and (len(fitting) == 1 or (not relative and fitting[0] == "xyxy" and len(boxes) >= ENOUGH)):
        return fitting[0]
    told = " or ".join(fitting) if fitting else "none of the known forms"
    raise InputError(
        f"{place}: its boxes, such as {list(boxes[0])}, can be {told}: say which, with ,box_format=NAME after the "
        f"dataset's name ({', '.join(BOX_FORMATS)})"
    )


def _fits(boxes: Sequence[Numbers], form: str) -> bool:
    """Whether all have an area, none begins left of or above the image, and shares none ends beyond it."""
    slack, most = (ROUNDING, 1 + ROUNDING) if form.endswith("-relative") else (1.0, math.inf)
    found = [corners(box, form) for box in boxes]
    return all(x0 < x1 <= most and y0 < y1 <= most and min(x0, y0) >= -slack for x0, y0, x1, y1 in found)
