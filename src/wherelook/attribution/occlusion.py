"""Occlusion: what the answer loses when a part of the image is replaced by the baseline. Forward passes only.

With F(M) the summed log-probability of the selected tokens under mask M, and 1_S a mask that is 1 on the cells S:

    loss(S) = F(1) - F(1 - 1_S)

`occlusion` slides a square window (Zeiler & Fergus 2014, arXiv 1311.2901, section 4.2; they print no sizes); a cell's
value is the mean loss of the windows that cover it. `strips` replaces whole rows and whole columns: from the mean
losses r_i of the strips over row i and c_j of those over column j, the map is r_i * c_j. Where the losses of single
cells add up and form one blob a_i * b_j, this is that blob, times a constant, at the cost of two sides instead of an
area; where the evidence lies in two places, it also lights the two other corners of their rectangle.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from wherelook.attribution.grids import to_saliency
from wherelook.canvas import Canvas, Size, map_size
from wherelook.errors import InputError
from wherelook.score import AnswerScore, Attribution, Passes, Progress

CHUNK = 64
"""Masks that exist at a time, however many passes a method takes."""

FLAT = 1e-4
"""Differences of log-probability, in nats, up to this one are rounding: nothing is drawn from them."""


@dataclass(frozen=True)
class OcclusionSettings:
    """Attributes:
    cells: side of the map for a square image; its cells are square on every image.
    window: side of the window, or width of the strip, in cells; at most the side of the image.
    stride: cells from one window to the next; the last one ends at the image's edge.
    """

    cells: int = 28
    window: int = 4
    stride: int = 2

    def __post_init__(self) -> None:
        if not 1 <= self.cells <= 512:
            raise InputError(f"cells must be from 1 to 512, not {self.cells}")
        if not 1 <= self.window <= self.cells:
            raise InputError(f"window must be from 1 to cells = {self.cells}, not {self.window}")
        if not 1 <= self.stride <= self.window:
            raise InputError(f"stride must be from 1 to window = {self.window}, or cells stay unseen: {self.stride}")


PRESETS: dict[str, OcclusionSettings] = {
    # No published sizes: windows of a fourteenth of the side, half overlapping (16 by 8 pixels of 224), are customary.
    "paper": OcclusionSettings(cells=28, window=2, stride=1),
    "best": OcclusionSettings(cells=28, window=4, stride=2),
    "fast": OcclusionSettings(cells=28, window=8, stride=4),
}

STRIP_PRESETS: dict[str, OcclusionSettings] = {
    "paper": OcclusionSettings(cells=8, window=1, stride=1),  # 8 rows and 8 columns side by side
    "best": OcclusionSettings(cells=28, window=4, stride=1),
    "fast": OcclusionSettings(cells=6, window=1, stride=1),
}


def passes(settings: OcclusionSettings, image_size: Size) -> Passes:
    """One forward pass for each window."""
    rows, columns = _counts(settings, image_size)
    return Passes(rows * columns)


def strip_passes(settings: OcclusionSettings, image_size: Size) -> Passes:
    """One forward pass for each strip: 2 * cells on a square image if strips lie side by side, one cell wide."""
    rows, columns = _counts(settings, image_size)
    return Passes(rows + columns)


def occlusion(
    score: AnswerScore,
    image: Float[Tensor, "3 height width"],
    settings: OcclusionSettings,
    *,
    seed: int = 0,
    progress: Progress | None = None,
) -> Attribution:
    """A sliding window (Zeiler & Fergus 2014).

    Args:
        score: log-probabilities of the selected tokens as a function of masks.
        image: not used.
        settings: see `OcclusionSettings`.
        seed: not used; nothing is random.
        progress: called as progress("occlude", done, total) after each chunk of windows.

    Returns:
        The mean loss in nats of the windows over each cell, negative ones cut, scaled so that the largest is 1; all
        zeros where no window matters.
    """
    rows, columns = map_size(settings.cells, score.canvas.size)
    vertical = bands(rows, settings.window, settings.stride)
    horizontal = bands_within(columns, settings.window, settings.stride, score.canvas)

    def removed(indices: Tensor) -> Tensor:
        return vertical[indices // len(horizontal), :, None] * horizontal[indices % len(horizontal), None, :]

    losses = _losses(score, len(vertical) * len(horizontal), removed, progress)
    losses = losses.reshape(len(vertical), len(horizontal))
    values = _spread(_spread(losses, horizontal).T, vertical).T
    return Attribution(to_saliency(_above_rounding(values)))


def strips(
    score: AnswerScore,
    image: Float[Tensor, "3 height width"],
    settings: OcclusionSettings,
    *,
    seed: int = 0,
    progress: Progress | None = None,
) -> Attribution:
    """Horizontal and vertical strips: the product of a profile over rows and one over columns. See `occlusion`.

    Of several images each has strips of its own.
    """
    rows, columns = map_size(settings.cells, score.canvas.size)
    vertical = bands(rows, settings.window, settings.stride)
    horizontal = bands_within(columns, settings.window, settings.stride, score.canvas)
    parts = score.canvas.columns(columns)
    inside = torch.zeros(len(parts), columns, dtype=torch.float32)
    for index, part in enumerate(parts):
        inside[index, part] = 1
    count = len(parts) * len(vertical)

    def removed(indices: Tensor) -> Tensor:
        across, down = indices[indices < count], indices[indices >= count] - count
        return torch.cat(
            [
                vertical[across % len(vertical), :, None] * inside[across // len(vertical), None, :],
                horizontal[down, None, :].expand(-1, rows, -1),
            ]
        )

    losses = _losses(score, count + len(horizontal), removed, progress)
    by_row = _above_rounding(_spread(losses[:count].reshape(len(parts), -1), vertical))
    by_column = _above_rounding(_spread(losses[count:], horizontal))
    return Attribution(to_saliency((by_row.T @ inside.double()) * by_column[None, :]))


def bands(side: int, window: int, stride: int) -> Float[Tensor, "bands side"]:
    """1 where a band covers a cell, else 0: bands of `window` cells (at most the side), every `stride` cells.

    The last band is moved back to end at the edge, so that it is as wide as the others.
    """
    window = min(window, side)
    starts = torch.tensor([*range(0, side - window, stride), side - window])[:, None]
    cells = torch.arange(side)
    return ((cells >= starts) & (cells < starts + window)).float()


def bands_within(side: int, window: int, stride: int, canvas: Canvas) -> Float[Tensor, "bands side"]:
    """`bands` over the columns of each of several images: none crosses a border."""
    return torch.cat(
        [
            functional.pad(bands(part.stop - part.start, window, stride), (part.start, side - part.stop))
            for part in canvas.columns(side)
        ]
    )


def _counts(settings: OcclusionSettings, image_size: Size) -> tuple[int, int]:
    """Bands over the rows and over the columns."""
    rows, columns = (
        len(bands(side, settings.window, settings.stride)) for side in map_size(settings.cells, image_size)
    )
    return rows, columns


def _losses(
    score: AnswerScore,
    count: int,
    removed: Callable[[Int[Tensor, " chunk"]], Float[Tensor, "chunk height width"]],
    progress: Progress | None,
) -> Float[Tensor, " count"]:
    """F(1) - F(1 - removed(k)) in nats for every k below `count`; the masks are made a chunk at a time."""
    original = score.original.sum().cpu().double()
    losses = torch.empty(count, dtype=torch.float64)
    for indices in torch.arange(count).split(CHUNK):
        losses[indices] = original - score(1 - removed(indices)).detach().cpu().double().sum(dim=1)
        if progress is not None:
            progress("occlude", int(indices[-1]) + 1, count)
    return losses


def _spread(losses: Float[Tensor, "*other bands"], bands: Float[Tensor, "bands side"]) -> Float[Tensor, "*other side"]:
    """For each cell of a side the mean over the bands that cover it."""
    bands = bands.double()
    return losses @ bands / bands.sum(dim=0)


def _above_rounding(losses: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """The losses of more than `FLAT`; zeros for the others, and for what the answer gains."""
    return torch.where(losses > FLAT, losses, 0.0)
