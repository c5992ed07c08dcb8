"""Does the answer change when what a map ranks first is removed, and how little of the image is enough for it?"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from jaxtyping import Float
from torch import Tensor

from wherelook.canvas import Canvas
from wherelook.metrics.deletion_insertion import top_area
from wherelook.metrics.metric import Metric

if TYPE_CHECKING:
    from wherelook.metrics.context import MapContext

FLIP_AREA = 0.125
KEEP_AREA = 0.25
"""Shares of the area that `flip` removes and `keep` shows."""

HALVINGS = 7
"""Tries of `sufficient_area`: it is known to 1/128 of the image."""


def sufficient_area(
    saliency: Float[Tensor, "height width"],
    canvas: Canvas,
    holds: Callable[[Float[Tensor, "rows columns"]], bool],
    *,
    halvings: int = HALVINGS,
) -> float:
    """Smallest share of the image, most salient cells first, that is enough for the answer, in (0, 1].

    The share is found by bisection, by one try for each halving: the answer held at the share that is returned, and
    did not at the next smaller one, 2**-halvings below, unless that is nothing at all. That the whole image is enough
    is taken for granted: 1 where nothing smaller was. Where more of the image can undo the answer again there are
    several such shares, and it is one of them. The idea of a smallest sufficient region: Dabkowski and Gal 2017 (arXiv
    1705.07857).

    Args:
        saliency: the map.
        canvas: the explained image, or several.
        holds: (mask) to whether the answer survives when the image is shown where the mask is 1 and not where it is 0.
        halvings: how often `holds` is asked.
    """
    parts = 2**halvings
    fails, enough = 0, parts
    while enough - fails > 1:
        middle = (fails + enough) // 2
        if holds(top_area(saliency, canvas, middle / parts)):
            enough = middle
        else:
            fails = middle
    result: float = enough / parts
    return result


def flip(context: MapContext) -> float:
    """1 when a word that was explained leaves the answer once the map's top is removed, else 0.

    The answer is given again with the baseline that no method works with in place of what is removed.
    """
    top = top_area(context.saliency, context.canvas, FLIP_AREA)
    return float(not context.unseen.holds(1 - top))


def keep(context: MapContext) -> float:
    """1 when all explained words stay in the answer with the map's top alone, else 0; see `flip`."""
    return float(context.unseen.holds(top_area(context.saliency, context.canvas, KEEP_AREA)))


METRICS = {
    "flip": Metric(
        measure=flip,
        summary="whether an explained word leaves the answer when the top 12.5 % of the area is removed",
        label="Flip",
        group="Change of the answer",
        better="higher",
        values="0 or 1",
        cost="one answer",
        source="AnswerMap's flip rate",
        level="all",
    ),
    "keep": Metric(
        measure=keep,
        summary="whether all explained words stay in the answer when only the top 25 % of the area is shown",
        label="Keep",
        group="Change of the answer",
        better="higher",
        values="0 or 1",
        cost="one answer",
        source="the counterpart of flip",
        level="all",
    ),
    "sufficient_area": Metric(
        measure=lambda context: sufficient_area(context.saliency, context.canvas, context.unseen.holds),
        summary="smallest share of the area, most salient first, at which all explained words stay in the answer",
        label="Sufficient area",
        group="Change of the answer",
        better="lower",
        values="above 0 to 1",
        cost="seven answers",
        source="Dabkowski and Gal 2017, by bisection",
        level="all",
    ),
}
