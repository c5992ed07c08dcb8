"""Where a map puts its focus, at no pass of the model: its spread and centre, and against where people looked."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from wherelook.data.samples import Sample
from wherelook.metrics import (
    attended_region,
    border_mass,
    centre_mass,
    centre_of_mass,
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
    centre = centre_of_mass(saliency, sample.image.size)
    found: dict[str, float | None] = {
        "compactness": compactness(saliency),
        "effective_area": effective_area(saliency),
        "centre_mass": centre_mass(saliency),
        "border_mass": border_mass(saliency),
        "centre_x": None if centre is None else centre[0],
        "centre_y": None if centre is None else centre[1],
    }
    if sample.human is not None:
        region = attended_region(sample.human)
        found |= {
            "human_pointing": pointing(saliency, region),
            "human_energy": energy(saliency, region),
            "human_correlation": rank_correlation(saliency, torch.from_numpy(sample.human)),
        }
    return found
