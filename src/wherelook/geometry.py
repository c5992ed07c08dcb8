"""Where each number of a processor's output comes from in the image, measured by structured light.

A low-resolution mask must reach every pixel tensor that a processor emits: crops, padding, tiles with a thumbnail,
flattened patches, several encoders. Instead of code per model family, the processor is shown known pictures (see
`wherelook.structured_light`). An element that no light changes (padding, or a tensor that is not pixels) has no source,
and neither has one that does not follow the light.

Eight processor calls per (processor, image size), or twelve where an image mixes with padding at its border; nothing
here knows a model. Several images of one prompt are lit together, each in its own coordinates, and a few more calls
tell which elements are whose: one for each binary digit of the last image's number, counted from 0. What a call gives
is read and let go before the next.
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

from wherelook.canvas import Canvas, Size
from wherelook.errors import InputError
from wherelook.structured_light import (
    BRIGHT,
    DARK,
    LitTensor,
    collapse,
    compact,
    constant,
    fold,
    gradient,
    lights,
    part_of,
    parts,
    periods_of,
)

Process = Callable[..., Mapping[str, Tensor]]
"""Turns the images of a prompt, as positional arguments, into the model's input tensors."""

Pictures = Image.Image | Sequence[Image.Image]
"""The image of a prompt, or several in their order."""

MIXED_SHARE = 0.1  # of an element's range from black to white: an image that moves it more is one of its sources
SMALLEST_TILE = 32  # pixels: what is smaller is a patch (of 28 at most) and no picture by itself
WARN_ERROR, REFUSE_ERROR = 1.5, 4.0  # of 255, mean over pixels


@dataclass(frozen=True)
class TensorGeometry:
    """Source of each element of one pixel tensor.

    Attributes:
        grid: (*shape, 2) float32: x and y in [-1, 1] as `grid_sample` wants them (-1 is the image's left or top edge).
            A dimension along which the source does not change, such as the channels, has length 1; the last one is
            shorter where `repeats` says so.
        pixel: (*shape,) bool: False where the element does not depend on the image (padding).
        value_range: the processed value of white minus that of black, in units of the tensor.
        canvas: the images.
        image: which of several images each element comes from, from 0; length 1 along dimensions where it is the same.
            None where there is one image.
        repeats: how often the sources along the last dimension come in a row, all of them and each of them: a patch of
            flattened channels and frames has those of its pixels.
    """

    grid: Float[Tensor, "*shape 2"]
    pixel: Tensor
    value_range: float
    canvas: Canvas
    image: Int[Tensor, "..."] | None = None
    repeats: tuple[int, int] = (1, 1)

    def to(self, device: torch.device | str) -> TensorGeometry:
        image = None if self.image is None else self.image.to(device)
        return replace(self, grid=self.grid.to(device), pixel=self.pixel.to(device), image=image)


