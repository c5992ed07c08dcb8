"""The logit lens: the logit that the head gives a selected token at each image token, less what earlier text explains.

After the Token Activation Map, Li et al. 2025, arXiv 2506.23270; see `remove_interference` for what is simplified.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from wherelook.attribution.attention import InsideSettings, open_inside
from wherelook.attribution.grids import to_saliency
from wherelook.errors import InputError
from wherelook.score import AnswerScore, Attribution, Progress


@dataclass(frozen=True)
class LensSettings(InsideSettings):
    """Of the logit lens.

    Attributes:
        depth: where hidden states are read, as a share of the layers below; 1 for what leaves the last one.
        interference: whether what earlier text tokens explain is taken away.
        window: side in cells of the rank filter; odd, 1 for none.
    """

    depth: float = 1.0
    interference: bool = True
    window: int = 3

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.depth <= 1:
            raise InputError(f"depth must be from 0 to 1, not {self.depth}")
        if not (1 <= self.window <= 15 and self.window % 2):
            raise InputError(f"window must be odd, from 1 to 15, not {self.window}")


PRESETS: dict[str, LensSettings] = {name: LensSettings() for name in ("best", "fast", "paper")}


def logit_lens(
    score: AnswerScore,
    image: Float[Tensor, "3 height width"],
    settings: LensSettings,
    *,
    seed: int = 0,
    progress: Progress | None = None,
) -> Attribution:
    """What image tokens would say, less interference. Arguments and errors: see `attention`.

    The maps of the selected tokens are added up.
    """
    inside, tokens = open_inside(score, settings, "hidden states")
    read = inside.readout(settings.depth, tokens.positions)
    painted = torch.zeros(tokens.weights.shape[1:], dtype=torch.float32)
    for row in read.selected:
        values = read.logits[row]
        if settings.interference:
            values = remove_interference(values, read.logits[:row], read.ids[:row], read.ids[row])
        painted += score.canvas.each(lambda part: rank_filter(part, settings.window), tokens.paint(values.clamp_min(0)))
    return Attribution(to_saliency(painted))


def remove_interference(
    values: Float[Tensor, " image_tokens"],
    earlier: Float[Tensor, "earlier image_tokens"],
    earlier_ids: Sequence[int],
    token: int,
) -> Float[Tensor, " image_tokens"]:
    """`values` less the mean of the earlier tokens' values, scaled to explain as much of them as it can.

    After the "estimated causal inference" of the Token Activation Map, simplified: there an earlier token counts by its
    relevance to `token`, here all count the same, each word of the vocabulary once, and `token` itself not at all.
    The scale is that of least squares, <values, mean> / <mean, mean>, not negative.
    """
    rows = [index for index, other in enumerate(earlier_ids) if other != token and other not in earlier_ids[:index]]
    if not rows:
        return values
    mean = earlier[rows].mean(dim=0)
    power = mean.square().sum()
    if not power > 0:
        return values
    return values - ((values * mean).sum() / power).clamp_min(0) * mean


def rank_filter(values: Float[Tensor, "height width"], window: int) -> Float[Tensor, "height width"]:
    """Each cell becomes a mean of its window's sorted values, weighted by a Gaussian around the median.

    The Token Activation Map's rank Gaussian filter with a fixed standard deviation, a sixth of the ranks, where the
    paper takes one from each window's spread: single outliers go, as with a median, and smooth parts stay smooth.
    """
    if window == 1:
        return values
    padded = functional.pad(values[None, None], [window // 2] * 4, mode="replicate")
    ranked = functional.unfold(padded, window)[0].sort(dim=0).values
    ranks = torch.arange(window**2, dtype=torch.float32) - window**2 // 2
    weights = torch.exp(-ranks.square() / (2 * (window**2 / 6) ** 2))
    return (weights @ ranked / weights.sum()).reshape(values.shape)
