"""Structured light: known pictures, and where each number of a tensor lies by what a processor makes of them.

The constant images tell what light does to each tensor element, so that every other value can be read as the light of
its source, whatever the normalisation. Per axis there are a ramp, whose light is the source's coordinate to a gray
level, and a cosine and a sine of a finer period, whose phase is the coordinate more precisely. Tensors are read part by
part: only coordinates and one response at a time are held whole.
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

from wherelook.types import Size

Places = NDArray[np.float64]

MOST_PERIODS = 16.0
FEWEST_PERIODS = 0.5  # fewer are of an image of a few pixels, between which a ramp is straight and a wave is not
FINEST_WAVELENGTH = 10.0  # source pixels; shorter waves do not survive resampling
DARK, BRIGHT = 24, 231  # gray levels: far enough from 0 and 255 that no resampling overshoots beyond those
LIGHT_LEVEL, LIGHT_SWING = (BRIGHT + DARK) / 2, (BRIGHT - DARK) / 2
GAIN_FLOOR = 0.05  # of the tensor's strongest: what light changes less is padding
CONTRAST_FLOOR = 0.05  # of the wave's: a weaker one tells no phase
STUCK = 0.05  # from the extremes of the light: no wave is as near to two of them at once, but a threshold is
SURE_PERIODS = 0.25  # between the wave's coordinate and the ramp's: further apart, the wave is aliased
PART = 2**19  # elements that are worked on at once
SAME_COORDINATE = 2e-4  # of the side: closer than any two neighbouring pixels need to be told apart


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
        grid: (*shape, 2): x and y, from -1 to 1 over the image.
        lit: (*shape,) whether an element follows the light.
        image: (*shape,) number of the image that it comes from.
        cosine: (*shape,) what was read of the cosine, until the sine is.
    """

    dark: Tensor
    gain: Tensor
    shape: torch.Size
    grid: Tensor = field(init=False)
    lit: Tensor = field(init=False)
    image: Tensor = field(init=False)
    cosine: Tensor = field(init=False)

    def __post_init__(self) -> None:
        self.grid = torch.empty(*self.shape, 2, dtype=torch.float32)
        strength = self.gain.abs()
        self.lit = (strength > GAIN_FLOOR * strength.max()).expand(self.shape).clone()

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
        """The ramp tells in which period of the wave an element lies, and the phase where in it."""
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


def collapse(grid: Tensor, pixel: Tensor, image: Tensor | None) -> tuple[Tensor, Tensor]:
    """Cuts dimensions along which the source does not change (channels, repeated frames) to length 1."""
    for dimension in range(1, pixel.dim()):
        if (
            pixel.shape[dimension] > 1
            and _same_along(dimension, grid, 2 * SAME_COORDINATE)
            and _same_along(dimension, pixel)
            and (image is None or image.shape[dimension] == 1)
        ):
            grid, pixel = grid.mean(dimension, keepdim=True), pixel.narrow(dimension, 0, 1)
    return grid, pixel


def fold(grid: Tensor, pixel: Tensor) -> tuple[Tensor, tuple[int, int]]:
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
                and _same_along(last + kind, grid.unflatten(last, sizes), 2 * SAME_COORDINATE)
                and _same_along(last + kind, pixel.unflatten(last, sizes))
            ):
                grid = grid.unflatten(last, sizes).mean(last + kind)
                pixel = pixel.unflatten(last, sizes).select(last + kind, 0)
                repeats[kind] = count
                break
    return grid, (repeats[0], repeats[1])


def _same_along(dimension: int, tensor: Tensor, tolerance: float | None = None) -> bool:
    """Whether everything along a dimension is like its first, up to the tolerance where there is one."""
    first = tensor.narrow(dimension, 0, 1)
    for part in parts(tensor.shape):
        here, there = tensor[part], part_of(first, part)
        if not ((here == there).all() if tolerance is None else (here - there).abs().max() <= tolerance):
            return False
    return True


LIGHTS = ((ramp, LitTensor.read_ramp), (cosine, LitTensor.read_cosine), (sine, LitTensor.read_sine))
"""What is shown along an axis, in this order, and how each is read."""
