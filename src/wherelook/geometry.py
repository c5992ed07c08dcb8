"""Where each number of a processor's output comes from in the image, measured by structured light.

A low-resolution mask must reach every pixel tensor that a processor emits: crops, padding, tiles with a thumbnail,
flattened patches, several encoders. Instead of code per model family, the processor is shown known pictures. Per axis:
three gray sinusoids (phases 0, 120 and 240 degrees) at a coarse frequency, whose phase is unambiguous over the image,
and three at a fine one, whose phase is precise; then the constant images 0 and 255. The phase of each tensor element
is its source coordinate, and any affine normalisation of the pixel values cancels. An element whose value does not
follow the light (padding, or a tensor that is not pixels) has no amplitude.

Fourteen processor calls per (processor, image size); nothing here knows a model. Several images of one prompt are lit
together, each in its own coordinates, and one more call for each tells which elements are its.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float, Int
from PIL import Image
from torch import Tensor
from torch.nn import functional

from wherelook.errors import InputError
from wherelook.sheet import columns, sheet_size, sheet_widths, split
from wherelook.types import Size

Process = Callable[..., Mapping[str, Tensor]]
"""Turns the images of a prompt, as positional arguments, into the model's input tensors."""

Pictures = Image.Image | Sequence[Image.Image]
"""The image of a prompt, or several in their order."""

COARSE_PERIODS = 0.4
FINE_PERIODS = 16.0
FINEST_WAVELENGTH = 10.0  # source pixels; shorter waves do not survive resampling
LIGHT_LEVEL, LIGHT_SWING = 127.5, 120.0
PHASES = (0.0, 2 * math.pi / 3, 4 * math.pi / 3)
AMPLITUDE_FLOOR = 0.05  # of the tensor's strongest response: weaker is padding
MIXED_SHARE = 0.1  # of an element's range from black to white: an image that moves it more is one of its sources
SAME_COORDINATE = 2e-4  # of the side: closer than any two neighbouring pixels need to be told apart
SMALLEST_TILE = 32  # pixels: what is smaller is a patch (of 28 at most) and no picture by itself
WARN_ERROR, REFUSE_ERROR = 1.5, 4.0  # of 255, mean over pixels


@dataclass(frozen=True)
class TensorGeometry:
    """Source of each element of one pixel tensor.

    Attributes:
        grid: (*shape, 2) float32: x and y in [-1, 1] as `grid_sample` wants them (-1 is the image's left or top edge).
            A dimension along which the source does not change, such as the channels, has length 1.
        pixel: (*shape,) bool: False where the element does not depend on the image (padding).
        value_range: the processed value of white minus that of black, in units of the tensor.
        image: (*shape,) which of several images each element comes from, from 0; None where there is one image.
        widths: widths of the images on their sheet (see `wherelook.sheet`); empty for one image.
    """

    grid: Float[Tensor, "*shape 2"]
    pixel: Tensor
    value_range: float
    image: Int[Tensor, "*shape"] | None = None
    widths: tuple[int, ...] = ()

    def to(self, device: torch.device | str) -> TensorGeometry:
        image = None if self.image is None else self.image.to(device)
        return replace(self, grid=self.grid.to(device), pixel=self.pixel.to(device), image=image)


@dataclass(frozen=True)
class Geometry:
    """The sources of every pixel tensor of a processor, for images of one size.

    Attributes:
        size: (height, width) of the image, or of the sheet of several (see `wherelook.sheet`).
        tensors: by name.
        widths: of several images on their sheet; empty for one image.
    """

    size: Size
    tensors: Mapping[str, TensorGeometry]
    widths: tuple[int, ...] = ()

    def to(self, device: torch.device | str) -> Geometry:
        return replace(self, tensors={name: tensor.to(device) for name, tensor in self.tensors.items()})

    def of(self, sizes: Sequence[Size]) -> Geometry:
        """The same places in images of other sizes (height, width), of which the measured ones were smaller copies."""
        widths = sheet_widths(sizes) if len(sizes) > 1 else ()
        if (sheet_size(sizes), widths) == (self.size, self.widths):
            return self
        tensors = {name: replace(tensor, widths=widths) for name, tensor in self.tensors.items()}
        return Geometry(sheet_size(sizes), tensors, widths)


@dataclass(frozen=True)
class BlendError:
    """Blend in model space against the processed blend of pixels, in gray levels of 255."""

    mean: float
    maximum: float

    @property
    def verdict(self) -> str:
        """'exact', 'approximate' (mean above 1.5) or 'wrong' (mean above 4)."""
        if not self.mean <= REFUSE_ERROR:  # also catches NaN
            return "wrong"
        return "approximate" if self.mean > WARN_ERROR else "exact"


