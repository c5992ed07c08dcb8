"""Does the map lie on a known region, or where people look? Localization is not faithfulness."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float
from numpy.typing import NDArray
from scipy import ndimage
from scipy.stats import rankdata
from torch import Tensor
from torch.nn import functional

from wherelook.canvas import Size
from wherelook.errors import InputError
from wherelook.metrics.metric import PEOPLE, TRUTH, Metric

PLATEAU = 0.95
"""Cells at least this share of the maximum form the peak's plateau."""


def peak(saliency: Float[Tensor, "height width"], image_size: Size) -> tuple[float, float]:
    """(x, y) in pixels of an image of (height, width): the middle of the plateau around the largest value.

    A saturated map has many cells of the largest value, of which the first in reading order would be an accident.
    """
    values = saliency.detach().cpu().double().numpy()
    top = np.unravel_index(int(values.argmax()), values.shape)
    labels, _ = ndimage.label(values >= PLATEAU * values[top])
    rows, columns = np.nonzero(labels == labels[top])
    weights = values[rows, columns]
    if weights.sum() <= 0:
        weights = np.ones_like(weights)
    middle = np.average(rows, weights=weights), np.average(columns, weights=weights)
    # The middle of a bent plateau may lie outside it: take the plateau's nearest cell.
    nearest = int(np.argmin((rows - middle[0]) ** 2 + (columns - middle[1]) ** 2))
    height, width = image_size
    return (
        float((columns[nearest] + 0.5) * width / values.shape[1]),
        float((rows[nearest] + 0.5) * height / values.shape[0]),
    )


def pointing(saliency: Float[Tensor, "height width"], truth: NDArray[np.bool_]) -> float:
    """1 when the map's peak lies on the true region, else 0: the pointing game (Zhang et al. 2018, arXiv 1608.00507).

    Args:
        saliency: any resolution.
        truth: (height, width) of the image.
    """
    _check(truth)
    x, y = peak(saliency, truth.shape)
    return float(truth[min(int(y), truth.shape[0] - 1), min(int(x), truth.shape[1] - 1)])


def energy(saliency: Float[Tensor, "height width"], truth: NDArray[np.bool_]) -> float:
    """Share of the map's sum that lies on the true region, in [0, 1]: energy-based pointing game (Wang et al. 2020,
    arXiv 1910.01279). A map of zeros has none on it.
    """
    _check(truth)
    values = _upsample(saliency, truth.shape)
    total = values.sum()
    return float(values[truth].sum() / total) if total > 0 else 0.0


def roc_area(saliency: Float[Tensor, "height width"], truth: NDArray[np.bool_]) -> float | None:
    """Area under the ROC curve of the map as a detector of the region's pixels: the probability that a pixel on it is
    more salient than one off it, ties counting half. None when the region is the whole image.
    """
    _check(truth)
    inside = int(truth.sum())
    outside = truth.size - inside
    if outside == 0:
        return None
    ranks = rankdata(_upsample(saliency, truth.shape))
    return float((ranks.reshape(truth.shape)[truth].sum() - inside * (inside + 1) / 2) / (inside * outside))


def attended_region(
    attention: Float[np.ndarray, "height width"], *, share: float = 0.5
) -> Bool[np.ndarray, "height width"]:
    """True on the smallest region that holds at least `share` of people's attention; equal values go together.

    Args:
        attention: where people looked, not negative, larger is more.
        share: of its sum, above 0 and at most 1.

    Raises:
        InputError: nobody looked anywhere, or a value is negative or not a number.
    """
    if not (np.isfinite(attention).all() and attention.min() >= 0 and attention.any()):
        raise InputError("a map of human attention has finite values, none of them negative and at least one above 0")
    values = np.sort(attention.astype(np.float64), axis=None)[::-1]
    held = np.cumsum(values)
    threshold = values[np.searchsorted(held, share * held[-1] * (1 - 1e-12))]
    return np.asarray(attention >= threshold)


def _check(truth: NDArray[np.bool_]) -> None:
    if truth.ndim != 2 or truth.dtype != bool or not truth.any():
        raise InputError("a ground-truth mask is a boolean array (height, width) with at least one True")


def _upsample(saliency: Tensor, size: Size) -> NDArray[np.float64]:
    values = saliency.detach().cpu().double()[None, None]
    return functional.interpolate(values, size=size, mode="bilinear", align_corners=False)[0, 0].clamp_min(0).numpy()


def focus_box(
    saliency: Float[Tensor, "height width"], image_size: Size, *, share: float = 0.5
) -> tuple[int, int, int, int]:
    """(x0, y0, x1, y1) in pixels: the box around the cells of at least `share` of the maximum that touch the peak."""
    values = saliency.detach().cpu().double().numpy()
    top = np.unravel_index(int(values.argmax()), values.shape)
    labels, _ = ndimage.label(values >= share * values[top])
    rows, columns = np.nonzero(labels == labels[top])
    (height, width), (cells_down, cells_across) = image_size, values.shape
    # Whole numbers: the last cell must end at the image's edge, not a rounding error beyond it.
    return (
        int(columns.min()) * width // cells_across,
        int(rows.min()) * height // cells_down,
        -(-(int(columns.max()) + 1) * width // cells_across),
        -(-(int(rows.max()) + 1) * height // cells_down),
    )


METRICS = {
    "pointing": Metric(
        measure=lambda context: pointing(context.saliency, context.true_region),
        summary="whether the map's peak lies on the true region",
        label="Pointing",
        group="Localization",
        better="higher",
        values="0 or 1",
        needs=TRUTH,
        source="Zhang et al. 2018",
    ),
    "energy": Metric(
        measure=lambda context: energy(context.saliency, context.true_region),
        summary="share of the map that lies on the true region",
        label="Energy",
        group="Localization",
        better="higher",
        values="0 to 1",
        needs=TRUTH,
        source="Wang et al. 2020",
    ),
    "roc_area": Metric(
        measure=lambda context: roc_area(context.saliency, context.true_region),
        summary="probability that a pixel of the true region is more salient than another",
        label="ROC area",
        group="Localization",
        better="higher",
        values="0 to 1 (0.5 is chance)",
        needs=TRUTH,
        source="ROC area, ties counted half",
    ),
    "human_pointing": Metric(
        measure=lambda context: pointing(context.saliency, context.attended_region),
        summary="whether the map's peak lies on the smallest region that holds half of people's attention",
        label="Pointing",
        group="Agreement with people",
        better="higher",
        values="0 or 1",
        needs=PEOPLE,
        source="Zhang et al. 2018, on a region of people's",
    ),
    "human_energy": Metric(
        measure=lambda context: energy(context.saliency, context.attended_region),
        summary="share of the map that lies on the smallest region that holds half of people's attention",
        label="Energy",
        group="Agreement with people",
        better="higher",
        values="0 to 1",
        needs=PEOPLE,
        source="Wang et al. 2020, on a region of people's",
    ),
}
