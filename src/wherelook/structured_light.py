"""Structured light: known pictures, and where each number of a tensor lies by what a processor makes of them.

The constant images tell what light does to each tensor element, so that every other value can be read as the light of
its source, whatever the normalization. Per axis there are a ramp, whose light is the source's coordinate to a gray
level, and a cosine and a sine of a finer period, whose phase is the coordinate more precisely. An element at the
border of padding is mostly padding: of few gray levels a ramp does not tell the period, and a coarser cosine and sine
come between. Tensors are read part by part: only coordinates and one response at a time are held whole.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from wherelook.canvas import Size

Places = NDArray[np.float64]

MOST_PERIODS = 16.0
MIDDLE_PERIODS = 2.5  # the most that a ramp of GAIN_FLOOR * (BRIGHT - DARK) gray levels tells apart
FEWEST_PERIODS = 0.5  # fewer are of an image of a few pixels, between which a ramp is straight and a wave is not
FINEST_WAVELENGTH = 10.0  # source pixels; shorter waves do not survive resampling
DARK, BRIGHT = 24, 231  # gray levels: far enough from 0 and 255 that no resampling overshoots beyond those
LIGHT_LEVEL, LIGHT_SWING = (BRIGHT + DARK) / 2, (BRIGHT - DARK) / 2
GAIN_FLOOR = 0.05  # of the tensor's strongest: what light changes less is padding
CONTRAST_FLOOR = 0.05  # of the wave's: a weaker one tells no phase
STUCK = 0.05  # from the extremes of the light: no wave is as near to two of them at once, but a threshold is
SURE_PERIODS = 0.25  # between the wave's coordinate and the ramp's: further apart, the wave is aliased
PART = 2**19  # elements that are worked on at once
SAME_COORDINATE = 2e-4  # of the side: closer than any two neighboring pixels need to be told apart, at the full gain


def periods_of(side: int) -> float:
    """How many periods of a wave an image's side of so many pixels has."""
    return min(MOST_PERIODS, side / FINEST_WAVELENGTH)


def ramp(places: Places, periods: float) -> Places:
    return 2 * places - 1


def cosine(places: Places, periods: float) -> Places:
    return np.cos(2 * math.pi * periods * places)


def sine(places: Places, periods: float) -> Places:
    return np.sin(2 * math.pi * periods * places)


def gradient(size: Size, axis: int, light: Callable[[Places, float], Places], periods: float) -> Image.Image:
    """A gray picture whose light, from -1 to 1, is a function of the place along one axis (0: y, 1: x), from 0 to 1."""
    places = (np.arange(size[axis]) + 0.5) / size[axis]
    values = np.rint(LIGHT_LEVEL + LIGHT_SWING * light(places, periods)).astype(np.uint8)
    gray = np.broadcast_to(values[:, None] if axis == 0 else values[None, :], size)
    return Image.fromarray(np.ascontiguousarray(gray)).convert("RGB")


def constant(value: int, size: Size) -> Image.Image:
    return Image.new("RGB", (size[1], size[0]), (value, value, value))


@dataclass
class LitTensor:
    """One tensor under structured light.

    Attributes:
        dark: its values for a dark image; length 1 along dimensions where they are the same.
        gain: what a bright image adds to them; likewise.
        shape: its shape.
        share: its gain as a share of the strongest, without a sign.
        levels: how many gray levels of light are left in the weakest element that is lit.
        grid: (*shape, 2): x and y, from -1 to 1 over the image.
        lit: (*shape,) whether an element follows the light.
        image: (*shape,) number of the image that it comes from.
        cosine: (*shape,) what was read of the cosine, until the sine is.
    """

    dark: Tensor
    gain: Tensor
    shape: torch.Size
    share: Tensor = field(init=False)
    levels: float = field(init=False)
    grid: Tensor = field(init=False)
    lit: Tensor = field(init=False)
    image: Tensor = field(init=False)
    cosine: Tensor = field(init=False)

    def __post_init__(self) -> None:
        self.grid = torch.empty(*self.shape, 2, dtype=torch.float32)
        strength = self.gain.abs()
        share = strength / strength.max()
        lit = share > GAIN_FLOOR
        self.share = share.expand(self.shape)
        self.levels = float(share[lit].min()) * (BRIGHT - DARK)
        self.lit = lit.expand(self.shape).clone()

    def light(self, values: Tensor) -> Iterator[tuple[tuple[slice, ...], Tensor]]:
        """The light of its source that an element's value speaks of, part by part: 1 and -1 are the light's extremes.

        A negative gain is of inverted pixels, or of an overshoot of the resampling. No element without one is lit.
        """
        for part in parts(self.shape):
            dark, gain = part_of(self.dark, part), part_of(self.gain, part)
            yield part, (values[part] - dark).mul_(2 / torch.where(gain == 0, math.inf, gain)).sub_(1)

    def read_ramp(self, values: Tensor, coordinate: int, periods: float) -> None:
        for part, light in self.light(values):
            self.grid[..., coordinate][part] = light

    def read_cosine(self, values: Tensor, coordinate: int, periods: float) -> None:
        self.cosine = torch.empty(self.shape, dtype=torch.float32)
        for part, light in self.light(values):
            self.cosine[part] = light

    def read_sine(self, values: Tensor, coordinate: int, periods: float) -> None:
        """What was read before tells in which period of the wave an element lies, and the phase where in it."""
        for part, sine in self.light(values):
            cosine, rough = self.cosine[part], self.grid[..., coordinate][part]
            contrast = torch.hypot(cosine, sine)
            self.lit[part] &= ((cosine.abs() - 1).abs() > STUCK) | ((sine.abs() - 1).abs() > STUCK)
            if periods > FEWEST_PERIODS:
                turns = torch.atan2(sine, cosine).div_(2 * math.pi)
                away = torch.add(periods / 2 - turns, rough, alpha=periods / 2)
                period = away.round()
                sure = (contrast > CONTRAST_FLOOR) & (away.sub_(period).abs_() < SURE_PERIODS)
                rough = torch.where(sure, turns.add_(period).mul_(2 / periods).sub_(1), rough)
            self.grid[..., coordinate][part] = rough.clamp(-1, 1)
        del self.cosine

    @property
    def value_range(self) -> float:
        """The median of what white would add to black."""
        gain = self.gain if self.lit.all() else self.gain.expand(self.shape)[self.lit]
        return float(gain.abs().median()) * 255 / (BRIGHT - DARK)


