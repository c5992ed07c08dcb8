"""How the mass of one map is spread over the image, and where it lies. None of it is right or wrong by itself.

A map is a distribution here: its values, none of them negative, divided by their sum. A map of zeros has no figure.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from wherelook.canvas import Size
from wherelook.metrics.metric import Metric

CENTRE_SIDE = 0.5
"""Height and width of the center, as shares of the image's: a quarter of the area."""

BORDER_WIDTH = 0.125
"""Width of the border at each side, as a share of the image's height or width: 43.75 % of the area."""


def compactness(saliency: Float[Tensor, "height width"], *, share: float = 0.5) -> float | None:
    """Smallest part of the map's area that holds `share` of its sum, in (0, 1]; None for a map of zeros."""
    values = np.sort(_values(saliency).ravel())[::-1]
    total = values.sum()
    if total <= 0:
        return None
    return float((np.searchsorted(np.cumsum(values), share * total * (1 - 1e-12)) + 1) / values.size)


def effective_area(saliency: Float[Tensor, "height width"]) -> float | None:
    """exp(H) / cells, in (0, 1], with H the entropy of the map in nats (Shannon 1948); None for a map of zeros.

    A map that is flat on a part of the image and zero elsewhere has the share of that part, at any resolution.
    """
    values = _values(saliency)
    total = values.sum()
    if total <= 0:
        return None
    shares = values[values > 0] / total
    return float(np.exp(-np.sum(shares * np.log(shares))) / values.size)


def center_of_mass(saliency: Float[Tensor, "height width"], image_size: Size) -> tuple[float, float] | None:
    """(x, y) in pixels of an image of (height, width): the mean place of the map; None for a map of zeros.

    Of a map with two peaks it may lie on neither.
    """
    values = _values(saliency)
    total = values.sum()
    if total <= 0:
        return None
    rows, columns = values.shape
    height, width = image_size
    return (
        float(values.sum(axis=0) @ (np.arange(columns) + 0.5) / total * width / columns),
        float(values.sum(axis=1) @ (np.arange(rows) + 0.5) / total * height / rows),
    )


def center_mass(saliency: Float[Tensor, "height width"]) -> float | None:
    """Share of the map's sum in the middle quarter of the image, half of its height and width, in [0, 1].

    A flat map has 0.25. Maps that have much more whatever the image shows have a center bias (Tatler 2007). None for a
    map of zeros.
    """
    return _share_inside(_values(saliency), (1 - CENTRE_SIDE) / 2)


def border_mass(saliency: Float[Tensor, "height width"]) -> float | None:
    """Share of the map's sum within an eighth of the height or width from an edge of the image, in [0, 1].

    A flat map has 0.4375. Transformers can keep other things than the image at places where it shows nothing, often
    near its edge (Darcet et al. 2023, arXiv 2309.16588): maps may point there. None for a map of zeros.
    """
    inside = _share_inside(_values(saliency), BORDER_WIDTH)
    return None if inside is None else 1 - inside


def gini(saliency: Float[Tensor, "height width"]) -> float | None:
    """Gini index of the map's cells, in [0, 1): 0 for a flat map, 1 - 1/N for one of N cells; None for a map of zeros.

    G = 1 - 2 sum_k c_k / |c| * (N - k + 1/2) / N with the values c_1 <= ... <= c_N: a measure of sparsity (Hurley and
    Rickard 2009, arXiv 0811.4706) that explanations are compared by (Chalasani et al. 2020, arXiv
    1810.06583).
    """
    values = np.sort(_values(saliency).ravel())
    total = values.sum()
    if total <= 0:
        return None
    count = values.size
    return float(1 - 2 * np.sum(values / total * (count - np.arange(1, count + 1) + 0.5) / count))


def _values(saliency: Tensor) -> NDArray[np.float64]:
    values: NDArray[np.float64] = saliency.detach().cpu().double().clamp_min(0).numpy()
    return values


def _share_inside(values: NDArray[np.float64], margin: float) -> float | None:
    """Share of the sum at least `margin`, of the height or width, from every edge; cells on the line count in part."""
    total = values.sum()
    if total <= 0:
        return None
    down, across = (_covered(cells, margin) for cells in values.shape)
    return float(np.clip(down @ values @ across / total, 0, 1))


def _covered(cells: int, margin: float) -> NDArray[np.float64]:
    """What part of each of `cells` equal cells of [0, 1] lies in [margin, 1 - margin]."""
    edges = np.clip(np.arange(cells + 1) / cells, margin, 1 - margin)
    return np.diff(edges) * cells


METRICS = {
    "compactness": Metric(
        measure=lambda context: compactness(context.saliency),
        summary="smallest share of the area that holds half of the map; small alone is no virtue",
        label="Compactness",
        group="Shape and stability",
        better="lower",
        values="0 to 1",
    ),
    "effective_area": Metric(
        measure=lambda context: effective_area(context.saliency),
        summary="share of the area that a flat map of the same entropy would take",
        label="Effective area",
        values="above 0 to 1",
        source="Shannon 1948",
    ),
    "gini": Metric(
        measure=lambda context: gini(context.saliency),
        summary="Gini index of the cells: how few of them hold the map",
        label="Gini index",
        values="0 to 1 (0 for a flat map)",
        source="Hurley and Rickard 2009",
    ),
    "center_mass": Metric(
        measure=lambda context: center_mass(context.saliency),
        summary="share of the map in the middle quarter of the image",
        label="Mass in the center",
        values="0 to 1 (0.25 for a flat map)",
        source="center bias: Tatler 2007",
    ),
    "border_mass": Metric(
        measure=lambda context: border_mass(context.saliency),
        summary="share of the map within an eighth of the height or width from an edge",
        label="Mass at the border",
        values="0 to 1 (0.4375 for a flat map)",
    ),
}
