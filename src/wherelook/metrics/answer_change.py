"""How little of the image, chosen by a map, is enough for the answer?"""

from __future__ import annotations

from collections.abc import Callable

from jaxtyping import Float
from torch import Tensor

from wherelook.canvas import Canvas
from wherelook.metrics.deletion_insertion import top_area

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
