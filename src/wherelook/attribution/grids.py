"""What the maps of several methods share: their scale, and what is measured of them."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from wherelook.score import AnswerScore


def to_saliency(values: Float[Tensor, "height width"]) -> Float[Tensor, "height width"]:
    """The positive part, scaled so that its largest value is 1, float32 on the CPU. Without a positive value: zeros."""
    positive = values.detach().to("cpu").float().clamp_min(0)
    top = positive.max()
    return positive / top if top > 0 else positive


def first_places(saliency: Float[Tensor, "height width"], area: float) -> Bool[Tensor, "height width"]:
    """The most salient cells of a map on the CPU: this share of all cells, or all that are positive if these are fewer.

    Where the map is zero no place comes before another.
    """
    count = min(round(area * saliency.numel()), int((saliency > 0).sum()))
    first = torch.zeros(saliency.numel(), dtype=torch.bool)
    first[saliency.flatten().argsort(descending=True, stable=True)[:count]] = True
    return first.reshape(saliency.shape)


def share_of_gap(score: AnswerScore, totals: Float[Tensor, "*masks"]) -> Float[Tensor, "*masks"]:
    """(F - F(B)) / (F(I) - F(B)), clamped to [0, 1]: what is there of the score gap.

    Args:
        score: whose ends are meant; the image's score must be above the baseline's.
        totals: F, summed log-probabilities of the selected tokens.
    """
    original, baseline = score.original.sum().cpu(), score.baseline.sum().cpu()
    return ((totals.detach().cpu() - baseline) / (original - baseline)).clamp(0, 1)