@dataclass(frozen=True)
class Geometry:
    """The sources of every pixel tensor of a processor, for images of given sizes.

    Attributes:
        canvas: the images.
        tensors: by name.
    """

    canvas: Canvas
    tensors: Mapping[str, TensorGeometry]

    def to(self, device: torch.device | str) -> Geometry:
        return replace(self, tensors={name: tensor.to(device) for name, tensor in self.tensors.items()})

    def of(self, sizes: Sequence[Size]) -> Geometry:
        """The same places in images of other sizes (height, width), of which the measured ones were smaller copies."""
        canvas = Canvas(tuple(sizes))
        if canvas == self.canvas:
            return self
        return Geometry(canvas, {name: replace(tensor, canvas=canvas) for name, tensor in self.tensors.items()})


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
        process: the model's preprocessing; called 8 times, 2 more for each axis where some element follows the image
            too weakly for few calls (the border of padding), and for n images (n - 1).bit_length() more.
        sizes: (height, width) in pixels of each image of the prompt.

    Raises:
        InputError: no output tensor follows the image, or one of several images is not read.
    """
    tensors = _respond(process, sizes)
    levels = min(tensor.levels for tensor in tensors.values())
    for axis in (1, 0):
        finest = periods_of(min(size[axis] for size in sizes))
        for light, periods, read in lights(finest, levels):
            shown = _process(process, [gradient(size, axis, light, periods) for size in sizes], tensors)
            for name, tensor in tensors.items():
                read(tensor, shown.pop(name), 1 - axis, periods)

    for name in [name for name, tensor in tensors.items() if not tensor.lit.any()]:
        del tensors[name]
    if not tensors:
        raise InputError(
            "what the processor gives the model changes with the image, but not by its brightness from place to place: "
            "a mask cannot be followed through it"
        )
    several = len(sizes) > 1
    if several:
        _tell_images_apart(process, sizes, tensors)
    canvas, measured = Canvas(sizes), dict[str, TensorGeometry]()
    for name in list(tensors):
        tensor = tensors.pop(name)
        if not tensor.lit.all():
            tensor.grid.masked_fill_(~tensor.lit[..., None], 0)
        image = compact(tensor.image) if several else None
        grid, pixel, share = collapse(tensor.grid, tensor.lit, tensor.share, image)
        repeats = (1, 1)
        if image is None or image.shape[-1] == 1:
            grid, repeats = fold(grid, pixel, share)
        measured[name] = TensorGeometry(
            grid.contiguous(), pixel.contiguous(), tensor.value_range, canvas, image=image, repeats=repeats
        )
    return Geometry(canvas, measured)


def _respond(process: Process, sizes: Sequence[Size]) -> dict[str, LitTensor]:
    """What light does to every tensor that it changes.

    Raises:
        InputError: there is none.
    """
    dark, bright = (_floating(process(*(constant(level, size) for size in sizes))) for level in (DARK, BRIGHT))
    numbers, tensors = len(dark), {}
    for name in list(dark):
        values, others = dark.pop(name), bright.pop(name, None)
        if others is not None and others.shape == values.shape and (gain := others - values).abs().max() > 0:
            tensors[name] = LitTensor(compact(values), compact(gain), gain.shape)
    if not tensors and numbers:
        raise InputError(
            "a dark and a bright image give the model the same pixels: its processor normalizes each image by itself "
            "or ignores it, so that a mask cannot be followed through it"
        )
    if not tensors:
        raise InputError("no pixels reach the model: is this its processor, and does it read images?")
    return tensors


def _tell_images_apart(process: Process, sizes: Sequence[Size], tensors: Mapping[str, LitTensor]) -> None:
    """Notes which image each element comes from: they are dark or bright, by the binary digits of their numbers.

    Raises:
        InputError: an image that nothing comes from, or an element of several images.
    """
    for tensor in tensors.values():
        tensor.image = torch.zeros(tensor.shape, dtype=torch.int32)
    for digit in range((len(sizes) - 1).bit_length()):
        pictures = [constant(BRIGHT if index >> digit & 1 else DARK, size) for index, size in enumerate(sizes)]
        shown = _process(process, pictures, tensors)
        for name, tensor in tensors.items():
            for part, light in tensor.light(shown.pop(name)):
                bright, lit = light > 0, tensor.lit[part]
                if not ((light.abs() - 1).abs() <= 2 * MIXED_SHARE)[lit].all():
                    raise InputError(
                        f"the processor's tensor {name!r} mixes images: a mask cannot be mapped through it"
                    )
                tensor.image[part] |= (bright & lit).int() << digit
    seen = {index for tensor in tensors.values() for index in tensor.image[tensor.lit].unique().tolist()}
    for index in range(len(sizes)):
        if index not in seen:
            raise InputError(
                f"the processor drops image {index + 1} of {len(sizes)}: this model takes fewer images in a prompt"
            )


def sample(masks: Float[Tensor, "masks height width"], geometry: TensorGeometry) -> Float[Tensor, "masks *shape"]:  # noqa: F821 - looks like a product
    """The masks at the source of each tensor element: bilinear between cell centers, constant beyond the outer ones.

    The same numbers as upsampling the masks to the image's size bilinearly and reading them where each element comes
    from. Of several images each is read in its own columns, without a look at its neighbors'; a mask of one column
    holds for all of them. Differentiable in `masks`.
    """
    places = geometry.grid if geometry.image is None or masks.shape[2] == 1 else _on_canvas(geometry, masks.shape[2])
    if masks.is_cuda and masks.requires_grad:
        values = _gather(masks, places.reshape(-1, 2))
    else:
        # All masks go in as channels of one image, so that the grid is not repeated per mask.
        grid = places.reshape(1, 1, -1, 2).to(masks.dtype)
        values = functional.grid_sample(masks[None], grid, mode="bilinear", padding_mode="border", align_corners=False)
    values = values.reshape(masks.shape[0], *places.shape[:-1])
    if geometry.repeats == (1, 1):
        return values
    whole, each = geometry.repeats
    return values[..., None, :, None].expand(*values.shape[:-1], whole, -1, each).flatten(-3)


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

    The adjoint of `sample`: an element between cell centers is shared among them as `sample` mixes them.
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


def _on_canvas(geometry: TensorGeometry, count: int) -> Float[Tensor, "*shape 2"]:
    """The grid over the whole canvas, for masks of `count` columns: between the centers of an image's own columns."""
    parts = geometry.canvas.columns(count)
    starts, lengths = (
        torch.tensor(numbers, device=geometry.grid.device)[geometry.image]
        for numbers in ([part.start for part in parts], [part.stop - part.start for part in parts])
    )
    within = ((geometry.grid[..., 0] + 1) / 2 * lengths - 0.5).clamp_min(0).minimum(lengths - 1)
    across = (starts + within + 0.5) / count * 2 - 1
    return torch.stack([across, geometry.grid[..., 1]], dim=-1)


