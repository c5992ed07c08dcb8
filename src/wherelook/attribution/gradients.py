"""Maps from gradients: of the pixels, of the pixels times their difference from the baseline, along a path, smoothed.

With F the summed log-probability of the selected tokens, I the image, B the baseline and Phi(M) = B + M (I - B):

gradient              |dF/dx| at x = I, over all pixels x of a cell (Simonyan et al. 2014, arXiv 1312.6034).
gradient-x-input      sum over the pixels of a cell of (I - B) dF/dx at x = I, which is dF/dM at M = 1 (Shrikumar et
                      al. 2016, arXiv 1605.01713). The baseline takes the place of zero there: a processor's zero is
                      some gray that depends on the model, and says nothing of what is left without the region.
integrated-gradients  the integral of dF/dM at M = s over s from 0 to 1 (Sundararajan et al. 2017, arXiv 1703.01365,
                      equation 1). Before the sign is dropped, the cells add up to F(I) - F(B).
smoothgrad            the mean of one of the first two over copies of the image with Gaussian noise (Smilkov et al.
                      2017, arXiv 1706.03825).

The papers draw one value per pixel. Here the values of a cell are added up, as every other method has a value per cell.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from wherelook.attribution.grids import to_saliency
from wherelook.canvas import Size, map_size
from wherelook.errors import InputError
from wherelook.score import AnswerScore, Attribution, Noise, Passes, PixelGradient, Progress

CHUNK = 64
"""Masks in one call of the score: memory does not grow with their number."""


@dataclass(frozen=True)
class GradientSettings:
    """Of the plain gradient, whose values have no sign.

    Attributes:
        cells: side of the map for a square image; its cells are square.
    """

    cells: int = 28

    def __post_init__(self) -> None:
        if not 1 <= self.cells <= 512:
            raise InputError(f"cells must be from 1 to 512, not {self.cells}")


@dataclass(frozen=True)
class SignedSettings(GradientSettings):
    """Of gradient x input.

    Attributes:
        sign: "positive" keeps what speaks for the answer, "magnitude" also shows what speaks against it.
    """

    sign: Literal["positive", "magnitude"] = "positive"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.sign not in ("positive", "magnitude"):
            raise InputError(f"sign is positive or magnitude, not {self.sign!r}")


@dataclass(frozen=True)
class IntegratedSettings(SignedSettings):
    """Of integrated gradients.

    Attributes:
        steps: intervals of the path, which cost one pass more (trapezoids). The paper finds 20 to 300 enough.
    """

    steps: int = 300

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.steps <= 1000:
            raise InputError(f"steps must be from 1 to 1000, not {self.steps}")


@dataclass(frozen=True)
class SmoothSettings(SignedSettings):
    """Of SmoothGrad. `sign` is for gradient x input only: the plain gradient's magnitude is taken in any case.

    Attributes:
        samples: noisy copies; the paper sees little gain above 50.
        noise: standard deviation of the noise, as a share of the range from black to white; the paper advises 0.1
            to 0.2.
        of: which gradient is averaged. The plain one is averaged with its sign, then its magnitude is taken.
    """

    samples: int = 50
    noise: float = 0.15
    of: Literal["gradient", "gradient-x-input"] = "gradient"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.samples <= 10_000:
            raise InputError(f"samples must be from 1 to 10000, not {self.samples}")
        if not 0 < self.noise <= 10:
            raise InputError(f"noise must be above 0 and at most 10, not {self.noise}")
        if self.of not in ("gradient", "gradient-x-input"):
            raise InputError(f"of is gradient or gradient-x-input, not {self.of!r}")


# One pass cannot be made cheaper: presets that would differ in nothing else are the same.
GRADIENT_PRESETS: dict[str, GradientSettings] = {name: GradientSettings() for name in ("best", "fast", "paper")}
# The positive part leaves the cells that speak against the answer unranked; the magnitude ranks every cell.
GRADIENT_X_INPUT_PRESETS: dict[str, SignedSettings] = {
    "best": SignedSettings(sign="magnitude"),
    "fast": SignedSettings(sign="magnitude"),
    "paper": SignedSettings(),
}
INTEGRATED_PRESETS: dict[str, IntegratedSettings] = {
    "best": IntegratedSettings(steps=100, sign="magnitude"),
    "fast": IntegratedSettings(steps=20, sign="magnitude"),
    "paper": IntegratedSettings(steps=300),
}
SMOOTH_PRESETS: dict[str, SmoothSettings] = {
    "best": SmoothSettings(samples=100),
    "fast": SmoothSettings(samples=25),
    "paper": SmoothSettings(samples=50),
}


def one_pass(settings: GradientSettings, image_size: Size) -> Passes:
    """One, with a gradient."""
    return Passes(1, 1)


def integrated_passes(settings: IntegratedSettings, image_size: Size) -> Passes:
    """One with a gradient for every end of an interval."""
    return Passes(settings.steps + 1, settings.steps + 1)


def smooth_passes(settings: SmoothSettings, image_size: Size) -> Passes:
    """One with a gradient for every noisy copy."""
    return Passes(settings.samples, settings.samples)


def gradient(
    score: AnswerScore,
    image: Float[Tensor, "3 height width"],
    settings: GradientSettings,
    *,
    seed: int = 0,
    progress: Progress | None = None,
) -> Attribution:
    """The magnitude of dF/dx, one pass.

    Args:
        score: a score that is also a `PixelGradient`.
        image: not used.
        settings: see `GradientSettings`.
        seed: not used.
        progress: called when done.

    Raises:
        InputError: the score has no gradient with respect to pixels.
    """
    values = _pixel_gradient(score, map_size(settings.cells, score.canvas.size), None)
    if progress is not None:
        progress("gradient", 1, 1)
    return Attribution(to_saliency(values))


def gradient_x_input(
    score: AnswerScore,
    image: Float[Tensor, "3 height width"],
    settings: SignedSettings,
    *,
    seed: int = 0,
    progress: Progress | None = None,
) -> Attribution:
    """dF/dM at M = 1, one pass.

    Args:
        score: the score function.
        image: not used.
        settings: see `SignedSettings`.
        seed: not used.
        progress: called when done.
    """
    ones = torch.ones(1, *map_size(settings.cells, score.canvas.size), device=score.device, dtype=torch.float32)
    values = weighted_gradient(score, ones, ones[:, 0, 0], progress=progress)
    return Attribution(_signed(values, settings))


def integrated_gradients(
    score: AnswerScore,
    image: Float[Tensor, "3 height width"],
    settings: IntegratedSettings,
    *,
    seed: int = 0,
    progress: Progress | None = None,
) -> Attribution:
    """The integral of dF/dM on the straight path from baseline to image.

    Args:
        score: the score function.
        image: not used.
        settings: see `IntegratedSettings`.
        seed: not used.
        progress: called after every `CHUNK` passes.
    """
    size = map_size(settings.cells, score.canvas.size)
    return Attribution(_signed(integrated_gradient(score, size, settings.steps, progress=progress), settings))


def smoothgrad(
    score: AnswerScore,
    image: Float[Tensor, "3 height width"],
    settings: SmoothSettings,
    *,
    seed: int = 0,
    progress: Progress | None = None,
) -> Attribution:
    """The mean gradient over noisy copies of the image.

    Args:
        score: the score function; also a `PixelGradient` where the plain gradient is averaged.
        image: not used: the noise is added to the pixels that the model sees.
        settings: see `SmoothSettings`.
        seed: of the noise.
        progress: called after every `CHUNK` passes (gradient x input), or when done.

    Raises:
        InputError: the plain gradient of a score that has none.
    """
    size = map_size(settings.cells, score.canvas.size)
    noise = Noise(settings.noise, tuple(_seeds(seed, settings.samples)), relative=True)
    if settings.of == "gradient":
        values = _pixel_gradient(score, size, noise)
        if progress is not None:
            progress("gradient", settings.samples, settings.samples)
    else:
        weights = torch.full((settings.samples,), 1 / settings.samples, device=score.device, dtype=torch.float32)
        masks = torch.ones((), device=score.device, dtype=torch.float32).expand(settings.samples, *size)
        values = weighted_gradient(score, masks, weights, noise=noise, progress=progress)
    return Attribution(_signed(values, settings))


def integrated_gradient(
    score: AnswerScore, size: Size, steps: int, *, progress: Progress | None = None
) -> Float[Tensor, "height width"]:
    """Integrated gradient of F from baseline to image per cell of a mask of `size`, with its sign, by trapezoids.

    The cells add up to F(I) - F(B), but for the error of the trapezoids. Costs `steps` + 1 passes with a gradient.
    """
    points = torch.linspace(0, 1, steps + 1, device=score.device, dtype=torch.float32)
    weights = torch.full_like(points, 1 / steps)
    weights[[0, -1]] /= 2
    return weighted_gradient(score, points[:, None, None].expand(-1, *size), weights, progress=progress)


def weighted_gradient(
    score: AnswerScore,
    masks: Float[Tensor, "masks height width"],
    weights: Float[Tensor, " masks"],
    *,
    noise: Noise | None = None,
    progress: Progress | None = None,
) -> Float[Tensor, "height width"]:
    """Sum over masks of weight * dF/dM at the mask; at most `CHUNK` gradients are held at a time."""
    total = torch.zeros(masks.shape[1:], device=masks.device, dtype=torch.float32)
    for start in range(0, len(masks), CHUNK):
        rows = slice(start, start + CHUNK)
        part = None if noise is None else replace(noise, seeds=noise.seeds[rows])
        _, gradients = score.gradient(masks[rows], noise=part)
        total += torch.einsum("p,phw->hw", weights[rows], gradients)
        if progress is not None:
            progress("gradient", min(start + CHUNK, len(masks)), len(masks))
    return total


def _pixel_gradient(score: AnswerScore, size: Size, noise: Noise | None) -> Tensor:
    if not isinstance(score, PixelGradient):
        raise InputError(
            "the gradient with respect to pixels needs a score that gives it (PixelGradient): use gradient-x-input"
        )
    return score.pixel_gradient(size, noise=noise)


def _signed(values: Tensor, settings: SignedSettings) -> Tensor:
    return to_saliency(values.abs() if settings.sign == "magnitude" else values)


def _seeds(seed: int, count: int) -> Iterator[int]:
    generator = torch.Generator().manual_seed(seed)
    return (int(value) for value in torch.randint(2**62, (count,), generator=generator))
