"""Maps that cost nothing and know nothing of the model: what every method has to beat."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from scipy.ndimage import sobel
from torch import Tensor

from wherelook.attribution.grids import to_saliency
from wherelook.canvas import Size, map_size
from wherelook.errors import InputError
from wherelook.score import AnswerScore, Attribution, Passes, Progress

EDGE_SMOOTHING = 1.0
"""Standard deviation, in cells, of the Gaussian over edge density: a line counts for the region that it bounds."""


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
    return Attribution(torch.rand(settings.cells, settings.cells, generator=generator, dtype=torch.float32))


def center_map(
    score: AnswerScore,
    image: Float[Tensor, "3 height width"],
    settings: ControlSettings,
    *,
    seed: int = 0,
    progress: Progress | None = None,
) -> Attribution:
    """A Gaussian around the image's center, a quarter of each side wide (one standard deviation)."""
    blank = torch.empty(settings.cells, settings.cells, dtype=torch.float32)
    values = score.canvas.each(lambda part: center_gaussian((part.shape[0], part.shape[1])), blank)
    return Attribution(values / values.max())


def center_gaussian(size: Size) -> Float[Tensor, "rows columns"]:
    """A Gaussian around the middle, a quarter of each side wide (one standard deviation)."""

    def profile(count: int) -> Tensor:
        position = (torch.arange(count, dtype=torch.float32) + 0.5) / count - 0.5
        return torch.exp(-position.square() / (2 * 0.25**2))

    rows, columns = size
    return profile(rows)[:, None] * profile(columns)


def edge_map(
    score: AnswerScore,
    image: Float[Tensor, "3 height width"],
    settings: ControlSettings,
    *,
    seed: int = 0,
    progress: Progress | None = None,
) -> Attribution:
    """Edge density of the image: the magnitude of Sobel's filter on its gray values, averaged per cell, smoothed.

    Adebayo et al. 2018 (arXiv 1810.03292) show that maps which look right can be an edge detector's: a method that does
    not beat this one has shown nothing of the model. The cells are square.
    """

    def magnitude(gray: Tensor) -> Tensor:
        # One pixel beyond the border repeats the last one: the frame of the image is no edge.
        steps = (torch.from_numpy(sobel(gray.numpy(), axis=axis, mode="nearest")) for axis in (0, 1))
        return sum((step.square() for step in steps), start=torch.zeros_like(gray)).sqrt()

    edges = score.canvas.each(magnitude, image.cpu().float().mean(dim=0))
    density = score.canvas.resize(edges, map_size(settings.cells, (image.shape[1], image.shape[2])), mode="area")
    return Attribution(to_saliency(score.canvas.smooth(density, EDGE_SMOOTHING)))