def blend_error(process: Process, geometry: Geometry, image: Pictures, baseline: Pictures) -> BlendError:
    """The self-check: the model-space blend against the processed pixel blend, on one random smooth mask.

    Catches processors whose geometry or normalization depends on the image's content.
    """
    images, baselines = ([item] if isinstance(item, Image.Image) else item for item in (image, baseline))
    generator = torch.Generator().manual_seed(0)
    # Smooth on the scale of pixels: inside one pixel an enlarged blend and a blend of enlargements differ by nature.
    rows, across = (max(1, min(6, min(sides) // 8)) for sides in zip(*(_size(one) for one in images), strict=True))
    mask = torch.rand(1, rows, len(images) * across, generator=generator, dtype=torch.float32)
    composites = [
        _blended(one, other, part)
        for one, other, part in zip(images, baselines, geometry.canvas.split(mask), strict=True)
    ]
    expected, of_image, of_baseline = (_floating(process(*shown)) for shown in (composites, images, baselines))
    total, count, worst = 0.0, 0, 0.0
    for name, tensor in geometry.tensors.items():
        processed = [values.pop(name) for values in (expected, of_image, of_baseline)]
        if len({values.shape for values in processed}) > 1:
            return BlendError(math.inf, math.inf)
        kept = sample(mask, tensor)[0]
        for part in parts(processed[0].shape):
            composite, image_part, baseline_part = (values[part] for values in processed)
            blend = torch.lerp(baseline_part, image_part, part_of(kept, part).expand_as(composite))
            difference = (blend - composite).abs_()[part_of(tensor.pixel, part).expand_as(composite)]
            if difference.numel():
                total += float(difference.sum(dtype=torch.float64)) * 255 / tensor.value_range
                worst = max(worst, float(difference.max()) * 255 / tensor.value_range)
                count += difference.numel()
    return BlendError(total / max(count, 1), worst)


def _blended(image: Image.Image, baseline: Image.Image, mask: Tensor) -> Image.Image:
    weights = functional.interpolate(mask[None], size=_size(image), mode="bilinear", align_corners=False)[0, 0].numpy()
    ends = np.asarray(image), np.asarray(baseline)
    mixed = np.empty_like(ends[0])
    for (rows,) in parts(torch.Size(mixed.shape), 0):
        weight = weights[rows, :, None].astype(np.float32)
        blend = ends[0][rows] * weight + ends[1][rows] * (1 - weight)
        mixed[rows] = np.rint(blend).clip(0, 255)
    return Image.fromarray(mixed)


def _size(image: Image.Image) -> Size:
    return image.height, image.width


def _process(process: Process, pictures: Sequence[Image.Image], tensors: Mapping[str, LitTensor]) -> dict[str, Tensor]:
    """What the processor makes of the pictures: those of its tensors that are measured.

    Raises:
        InputError: one has another shape than before.
    """
    output = _floating(process(*pictures))
    for name, tensor in tensors.items():
        if name not in output or output[name].shape != tensor.shape:
            raise InputError(
                f"the processor's tensor {name!r} changes its shape with the image's content: "
                "a mask cannot be mapped through it"
            )
    return {name: output[name] for name in tensors}


def _floating(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {
        name: value.detach().to("cpu", torch.float32)
        for name, value in tensors.items()
        if isinstance(value, Tensor) and value.is_floating_point()
    }