def probe(process: Process, *sizes: Size) -> Geometry:
    """Measures the geometry of `process` for images of these sizes.

    Args:
        process: the model's preprocessing; called 14 times, and once more for each of several images.
        sizes: (height, width) in pixels of each image of the prompt.

    Raises:
        InputError: no output tensor follows the image, or one of several images is not read.
    """
    black = _floating(process(*(_constant(0, size) for size in sizes)))
    white = _floating(process(*(_constant(255, size) for size in sizes)))
    range_of = {name: white[name] - black[name] for name in black if white[name].shape == black[name].shape}
    pixel_names = [name for name, difference in range_of.items() if difference.abs().max() > 0]
    if not pixel_names and black:
        raise InputError(
            "a black and a white image give the model the same pixels: its processor normalises each image by itself "
            "or ignores it, so that a mask cannot be followed through it"
        )
    if not pixel_names:
        raise InputError("no pixels reach the model: is this its processor, and does it read images?")

    coordinates: dict[str, list[Tensor]] = {name: [] for name in pixel_names}
    lit = {name: torch.ones_like(range_of[name], dtype=torch.bool) for name in pixel_names}
    for axis in (1, 0):
        coarse = _phase(process, sizes, axis, COARSE_PERIODS, range_of, pixel_names)
        side = min(size[axis] for size in sizes)
        fine_periods = max(COARSE_PERIODS, min(FINE_PERIODS, side / FINEST_WAVELENGTH))
        fine = _phase(process, sizes, axis, fine_periods, range_of, pixel_names)
        for name in pixel_names:
            # The image spans phases 0 to 0.8 pi; rounding can push the left edge just below zero.
            coarse_phase = torch.where(
                coarse[name].phase > 1.4 * math.pi, coarse[name].phase - 2 * math.pi, coarse[name].phase
            )
            coarse_position = coarse_phase / (2 * math.pi * COARSE_PERIODS)
            # The coarse phase tells in which fine period the element lies.
            period = torch.round(coarse_position * fine_periods - fine[name].phase / (2 * math.pi))
            position = (period + fine[name].phase / (2 * math.pi)) / fine_periods
            trusted = fine[name].amplitude > AMPLITUDE_FLOOR * fine[name].amplitude.max()
            coordinates[name].append(torch.where(trusted, position, coarse_position).clamp(0, 1))
            lit[name] &= coarse[name].amplitude > AMPLITUDE_FLOOR * coarse[name].amplitude.max()

    several = len(sizes) > 1
    images = _images_of(process, sizes, black, range_of, lit) if several else {}
    widths = sheet_widths(sizes) if several else ()
    tensors = {}
    for name in pixel_names:
        grid = torch.stack(coordinates[name], dim=-1) * 2 - 1
        grid = torch.where(lit[name][..., None], grid, torch.zeros_like(grid))
        grid, pixel, image = _collapse(grid, lit[name], images.get(name))
        value_range = float(range_of[name][lit[name]].abs().median()) if lit[name].any() else 0.0
        if value_range > 0:
            tensors[name] = TensorGeometry(grid.float().contiguous(), pixel.contiguous(), value_range, image, widths)
    return Geometry(sheet_size(sizes), tensors, widths)


def _images_of(
    process: Process,
    sizes: Sequence[Size],
    black: Mapping[str, Tensor],
    range_of: Mapping[str, Tensor],
    lit: Mapping[str, Tensor],
) -> dict[str, Tensor]:
    """For each pixel tensor which image each element comes from: the one that makes it white alone.

    Raises:
        InputError: an image that nothing comes from, or an element of several images.
    """
    brightness: dict[str, list[Tensor]] = {name: [] for name in lit}
    for index in range(len(sizes)):
        shown = _floating(process(*(_constant(255 * (index == other), size) for other, size in enumerate(sizes))))
        for name, values in brightness.items():
            values.append((shown[name] - black[name]) / torch.where(range_of[name] == 0, 1, range_of[name]))
        if not any(bool((values[-1][lit[name]] > 0.5).any()) for name, values in brightness.items()):
            raise InputError(
                f"the processor drops image {index + 1} of {len(sizes)}: this model takes fewer images in a prompt"
            )
    images = {}
    for name, values in brightness.items():
        shares = torch.stack(values)
        if not ((shares.abs() > MIXED_SHARE).sum(dim=0) == 1)[lit[name]].all():
            raise InputError(f"the processor's tensor {name!r} mixes images: a mask cannot be mapped through it")
        images[name] = torch.where(lit[name], shares.argmax(dim=0), 0)
    return images


