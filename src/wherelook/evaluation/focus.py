"""Where a map puts its focus, at no pass of the model: its spread and center, and against where people looked."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from wherelook.attribution.controls import center_gaussian
from wherelook.data.datasets import Sample
from wherelook.data.sources import attention_maps
from wherelook.metrics import (
    attended_region,
    border_mass,
    center_mass,
    center_of_mass,
    compactness,
    effective_area,
    energy,
    pointing,
    rank_correlation,
)


def focus_measures(saliency: Float[Tensor, "rows columns"], sample: Sample) -> dict[str, float | None]:
    """Columns about one map; see `wherelook metrics`. Those about people are there only where it is known.

    Args:
        saliency: the map.
        sample: what was asked; its `human` is where people looked.

    Raises:
        WherelookError: a map of where people looked cannot be read.
    """
    center = center_of_mass(saliency, sample.image.size)
    found: dict[str, float | None] = {
        "compactness": compactness(saliency),
        "effective_area": effective_area(saliency),
        "center_mass": center_mass(saliency),
        "border_mass": border_mass(saliency),
        "center_x": None if center is None else center[0],
        "center_y": None if center is None else center[1],
    }
    if sample.human is not None:
        region = attended_region(sample.human)
        found |= {
            "human_pointing": pointing(saliency, region),
            "human_energy": energy(saliency, region),
            "human_correlation": rank_correlation(saliency, torch.from_numpy(sample.human)),
        }
    return found


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
