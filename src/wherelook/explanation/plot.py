"""An explanation in matplotlib, by its object-oriented interface: pyplot's figures and settings stay as they are."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import shorten
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from wherelook.errors import InputError
from wherelook.explanation import picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from wherelook.explanation.record import Explanation

COLORS = "plasma"
"""matplotlib's name of the colors of `picture.COLOR_ANCHORS`."""

LINE = 70
"""Characters of a question or an answer in a title."""


def draw(explanation: Explanation, ax: Axes | Sequence[Axes] | None, opacity: float) -> Axes | Sequence[Axes]:
    """See `Explanation.plot`."""
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    if ax is None:
        ax = Figure(layout="constrained").subplots()
    if isinstance(ax, Axes):
        _show(ax, explanation.pixels, explanation.drawn(explanation.heatmap), explanation.meaningful, opacity)
        _title(ax, [explanation.question, explanation.answer, explanation.missing])
        return ax
    axes = list(np.asarray(ax, dtype=object).flat)
    if len(axes) != len(explanation.images):
        raise InputError(f"plot needs one Axes, or one for each of {len(explanation.images)} images; got {len(axes)}")
    for index, (one, image) in enumerate(zip(axes, explanation.images, strict=True)):
        _show(one, image.pixels, image.heatmap, explanation.meaningful, opacity)
        said = [explanation.question, explanation.answer] if index == 0 else []
        _title(one, [*said, f"image {index + 1}{', which is not there' if image.missing else ''}"])
    return ax


def _show(
    ax: Axes,
    pixels: NDArray[np.uint8],
    saliency: Float[np.ndarray, "rows columns"],
    meaningful: bool,
    opacity: float,
) -> None:
    height, width = pixels.shape[:2]
    ax.set_axis_off()
    if not meaningful:
        ax.imshow(np.asarray(picture.overlay(pixels, saliency, meaningful=False)))
        return
    ax.imshow(pixels)
    ax.imshow(
        saliency,
        cmap=COLORS,
        vmin=0,
        vmax=1,
        alpha=opacity * picture.strength(saliency),
        interpolation="bilinear",
        extent=(-0.5, width - 0.5, height - 0.5, -0.5),
    )


def _title(ax: Axes, lines: Sequence[str]) -> None:
    text = "\n".join(shorten(line, LINE, placeholder="...") for line in lines if line)
    ax.set_title(text.encode("utf-8", "replace").decode(), parse_math=False)  # a price is no formula
