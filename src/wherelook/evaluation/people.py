"""Where people looked: what a map's agreement with them is held against."""

from __future__ import annotations

import torch

from wherelook.attribution.controls import center_gaussian
from wherelook.data.datasets import Sample
from wherelook.data.sources import attention_maps
from wherelook.metrics import attended_region, rank_correlation

GRID = (28, 28)
"""Of the map of the center that people's attention is compared with."""


def human_measures(sample: Sample) -> dict[str, float | int | None]:
    """Columns about people's attention alone: what a map's agreement with it is held against.

    human_people: how many people's maps there are. human_share: share of the image that holds half of their attention,
    what a random place would hit. human_center: rank correlation of a Gaussian in the middle of the image with where
    people looked. human_ceiling: how well people agree with each other, the mean over people of the rank correlation of
    one person's map with the mean of the others' (the lower bound of the noise ceiling, Nili et al. 2014); None for
    fewer than two.

    Raises:
        WherelookError: a map of where people looked cannot be read.
    """
    if sample.human is None:
        return {}
    maps = torch.from_numpy(attention_maps(sample.attention, sample.image.size))
    others = (maps.sum(dim=0) - maps) / max(len(maps) - 1, 1)
    pairs = zip(maps, others, strict=True) if len(maps) > 1 else ()
    agreements = [value for one, rest in pairs if (value := rank_correlation(one, rest)) is not None]
    return {
        "human_people": len(maps),
        "human_share": float(attended_region(sample.human).mean()),
        "human_center": rank_correlation(center_gaussian(GRID), torch.from_numpy(sample.human)),
        "human_ceiling": sum(agreements) / len(agreements) if agreements else None,
    }