def compact(tensor: Tensor) -> Tensor:
    """Length 1 along dimensions where the values are the same, in memory of its own."""
    for dimension, length in enumerate(tensor.shape):
        if length > 1 and bool((tensor == (first := tensor.narrow(dimension, 0, 1))).all()):
            tensor = first
    return tensor.clone()


def parts(shape: torch.Size, dimension: int | None = None) -> Iterator[tuple[slice, ...]]:
    """Slices that cover a tensor of this shape, along its longest dimension or a given one."""
    if not shape:
        yield ()
        return
    longest = max(range(len(shape)), key=lambda dimension: shape[dimension]) if dimension is None else dimension
    step = max(1, shape[longest] * PART // max(1, math.prod(shape)))
    for start in range(0, shape[longest], step):
        yield (*[slice(None)] * longest, slice(start, start + step))


def part_of(tensor: Tensor, part: tuple[slice, ...]) -> Tensor:
    """That part of a tensor that may have length 1 where it is the same along a dimension."""
    return tensor[
        tuple(slice(None) if length == 1 else piece for piece, length in zip(part, tensor.shape, strict=False))
    ]


def collapse(grid: Tensor, pixel: Tensor, share: Tensor, image: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    """Cuts dimensions along which the source does not change (channels, repeated frames) to length 1.

    Args:
        grid, pixel, share: of each element the place, whether it has one, and its share of the strongest gain.
        image: which image it comes from, where there are several.

    Returns:
        The grid, the pixels and the shares.
    """
    for dimension in range(1, pixel.dim()):
        if (
            pixel.shape[dimension] > 1
            and _same_places(dimension, grid, share)
            and _same_along(dimension, pixel)
            and (image is None or image.shape[dimension] == 1)
        ):
            grid = grid.mean(dimension, keepdim=True)
            pixel, share = pixel.narrow(dimension, 0, 1), share.narrow(dimension, 0, 1)
    return grid, pixel, share


def fold(grid: Tensor, pixel: Tensor, share: Tensor) -> tuple[Tensor, tuple[int, int]]:
    """Cuts repetitions of the source along the last dimension, of all of it and then of each of its numbers.

    Returns:
        The grid with a last dimension that is shorter, and how often all and each of its places come in a row.
    """
    last = pixel.dim() - 1
    repeats = [1, 1]
    for kind in (0, 1) if last > 0 else ():
        for count in range(grid.shape[last], 1, -1):
            shorter, left = divmod(grid.shape[last], count)
            sizes = (shorter, count) if kind else (count, shorter)
            if (
                left == 0
                and _same_places(last + kind, grid.unflatten(last, sizes), share.unflatten(last, sizes))
                and _same_along(last + kind, pixel.unflatten(last, sizes))
            ):
                grid = grid.unflatten(last, sizes).mean(last + kind)
                pixel, share = (each.unflatten(last, sizes).select(last + kind, 0) for each in (pixel, share))
                repeats[kind] = count
                break
    return grid, (repeats[0], repeats[1])


def _same_along(dimension: int, tensor: Tensor) -> bool:
    """Whether everything along a dimension is like its first."""
    first = tensor.narrow(dimension, 0, 1)
    return all(bool((tensor[part] == part_of(first, part)).all()) for part in parts(tensor.shape))


def _same_places(dimension: int, grid: Tensor, share: Tensor) -> bool:
    """Whether all places along a dimension are as near to its first as they are measured: less light tells less."""
    first, its_share = (tensor.narrow(dimension, 0, 1) for tensor in (grid, share))
    for part in parts(share.shape):
        light = torch.minimum(share[part], part_of(its_share, part))[..., None]
        if not (grid[part] - part_of(first, part)).abs_().mul_(light).max() <= 2 * SAME_COORDINATE:
            return False
    return True


Light = Callable[[Places, float], Places]
Read = Callable[[LitTensor, Tensor, int, float], None]


def lights(periods: float, levels: float) -> list[tuple[Light, float, Read]]:
    """What is shown along an axis, in this order, of how many periods, and how each is read.

    Args:
        periods: of the finest wave.
        levels: gray levels of light in the weakest element. Its values are rounded, so that its ramp is off by up to
            1 / levels of the side.
    """
    waves = [periods] if periods / levels <= SURE_PERIODS else [MIDDLE_PERIODS, periods]
    shown: list[tuple[Light, float, Read]] = [(ramp, periods, LitTensor.read_ramp)]
    for count in waves:
        shown += [(cosine, count, LitTensor.read_cosine), (sine, count, LitTensor.read_sine)]
    return shown
