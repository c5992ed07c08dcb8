"""Grad-CAM on the image tokens in a language model (Selvaraju et al. 2017, arXiv 1610.02391, equations 1 and 2).

    max(0, sum_c w_c h_c[image token]),   w_c = mean over image tokens of dF/dh_c

with h the hidden states at a depth of the language model and F the summed log-probability of the selected tokens.
"""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from wherelook.attribution.attention import InsideSettings, open_inside
from wherelook.attribution.grids import to_saliency
from wherelook.errors import InputError
from wherelook.score import AnswerScore, Attribution, Progress


@dataclass(frozen=True)
class GradCamSettings(InsideSettings):
    """Of Grad-CAM.

    Attributes:
        depth: where hidden states are read, as a share of the layers below; what leaves the last layer at an image
            token has no influence on the answer.
    """

    depth: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.depth < 1:
            raise InputError(f"depth must be at least 0 and below 1, not {self.depth}")


PRESETS: dict[str, GradCamSettings] = {name: GradCamSettings() for name in ("best", "fast", "paper")}


def grad_cam(
    score: AnswerScore,
    image: Float[Tensor, "3 height width"],
    settings: GradCamSettings,
    *,
    seed: int = 0,
    progress: Progress | None = None,
) -> Attribution:
    """Grad-CAM on image tokens in the language model. Arguments and errors: see `attention`."""
    inside, tokens = open_inside(score, settings, "hidden states")
    states = inside.states(settings.depth, tokens.positions)
    values = (states.values @ states.gradients.mean(dim=0)).clamp_min(0)
    return Attribution(to_saliency(tokens.paint(values)))
