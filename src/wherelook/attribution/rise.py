"""RISE (Petsiuk et al. 2018, arXiv 1806.07421): the mean of random masks, weighted by what each lets the model say.

The saliency of a place is the probability p of the answer, expected over the masks M_1 .. M_N that show the place
(equation 6):

    S = 1 / (E[M] N) * sum_n p(M_n) M_n

A mask is a coarse grid whose cells are 1 with a fixed probability, enlarged bilinearly and shifted by a random part
of a cell, so E[M] is that probability everywhere.

The weight is a probability, not its logarithm: S is an expectation only with weights that are not negative, and one
mask that makes the answer all but impossible (minus infinity, nearly) must count as a zero, not outweigh all others.
With several tokens it is their geometric mean, exp of the mean log-probability: their product would vanish on long
answers. The metrics' replay judges maps by the same number.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from wherelook.attribution.grids import to_saliency
from wherelook.attribution.occlusion import CHUNK, FLAT
from wherelook.canvas import Size, map_size
from wherelook.errors import InputError
from wherelook.score import AnswerScore, Attribution, Passes, Progress


@dataclass(frozen=True)
class RiseSettings:
    """The defaults are the paper's (for VGG16; it takes 8000 masks for ResNet50).

    Attributes:
        masks: how many, N.
        grid: side of the random grid for a square image; its cells are square on every image.
        probability: of a cell to show the image.
        cells: side of the map for a square image, at least the grid's.
        centered: the mean of p is subtracted from the weights. The expected map is the paper's less a constant,
            E[p], but places that happened to be shown more often are not favored: the fewer masks, the more this
            matters. What is left below zero (places better hidden) is cut. Without it [paper] the lowest value
            becomes zero.
    """

    masks: int = 4000
    grid: int = 7
    probability: float = 0.5
    cells: int = 28
    centered: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.masks <= 1_000_000:
            raise InputError(f"masks must be from 1 to 1000000, not {self.masks}")
        if not 2 <= self.grid <= self.cells <= 512:
            raise InputError(
                f"grid must be from 2 to cells, cells at most 512: not grid = {self.grid}, cells = {self.cells}"
            )
        if not 0 < self.probability < 1:
            raise InputError(f"probability must be between 0 and 1, not {self.probability}")


PRESETS: dict[str, RiseSettings] = {
    "paper": RiseSettings(),
    "best": RiseSettings(masks=200, centered=True),
    "fast": RiseSettings(masks=50, centered=True),
}


def passes(settings: RiseSettings, image_size: Size) -> Passes:
    """One forward pass for each mask."""
    return Passes(settings.masks)


def rise(
    score: AnswerScore,
    image: Float[Tensor, "3 height width"],
    settings: RiseSettings,
    *,
    seed: int = 0,
    progress: Progress | None = None,
) -> Attribution:
    """RISE. Memory does not depend on the number of masks.

    Args:
        score: log-probabilities of the selected tokens as a function of masks.
        image: not used.
        settings: see `RiseSettings`.
        seed: of the masks.
        progress: called as progress("rise", done, total) after each chunk of masks.

    Returns:
        S, moved and scaled to [0, 1]; all zeros where no mask changes the answer's probability.
    """
    return Attribution(weighted_mean(score, settings, seed=seed, progress=progress))


def weighted_mean(
    score: AnswerScore, settings: RiseSettings, *, seed: int = 0, progress: Progress | None = None
) -> Float[Tensor, "rows columns"]:
    """The map of `rise`."""
    grid, size = (map_size(cells, score.canvas.size) for cells in (settings.grid, settings.cells))
    shapes = [
        (pieces.stop - pieces.start, part.stop - part.start)
        for pieces, part in zip(*(score.canvas.columns(shape[1]) for shape in (grid, size)), strict=True)
    ]
    generator = torch.Generator().manual_seed(seed)
    # Double precision: the map is a small difference of large sums.
    weighted, shown = torch.zeros(2, *size, dtype=torch.float64)
    total, lowest, highest = 0.0, math.inf, -math.inf
    for done in range(0, settings.masks, CHUNK):
        count = min(CHUNK, settings.masks - done)
        # Masks of different images are independent: neighbors on the canvas are no neighbors.
        masks = torch.cat(
            [
                random_masks(count, (grid[0], across), (size[0], width), settings.probability, generator)
                for across, width in shapes
            ],
            dim=2,
        )
        log_probabilities = score(masks).detach().cpu().double().mean(dim=1)
        weights = log_probabilities.exp()
        weighted += torch.einsum("m,mhw->hw", weights, masks.double())
        shown += masks.double().sum(dim=0)
        total += float(weights.sum())
        lowest, highest = min(lowest, float(log_probabilities.min())), max(highest, float(log_probabilities.max()))
        if progress is not None:
            progress("rise", done + count, settings.masks)

    if not highest - lowest > FLAT:  # the masks' own unevenness would look like a map
        return torch.zeros(size, dtype=torch.float32)
    less = total / settings.masks * shown if settings.centered else weighted.min()
    return to_saliency((weighted - less) / (settings.probability * settings.masks))


def random_masks(
    count: int, grid: Size, size: Size, probability: float, generator: torch.Generator
) -> Float[Tensor, "count height width"]:
    """Random binary grids seen through a window that is a cell smaller, at a random shift (the paper, section 3.2).

    Args:
        count: how many masks.
        grid: (rows, columns) of the grid, h and w. It is enlarged bilinearly to h + 1 by w + 1 pieces, of which the
            mask shows h by w.
        size: (rows, columns) of the masks, which are read at the centers of their cells.
        probability: that a cell of the grid is 1; also the expectation of every value.
        generator: draws the cells, then the shifts.
    """
    cells = (torch.rand(count, 1, *grid, generator=generator, dtype=torch.float32) < probability).to(torch.float32)
    shifts = torch.rand(count, 2, generator=generator, dtype=torch.float32)
    vertical, horizontal = (
        # From [0, 1] over the window to [-1, 1] over the enlarged grid.
        2 * ((torch.arange(side, dtype=torch.float32) + 0.5) / side * pieces + shift[:, None]) / (pieces + 1) - 1
        for side, pieces, shift in zip(size, grid, shifts.T, strict=True)
    )
    places = torch.stack(
        [horizontal[:, None, :].expand(count, *size), vertical[:, :, None].expand(count, *size)], dim=-1
    )
    masks = functional.grid_sample(cells, places, mode="bilinear", padding_mode="border", align_corners=False)
    return masks[:, 0].clamp(0, 1)  # rounding