def sample(masks: Float[Tensor, "masks height width"], geometry: TensorGeometry) -> Float[Tensor, "masks *shape"]:
    """The masks at the source of each tensor element: bilinear between cell centres, constant beyond the outer ones.

    The same numbers as upsampling the masks to the image's size bilinearly and reading them where each element comes
    from. Of several images each is read in its own columns, without a look at its neighbours'; a mask of one column
    holds for all of them. Differentiable in `masks`.
    """
    shape = geometry.grid.shape[:-1]
    places = geometry.grid if geometry.image is None or masks.shape[2] == 1 else _on_sheet(geometry, masks.shape[2])
    grid = places.reshape(1, 1, -1, 2).to(masks.dtype)
    if masks.is_cuda and masks.requires_grad:
        return _gather(masks, places.reshape(-1, 2)).reshape(masks.shape[0], *shape)
    # All masks go in as channels of one image, so that the grid is not repeated per mask.
    values = functional.grid_sample(masks[None], grid, mode="bilinear", padding_mode="border", align_corners=False)
    return values.reshape(masks.shape[0], *shape)


def _gather(
    masks: Float[Tensor, "masks height width"], places: Float[Tensor, "places 2"]
) -> Float[Tensor, "masks places"]:
    """What `grid_sample` reads there, by indexing, whose gradient CUDA adds up in the same order every time."""
    height, width = masks.shape[1:]
    across, down = (
        (((place + 1) * size - 1) / 2).clamp(0, size - 1)
        for place, size in zip(places.unbind(1), (width, height), strict=True)
    )
    left, top = across.floor().long(), down.floor().long()
    right, bottom = (left + 1).clamp_max(width - 1), (top + 1).clamp_max(height - 1)
    across, down = across - left, down - top
    cells = masks.flatten(1)
    upper = cells[:, top * width + left] * (1 - across) + cells[:, top * width + right] * across
    lower = cells[:, bottom * width + left] * (1 - across) + cells[:, bottom * width + right] * across
    return upper * (1 - down) + lower * down


def pool(values: Float[Tensor, "*shape"], geometry: TensorGeometry, grid: Size) -> Float[Tensor, "height width"]:
    """Sums of `values`, one for each element of a pixel tensor, over the cells of a grid (height, width).

    The adjoint of `sample`: an element between cell centres is shared among them as `sample` mixes them.
    """
    with torch.enable_grad():
        cells = torch.zeros(1, *grid, device=values.device, dtype=values.dtype, requires_grad=True)
        (pooled,) = torch.autograd.grad((sample(cells, geometry)[0] * values).sum(), cells)
    return pooled[0]


def views(tensor: Tensor) -> list[tuple[int, ...]]:
    """The leading indices of a pixel tensor under which one picture each lies: a tile, a thumbnail, a whole image.

    A picture takes the last three dimensions (channels, height, width), or the last two (patches, numbers in a patch).
    A packed sequence of patches is one picture under the empty index.
    """
    leading = {2: 0, 3: 1}.get(tensor.dim(), tensor.dim() - 3)
    if tensor.dim() > 3 and max(tensor.shape[-2:]) < SMALLEST_TILE:
        leading = 0
    return list(np.ndindex(*tensor.shape[:leading]))


def _on_sheet(geometry: TensorGeometry, count: int) -> Float[Tensor, "*shape 2"]:
    """The grid over the whole sheet, for masks of `count` columns: between the centres of an image's own columns."""
    parts = columns(count, geometry.widths)
    starts, lengths = (
        torch.tensor(numbers, device=geometry.grid.device)[geometry.image]
        for numbers in ([part.start for part in parts], [part.stop - part.start for part in parts])
    )
    within = ((geometry.grid[..., 0] + 1) / 2 * lengths - 0.5).clamp_min(0).minimum(lengths - 1)
    across = (starts + within + 0.5) / count * 2 - 1
    return torch.stack([across, geometry.grid[..., 1]], dim=-1)


