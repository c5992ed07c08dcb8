"""Ranks what is left once the most salient area is gone.

A map is found while everything else is there. With its first places removed, others speak: some hold the answer after
all (a second object of the same colour), some hold it down (the model would turn to them), and removing those brings
the answer back. With F the summed log-probability of the selected tokens, S the map and R its first places,

    T = mean over s of dF/dM at s(1 - R)  [+ mean over s of dF/dM at R + s(1 - R)]          outside R

adds up, for many points s, to F(1 - R) - F(0) [and F(1) - F(R)]: integrated gradients of the rest of the image, with a
sign. (Sums of n points: s = 1/n .. 1 in the first, 0 .. 1 - 1/n in the second; both include the image without or with R
alone, where the question is put.) Places with positive T come next, those with negative T last:

    S' = (1 - TAIL) S + TAIL                                                              in R
    S' = (1 - TAIL) max(KEEP S, t max(0, T) min_R S) + TAIL (1 + T) / 2                   outside R

where T is smoothed and scaled to a largest magnitude of 1, and t in [0, 1] is the share of the score gap that is still
there without R. This is done for each of `AREAS` in turn.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from wherelook.attribution.grids import first_places, share_of_gap
from wherelook.score import AnswerScore

AREAS = (0.04, 0.12, 0.25)
"""Shares of the image that are removed, one after another."""

KEEP = 0.5
"""What the map's own value of a place outside R still counts."""

TAIL = 0.01
"""Share of the saliency that is the rank of places on which nothing rests."""

SMOOTH = 1.5
"""Standard deviation, in cells, of the Gaussian over T."""


def rank_rest(
    score: AnswerScore, saliency: Float[Tensor, "height width"], *, steps: int, shown: bool
) -> Float[Tensor, "height width"]:
    """The map with everything after its first places ranked anew; see the module.

    Args:
        score: the score function; `steps` passes with a gradient for each of `AREAS`, twice as many with `shown`.
        saliency: the map, in [0, 1], on the CPU.
        steps: path points of the gradients.
        shown: whether the second term of T is added.
    """
    for area in AREAS:
        first = first_places(saliency, area)
        if first.any():
            saliency = _ranked(score, saliency, first, steps, shown)
    return saliency


def _ranked(score: AnswerScore, saliency: Tensor, first: Tensor, steps: int, shown: bool) -> Tensor:
    rest = (~first).float()
    path = (torch.arange(1, steps + 1, dtype=torch.float32) / steps)[:, None, None]
    masks = path * rest
    if shown:
        masks = torch.cat([masks, first + (path - 1 / steps) * rest])
    values, gradients = score.gradient(masks)
    slopes = gradients.cpu().sum(dim=0) / steps * rest
    signed = score.canvas.smooth(slopes, SMOOTH).float() * rest
    largest = signed.abs().max()
    if not largest > 0:
        return saliency
    signed = signed / largest
    left = share_of_gap(score, values[steps - 1].sum())
    next_ones = left * signed.clamp_min(0) * saliency[first].min()
    behind = (1 - TAIL) * torch.maximum(KEEP * saliency, next_ones) + TAIL * (1 + signed) / 2
    ranked = torch.where(first, (1 - TAIL) * saliency + TAIL, behind)
    return ranked / ranked.max()
