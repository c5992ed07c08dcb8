"""Maps against maps, and the shape of one map: stability, sanity checks, compactness."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from scipy.stats import rankdata
from torch import Tensor
from torch.nn import functional

from wherelook.types import Size

GRID: Size = (28, 28)


def rank_correlation(first: Float[Tensor, "a b"], second: Float[Tensor, "c d"], *, grid: Size = GRID) -> float | None:
    """Spearman's correlation of two maps over the cells of one grid, in [-1, 1]; None where a map is flat.

    Adebayo et al. 2018 (arXiv 1810.03292) compare maps so in their sanity checks.
    """
    ranks = [rankdata(_resize(saliency, grid)) for saliency in (first, second)]
    if any(np.ptp(values) == 0 for values in ranks):
        return None
    return float(np.corrcoef(ranks[0], ranks[1])[0, 1])


def compactness(saliency: Float[Tensor, "height width"], *, share: float = 0.5) -> float | None:
    """Smallest part of the map's area that holds `share` of its sum, in (0, 1]; None for a map of zeros."""
    values = np.sort(saliency.detach().cpu().double().numpy().ravel())[::-1]
    total = values.sum()
    if total <= 0:
        return None
    return float((np.searchsorted(np.cumsum(values), share * total * (1 - 1e-12)) + 1) / values.size)


def _resize(saliency: Tensor, grid: Size) -> np.ndarray:
    values = saliency.detach().cpu().double()[None, None]
    return (
        functional.interpolate(values, size=grid, mode="bilinear", align_corners=False, antialias=True).numpy().ravel()
    )