def blend_error(process: Process, geometry: Geometry, image: Pictures, baseline: Pictures) -> BlendError:
    """The self-check: the model-space blend against the processed pixel blend, on one random smooth mask.

    Catches processors whose geometry or normalisation depends on the image's content.
    """
    images, baselines = ([item] if isinstance(item, Image.Image) else item for item in (image, baseline))
    generator = torch.Generator().manual_seed(0)
    # Smooth on the scale of pixels: inside one pixel an enlarged blend and a blend of enlargements differ by nature.
    rows, across = (max(1, min(6, min(sides) // 8)) for sides in zip(*(_size(one) for one in images), strict=True))
    mask = torch.rand(1, rows, len(images) * across, generator=generator, dtype=torch.float32)
    composites = [
        _blended(one, other, part)
        for one, other, part in zip(images, baselines, split(mask, geometry.widths), strict=True)
    ]
    expected, of_image, of_baseline = (_floating(process(*shown)) for shown in (composites, images, baselines))
    total, count, worst = 0.0, 0, 0.0
    for name, tensor in geometry.tensors.items():
        shapes = {expected[name].shape, of_image[name].shape, of_baseline[name].shape}
        if len(shapes) > 1:
            return BlendError(math.inf, math.inf)
        kept = sample(mask, tensor)[0]
        blend = of_image[name] * kept + of_baseline[name] * (1 - kept)
        difference = (blend - expected[name]).abs() * (255 / tensor.value_range)
        pixel = tensor.pixel.expand_as(difference)
        total += float(difference[pixel].sum())
        count += int(pixel.sum())
        worst = max(worst, float(difference[pixel].max()))
    return BlendError(total / max(count, 1), worst)


def _blended(image: Image.Image, baseline: Image.Image, mask: Tensor) -> Image.Image:
    full = functional.interpolate(mask[None], size=_size(image), mode="bilinear", align_corners=False)[0, 0]
    weight = full.numpy()[..., None].astype(np.float32)
    mixed = np.asarray(image, np.float32) * weight + np.asarray(baseline, np.float32) * (1 - weight)
    return Image.fromarray(np.rint(mixed).clip(0, 255).astype(np.uint8))


def _size(image: Image.Image) -> Size:
    return image.height, image.width


@dataclass(frozen=True)
class _Wave:
    phase: Tensor  # radians in [0, 2 pi)
    amplitude: Tensor  # fraction of the light's swing that reached the element


def _phase(
    process: Process,
    sizes: Sequence[Size],
    axis: int,
    periods: float,
    range_of: Mapping[str, Tensor],
    names: list[str],
) -> dict[str, _Wave]:
    """Phase and amplitude of each element under three shifted sinusoids along one axis (0: y, 1: x).

    With I_k = a + b cos(theta + 2 pi k / 3): sum_k I_k cos(2 pi k / 3) = 1.5 b cos(theta), and
    sum_k I_k sin(2 pi k / 3) = -1.5 b sin(theta), so the level a and the gain cancel in theta.
    """
    cosine: dict[str, Tensor] = {}
    sine: dict[str, Tensor] = {}
    for shift in PHASES:
        output = _floating(process(*(_wave_image(size, axis, periods, shift) for size in sizes)))
        for name in names:
            if output[name].shape != range_of[name].shape:
                raise InputError(
                    f"the processor's tensor {name!r} changes its shape with the image's content: "
                    "a mask cannot be mapped through it"
                )
            cosine[name] = cosine.get(name, 0) + output[name] * math.cos(shift)
            sine[name] = sine.get(name, 0) - output[name] * math.sin(shift)
    waves = {}
    for name in names:
        # A negative gain (inverted pixels, or an overshoot of the resampling kernel) turns the phase by half a period.
        sign = torch.where(range_of[name] < 0, -1.0, 1.0)
        phase = torch.atan2(sine[name] * sign, cosine[name] * sign) % (2 * math.pi)
        amplitude = torch.hypot(sine[name], cosine[name]) * (255 / (1.5 * LIGHT_SWING))
        waves[name] = _Wave(phase, amplitude)
    return waves


def _wave_image(size: Size, axis: int, periods: float, shift: float) -> Image.Image:
    positions = (np.arange(size[axis]) + 0.5) / size[axis]
    values = np.rint(LIGHT_LEVEL + LIGHT_SWING * np.cos(2 * math.pi * periods * positions + shift))
    gray = np.broadcast_to(values[:, None] if axis == 0 else values[None, :], size).astype(np.uint8)
    return Image.fromarray(np.ascontiguousarray(gray)).convert("RGB")


def _constant(value: int, size: Size) -> Image.Image:
    return Image.new("RGB", (size[1], size[0]), (value, value, value))


def _floating(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {
        name: value.detach().to("cpu", torch.float32)
        for name, value in tensors.items()
        if isinstance(value, Tensor) and value.is_floating_point()
    }


def _collapse(grid: Tensor, pixel: Tensor, image: Tensor | None) -> tuple[Tensor, Tensor, Tensor | None]:
    """Cuts dimensions along which the source does not change (channels, repeated frames) to length 1."""
    for dimension in range(1, pixel.dim()):
        if pixel.shape[dimension] == 1:
            continue
        first_grid, first_pixel = grid.narrow(dimension, 0, 1), pixel.narrow(dimension, 0, 1)
        same_source = (grid - first_grid).abs().max() <= 2 * SAME_COORDINATE
        first_image = None if image is None else image.narrow(dimension, 0, 1)
        same_image = image is None or first_image is None or bool(torch.all(image == first_image))
        if same_source and same_image and bool((pixel == first_pixel).all()):
            grid, pixel, image = grid.mean(dimension, keepdim=True), first_pixel, first_image
    return grid, pixel, None if image is None else image.contiguous()
