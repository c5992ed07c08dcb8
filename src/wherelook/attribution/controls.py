"""Maps that cost nothing and know nothing of the model: what every method has to beat."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from wherelook.types import AnswerScore, Attribution, InputError, Passes, Progress, Size


@dataclass(frozen=True)
class ControlSettings:
    """Attributes:
    cells: side of the map.
    """

    cells: int = 28

    def __post_init__(self) -> None:
        if not 1 <= self.cells <= 512:
            raise InputError(f"cells must be from 1 to 512, not {self.cells}")


PRESETS: dict[str, ControlSettings] = {name: ControlSettings() for name in ("best", "fast", "paper")}


def passes(settings: ControlSettings, image_size: Size) -> Passes:
    """None."""
    return Passes()


def random_map(
    score: AnswerScore,
    image: Float[Tensor, "3 height width"],
    settings: ControlSettings,
    *,
    seed: int = 0,
    progress: Progress | None = None,
) -> Attribution:
    """Uniform noise from `seed`."""
    generator = torch.Generator().manual_seed(seed)
    return Attribution(torch.rand(settings.cells, settings.cells, generator=generator))


def center_map(
    score: AnswerScore,
    image: Float[Tensor, "3 height width"],
    settings: ControlSettings,
    *,
    seed: int = 0,
    progress: Progress | None = None,
) -> Attribution:
    """A Gaussian around the image's centre, a quarter of each side wide (one standard deviation)."""
    position = (torch.arange(settings.cells) + 0.5) / settings.cells - 0.5
    profile = torch.exp(-position.square() / (2 * 0.25**2))
    values = profile[:, None] * profile[None, :]
    return Attribution(values / values.max())
