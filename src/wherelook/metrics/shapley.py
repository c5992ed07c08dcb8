"""How much of an answer rests on each of several images.

With v(S) the summed log-probability of the selected tokens when the images in S are shown and the others replaced by
the baseline, and the score gap v(all) - v(none):

    lost_k     = (v(all) - v(all but k)) / gap      what goes when only image k is taken away
    restored_k = (v(k alone) - v(none)) / gap       what comes back when only image k is shown
    share_k    = mean over orders of (v(with k) - v(before k)) / gap    Shapley value (Shapley 1953), images shown one
                                                                        after another; the shares add up to 1

Where two images say the same, neither loses much and both restore much; where an answer needs both, it is the other way
round. The share divides such effects fairly, which is why all three are told.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations

import torch
from jaxtyping import Bool
from torch import Tensor

from wherelook.score import AnswerScore

EXACT_IMAGES = 4
"""Up to so many images every order is taken, at 2^n - 2 forward passes; beyond, sampled ones."""

SAMPLED_ORDERS = 8
"""Orders drawn beyond that; each is also taken backwards, so that first and last places balance."""


@dataclass(frozen=True)
class ImageShare:
    """What rests on one image, as shares of the score gap; negative where the image contradicts the answer.

    Attributes:
        share: Shapley value; those of all images add up to 1.
        lost: what goes when only this image is replaced by its baseline.
        restored: what comes back when only this image is shown.
    """

    share: float
    lost: float
    restored: float


def image_shares(score: AnswerScore, *, seed: int = 0) -> tuple[ImageShare, ...]:
    """The share of each image, all of it where there is one; empty where there is no gap above zero to share.

    Args:
        score: the score function.
        seed: of the orders that are sampled for more than `EXACT_IMAGES` images.
    """
    count = len(score.canvas)
    gap = float((score.original - score.baseline).sum())
    if not gap > 0:
        return ()
    if count == 1:
        return (ImageShare(1.0, 1.0, 1.0),)
    orders = _orders(count, seed)
    ends = [frozenset[int](), frozenset(range(count))]
    asked = {frozenset(order[:length]) for order in orders for length in range(count)}
    asked |= {ends[1] - {image} for image in range(count)} | {frozenset({image}) for image in range(count)}
    sets = sorted(asked - set(ends), key=sorted)
    values = {shown: float(value) for shown, value in zip(sets, score(_masks(sets, count)).sum(dim=1), strict=True)}
    values |= {ends[0]: float(score.baseline.sum()), ends[1]: float(score.original.sum())}

    shares = [0.0] * count
    for order in orders:
        for place, image in enumerate(order):
            gained = values[frozenset(order[: place + 1])] - values[frozenset(order[:place])]
            shares[image] += gained / len(orders) / gap
    return tuple(
        ImageShare(
            shares[image],
            (values[ends[1]] - values[ends[1] - {image}]) / gap,
            (values[frozenset({image})] - values[ends[0]]) / gap,
        )
        for image in range(count)
    )


def _orders(count: int, seed: int) -> list[tuple[int, ...]]:
    if count <= EXACT_IMAGES:
        return list(permutations(range(count)))
    generator = torch.Generator().manual_seed(seed)
    drawn = [tuple(torch.randperm(count, generator=generator).tolist()) for _ in range(SAMPLED_ORDERS)]
    return drawn + [order[::-1] for order in drawn]


def _masks(sets: Sequence[frozenset[int]], count: int) -> Tensor:
    """A mask of one row and a column for each image: 1 where it is shown."""
    shown: Bool[Tensor, "sets images"] = torch.tensor([[image in some for image in range(count)] for some in sets])
    return shown.float()[:, None, :]
