"""Structured light on hand-written processors whose geometry is known."""

from __future__ import annotations

import weakref
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor
from torch.nn import functional

from wherelook import structured_light
from wherelook.baselines import make_baseline
from wherelook.canvas import Canvas
from wherelook.check import test_picture as make_picture
from wherelook.errors import InputError
from wherelook.geometry import TensorGeometry, _gather, blend_error, pool, probe, sample, views

MEAN = torch.tensor([0.48, 0.46, 0.41])[:, None, None]
DEVIATION = torch.tensor([0.27, 0.26, 0.28])[:, None, None]


def to_tensor(image: Image.Image) -> Tensor:
    """(3, height, width) in [0, 1], normalized per channel as CLIP does."""
    values = torch.from_numpy(np.array(image.convert("RGB"), np.float32)).permute(2, 0, 1) / 255
    return (values - MEAN) / DEVIATION


def centers(count: int, start: float = 0.0, stop: float = 1.0) -> Tensor:
    """`grid_sample` coordinates of `count` equal cells between two fractions of a side."""
    return ((torch.arange(count) + 0.5) / count * (stop - start) + start) * 2 - 1


def plane(x: Tensor, y: Tensor) -> Tensor:
    """(rows, columns, 2) coordinates from those of the columns and of the rows."""
    rows, columns = torch.meshgrid(y, x, indexing="ij")
    return torch.stack([columns, rows], dim=-1)


def distance(grid: Tensor, expected: Tensor, size: tuple[int, int]) -> float:
    """Largest distance between coordinates, in pixels of an image of (height, width)."""
    return float((grid - expected).abs().amax(dim=tuple(range(grid.dim() - 1))).mul(torch.tensor(size[::-1]) / 2).max())


def stretch(size: tuple[int, int], resample: Image.Resampling = Image.Resampling.BICUBIC) -> Callable:
    return lambda image: {"pixel_values": to_tensor(image.resize((size[1], size[0]), resample))[None]}


# ---- coordinates ----


@pytest.mark.parametrize(
    ("size", "target"),
    [
        ((48, 48), (48, 48)),  # untouched
        ((120, 90), (48, 48)),  # squeezed to a square
        ((150, 400), (36, 96)),
        ((1500, 2000), (48, 64)),
    ],
)
def test_a_resized_image_has_the_centres_of_equal_cells(size, target):
    measured = probe(stretch(target), size).tensors["pixel_values"]
    expected = plane(centers(target[1]), centers(target[0]))
    assert measured.grid.shape == (1, 1, *expected.shape)
    assert measured.pixel.all()
    cell = max(size[0] / target[0], size[1] / target[1])
    inner = slice(3, -3)
    assert distance(measured.grid[:, :, inner, inner], expected[inner, inner], size) < 0.04 * cell
    # At the border the resampling kernel is cut off, which moves its center inwards.
    assert distance(measured.grid, expected, size) < 0.2 * cell


@pytest.mark.parametrize("size", [(2, 1600), (1600, 2)])
def test_the_edges_of_a_large_untouched_image_do_not_wrap_around(size):
    """There the light's phase is within its rounding of zero: a pixel must not land on the opposite edge."""
    measured = probe(lambda image: {"pixel_values": to_tensor(image)[None]}, size).tensors["pixel_values"]
    assert distance(measured.grid, plane(centers(size[1]), centers(size[0])), size) < 2


@pytest.mark.parametrize("size", [(3, 5), (1, 7), (2, 2), (1, 1)])
def test_tiny_images_enlarged(size):
    """Between pixel centers the source moves with the output; beyond the outer ones it stays."""
    target = (24, 30)
    measured = probe(stretch(target, Image.Resampling.BILINEAR), size).tensors["pixel_values"]
    y, x = (centers(count).clamp(-1 + 1 / side, 1 - 1 / side) for count, side in zip(target, size, strict=True))
    assert measured.pixel.all()
    assert distance(measured.grid, plane(x, y), size) < 0.03


@given(
    size=st.tuples(st.integers(20, 90), st.integers(20, 90)),
    corner=st.tuples(st.floats(0, 0.4), st.floats(0, 0.4)),
    opposite=st.tuples(st.floats(0.6, 1), st.floats(0.6, 1)),
    target=st.tuples(st.integers(8, 30), st.integers(8, 30)),
)
def test_any_crop_is_found(size, corner, opposite, target):
    top, left, bottom, right = (round(share * side) for share, side in zip((*corner, *opposite), size * 2, strict=True))

    def process(image: Image.Image) -> dict[str, Tensor]:
        crop = image.crop((left, top, right, bottom))
        return {"pixel_values": to_tensor(crop.resize((target[1], target[0]), Image.Resampling.BILINEAR))[None]}

    measured = probe(process, size).tensors["pixel_values"]
    x = centers(target[1], left / size[1], right / size[1])
    y = centers(target[0], top / size[0], bottom / size[0])
    cell = max(1.0, (bottom - top) / target[0], (right - left) / target[1])
    assert measured.pixel.all()
    assert distance(measured.grid, plane(x, y), size) < 0.55 * cell


def test_padding_is_told_from_pixels():
    def process(image: Image.Image) -> dict[str, Tensor]:
        content = to_tensor(image.resize((60, 30)))
        return {"pixel_values": functional.pad(content, (0, 0, 10, 20))[None]}  # 10 rows above, 20 below

    measured = probe(process, (50, 100)).tensors["pixel_values"]
    expected = torch.zeros(60, 60, dtype=torch.bool)
    expected[10:40] = True
    assert torch.equal(measured.pixel[0, 0], expected)
    assert distance(measured.grid[0, 0, 10:40], plane(centers(60), centers(30)), (50, 100)) < 0.4


def padded(side: int, color: tuple[int, int, int]) -> Callable:
    """The image in the middle of a square of this color, resized: its outermost elements are mostly padding."""

    def process(image: Image.Image) -> dict[str, Tensor]:
        longest = max(image.size)
        square = Image.new("RGB", (longest, longest), color)
        square.paste(image, ((longest - image.width) // 2, (longest - image.height) // 2))
        return stretch((side, side))(square)

    return process


def in_padding(size: tuple[int, int], side: int) -> Tensor:
    """(side, side, 2) the places of the elements that `padded` makes; at the border those of the image's edge."""
    at = (torch.arange(side) + 0.5) / side * max(size)
    y, x = (((at - (max(size) - length) // 2) / length).clamp(0, 1) * 2 - 1 for length in size)
    return plane(x, y)


COLORS = ((122, 116, 104), (0, 0, 0), (255, 255, 255), (127, 127, 127))


@pytest.mark.parametrize("color", COLORS)
@pytest.mark.parametrize(
    ("size", "side"), [((480, 640), 336), ((640, 480), 336), ((333, 500), 336), ((480, 640), 56), ((750, 1000), 56)]
)
def test_elements_that_are_mostly_padding_have_the_place_of_what_they_show(size, side, color):
    """Where one is of some ten gray levels, a ramp does not tell the wave's period."""
    measured = probe(padded(side, color), size).tensors["pixel_values"]
    away = (measured.grid - in_padding(size, side)) * measured.pixel[..., None]
    assert distance(away, torch.zeros(2), size) < 0.5 * max(size) / side
    assert int(measured.pixel[0, 0].sum()) >= side * int(side * min(size) / max(size))


@given(
    size=st.tuples(st.integers(40, 160), st.integers(40, 160)),
    side=st.integers(24, 120),
    color=st.tuples(*[st.integers(0, 255)] * 3),
)
def test_no_place_beside_padding_is_a_period_away(size, side, color):
    measured = probe(padded(side, color), size).tensors["pixel_values"]
    away = (measured.grid - in_padding(size, side)) * measured.pixel[..., None]
    assert distance(away, torch.zeros(2), size) < max(1.0, 0.5 * max(size) / side)


@pytest.mark.parametrize("color", COLORS)
@pytest.mark.parametrize("size", [(333, 500), (427, 640), (480, 640)])
def test_channels_collapse_beside_padding(size, color):
    """Each channel's rounding is another, and moves the places of weak elements most."""
    assert probe(padded(56, color), size).tensors["pixel_values"].grid.shape == (1, 1, 56, 56, 2)


def test_each_tile_shows_its_own_part():
    """Two rows of three tiles and a thumbnail: at its middle each tile reads the mask cell that it shows."""

    def process(image: Image.Image) -> dict[str, Tensor]:
        large = to_tensor(image.resize((96, 64)))
        tiles = [
            large[:, 32 * row : 32 * row + 32, 32 * column : 32 * column + 32] for row in (0, 1) for column in range(3)
        ]
        tiles.append(to_tensor(image.resize((32, 32))))
        return {"pixel_values": torch.stack(tiles)[None]}

    measured = probe(process, (120, 190)).tensors["pixel_values"]
    assert measured.grid.shape == (1, 7, 1, 32, 32, 2)
    mask = torch.tensor([[[0.1, 0.2, 0.3], [0.4, 0.5, 0.6]]])
    seen = sample(mask, measured)[0, 0, :, 0]
    middles = seen[:, 15:17, 15:17].mean(dim=(1, 2))
    torch.testing.assert_close(middles[:6], mask.flatten(), atol=5e-3, rtol=0)
    full = functional.interpolate(mask[None], size=(32, 32), mode="bilinear")[0, 0]
    torch.testing.assert_close(seen[6], full, atol=5e-3, rtol=0)
    # Not transposed, not mirrored: within every tile the mask changes as in the image.
    for index, (top, left) in enumerate((row, column) for row in (0, 1) for column in range(3)):
        x = centers(32, left / 3, (left + 1) / 3)
        y = centers(32, top / 2, (top + 1) / 2)
        assert distance(measured.grid[0, index, 0], plane(x, y), (120, 190)) < 0.6


def test_flattened_patches_in_merged_order():
    """As Qwen-VL: rows are patches in 2 x 2 blocks, columns are (channel, frame, y, x) inside a patch."""
    patch = 4

    def flatten(planes: Tensor) -> Tensor:  # (c, 16, 24) -> (patches, c * 2 * patch * patch)
        frames = torch.stack([planes, planes])
        blocks = frames.reshape(2, len(planes), 2, 2, patch, 3, 2, patch)
        return blocks.permute(2, 5, 3, 6, 1, 0, 4, 7).reshape(24, -1)

    def process(image: Image.Image) -> dict[str, Tensor]:
        return {"pixel_values": flatten(to_tensor(image.resize((24, 16)))), "grid": torch.tensor([[1, 4, 6]])}

    measured = probe(process, (80, 120)).tensors
    assert list(measured) == ["pixel_values"]
    truth = plane(centers(24), centers(16))
    expected = torch.stack([flatten(truth[..., axis].expand(3, 16, 24)) for axis in (0, 1)], dim=-1)
    place = measured["pixel_values"]
    assert place.repeats == (6, 1)  # three channels of two frames
    assert place.grid.shape == (24, patch * patch, 2)
    assert place.pixel.shape == (24, 6 * patch * patch)
    assert distance(place.grid.repeat(1, 6, 1), expected, (80, 120)) < 0.6


def flat_patches(image: Image.Image) -> Tensor:
    """(4 x 6 patches, 5 x 5 pixels of three channels): the channels of a pixel beside each other."""
    planes = to_tensor(image.resize((30, 20)))
    return planes.reshape(3, 4, 5, 6, 5).permute(1, 3, 2, 4, 0).reshape(24, -1)


def test_channels_beside_each_other_in_a_patch_are_read_once():
    place = probe(lambda image: {"pixel_values": flat_patches(image)}, (60, 90)).tensors["pixel_values"]
    assert place.repeats == (1, 3)
    assert place.grid.shape == (24, 25, 2)
    mask = torch.rand(2, 4, 6, generator=torch.Generator().manual_seed(0))
    seen = sample(mask, place)
    assert seen.shape == (2, 24, 75)
    whole = sample(mask, probe(stretch((20, 30)), (60, 90)).tensors["pixel_values"]).expand(2, 1, 3, 20, 30)
    patches = whole.reshape(2, 3, 4, 5, 6, 5).permute(0, 2, 4, 3, 5, 1).reshape(2, 24, 75)
    torch.testing.assert_close(seen, patches, atol=5e-3, rtol=0)


@pytest.mark.parametrize(("count", "calls"), [(1, 8), (2, 9), (3, 10), (4, 10), (5, 11)])
def test_few_calls_of_the_processor_and_none_of_its_tensors_is_kept(count, calls):
    """A dark image's is needed until the bright one's is there; every other one is read before the next is made."""
    given: list[weakref.ref[np.ndarray]] = []
    alive: list[int] = []

    def process(*images: Image.Image) -> dict[str, Tensor]:
        alive.append(sum(one() is not None for one in given))
        outputs = {
            "padded": torch.stack([functional.pad(to_tensor(one.resize((30, 20))), (0, 5)) for one in images]).numpy(),
            "flat": torch.stack([flat_patches(one) for one in images]).numpy(),
        }
        given.extend(weakref.ref(one) for one in outputs.values())
        return {name: torch.from_numpy(value) for name, value in outputs.items()}

    geometry = probe(process, *[(60, 90)] * count)
    assert alive == [0, 2, *[0] * (calls - 2)]
    assert sum(one() is not None for one in given) == 0
    for place in geometry.tensors.values():
        assert place.image is None or place.image.flatten(1)[:, 0].tolist() == list(range(count))


@pytest.mark.parametrize(("process", "calls"), [(padded(56, (122, 116, 104)), 12), (stretch((56, 56)), 8)])
def test_more_calls_of_the_processor_where_an_element_is_mostly_padding(process, calls):
    made = []

    def counted(image: Image.Image) -> dict[str, Tensor]:
        made.append(image.size)
        return process(image)

    probe(counted, (480, 640))
    assert made == [(640, 480)] * calls


@pytest.mark.parametrize("size", [7, 1000])
def test_tensors_are_read_part_by_part_as_they_would_be_whole(size, monkeypatch):
    """Tiles of unlike places, a border, patches, and the self-check."""

    def process(image: Image.Image) -> dict[str, Tensor]:
        tiles = torch.stack([to_tensor(image.resize((20, 20))), to_tensor(image.crop((0, 0, 40, 30)).resize((20, 20)))])
        return {"tiles": functional.pad(tiles, (3, 0, 0, 2)), "flat": flat_patches(image)}

    picture = make_picture((60, 90))
    baseline = Image.fromarray(make_baseline("mean", np.asarray(picture)))
    whole = probe(process, (60, 90))
    error = blend_error(process, whole, picture, baseline)
    monkeypatch.setattr(structured_light, "PART", size)
    parts = probe(process, (60, 90))
    for name, place in whole.tensors.items():
        other = parts.tensors[name]
        assert torch.equal(place.grid, other.grid)
        assert torch.equal(place.pixel, other.pixel)
        assert (place.value_range, place.repeats) == (other.value_range, other.repeats)
    again = blend_error(process, whole, picture, baseline)
    assert (again.mean, again.maximum) == (pytest.approx(error.mean), pytest.approx(error.maximum))


def test_several_tensors_each_with_its_own_geometry_and_others_left_out():
    def process(image: Image.Image) -> dict[str, Tensor]:
        return {
            "low": to_tensor(image.resize((16, 16)))[None],
            "high": to_tensor(image.crop((0, 0, 30, 60)).resize((64, 64)))[None],
            "scale": torch.tensor([0.25]),
            "pixel_attention_mask": torch.ones(1, 16, 16),
            "input_ids": torch.tensor([[1, 2, 3]]),
        }

    tensors = probe(process, (60, 60)).tensors
    assert set(tensors) == {"low", "high"}
    assert tensors["low"].grid[..., 0].max() > 0.9
    assert tensors["high"].grid[..., 0].max() < 0.01


def test_channels_collapse_whatever_their_gain_and_sign():
    """A channel that is inverted, one that is dim: same places, so one copy; the range is in units of the tensor."""
    gains = torch.tensor([2.0, -3.0, 0.5])[:, None, None]

    def process(image: Image.Image) -> dict[str, Tensor]:
        return {"pixel_values": (to_tensor(image.resize((40, 20))) * DEVIATION + MEAN - 0.3)[None] * gains}

    measured = probe(process, (60, 120)).tensors["pixel_values"]
    assert measured.grid.shape == (1, 1, 20, 40, 2)
    assert distance(measured.grid, plane(centers(40), centers(20)), (60, 120)) < 0.4
    assert measured.value_range == pytest.approx(2.0)


# ---- sampling ----


@pytest.mark.parametrize(("mask_size", "image_size"), [((4, 6), (33, 47)), ((1, 1), (5, 9)), ((8, 3), (8, 3))])
def test_sampling_is_bilinear_upsampling(mask_size, image_size):
    places = plane(centers(image_size[1]), centers(image_size[0]))[None]
    exact = TensorGeometry(places, torch.ones(1, *image_size) > 0, 1.0, Canvas((image_size,)))
    masks = torch.rand(3, *mask_size, generator=torch.Generator().manual_seed(1))
    upsampled = functional.interpolate(masks[:, None], size=image_size, mode="bilinear", align_corners=False)
    torch.testing.assert_close(sample(masks, exact), upsampled, atol=1e-5, rtol=0)


def test_sampling_is_linear_and_its_gradient_is_the_adjoint():
    measured = probe(stretch((20, 30)), (60, 80)).tensors["pixel_values"]
    generator = torch.Generator().manual_seed(0)
    masks = torch.rand(2, 5, 7, generator=generator, requires_grad=True)
    weights = torch.rand(sample(masks, measured).shape, generator=generator)
    value = (weights * sample(masks, measured)).sum()
    (gradient,) = torch.autograd.grad(value, masks)
    torch.testing.assert_close((gradient * masks).sum(), value, rtol=1e-4, atol=0)
    # Every element distributes its weight over the cells around it, and loses none.
    torch.testing.assert_close(gradient.sum(dim=(1, 2)), weights.flatten(1).sum(dim=1), rtol=1e-4, atol=0)


# ---- the self-check, and what cannot be mapped ----


def noise_image(height: int, width: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(3).integers(0, 256, (height, width, 3), dtype=np.uint8))


def self_check(process: Callable, picture: Image.Image) -> float:
    baseline = Image.fromarray(make_baseline("mean", np.asarray(picture)))
    return blend_error(process, probe(process, (picture.height, picture.width)), picture, baseline).mean


@pytest.mark.parametrize(
    "picture", [make_picture((150, 210)), noise_image(61, 97), noise_image(3, 5), noise_image(1, 7)]
)
def test_the_blend_of_an_honest_processor_is_exact(picture):
    assert self_check(stretch((48, 48)), picture) < 1.5


def per_image_normalization(image: Image.Image) -> dict[str, Tensor]:
    values = to_tensor(image.resize((48, 48)))
    return {"pixel_values": ((values - values.mean()) / (values.std() + 1e-3))[None]}


def content_cropping(image: Image.Image) -> dict[str, Tensor]:
    """Cuts dark margins away, as document models do."""
    values = np.asarray(image.convert("L"))
    rows, columns = (np.flatnonzero((values > 100).any(axis=axis)) for axis in (1, 0))
    if len(rows):
        image = image.crop((int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1))
    return {"pixel_values": to_tensor(image.resize((48, 48)))[None]}


@pytest.mark.parametrize("process", [per_image_normalization, content_cropping])
def test_processors_that_look_at_the_content_are_refused(process):
    values = np.zeros((80, 100, 3), np.uint8)
    values[20:60, 30:80] = np.asarray(make_picture((40, 50)))
    picture = Image.fromarray(values)
    baseline = Image.fromarray(make_baseline("blur", values))
    error = blend_error(process, probe(process, (80, 100)), picture, baseline)
    assert error.verdict == "wrong"


def test_an_output_whose_shape_follows_the_content_is_refused():
    def process(image: Image.Image) -> dict[str, Tensor]:
        side = 20 if np.ptp(np.asarray(image)) > 0 else 10  # plain images become smaller
        return stretch((side, side))(image)

    with pytest.raises(InputError, match="'pixel_values' changes its shape with the image's content"):
        probe(process, (40, 40))


@pytest.mark.parametrize(
    ("process", "reason"),
    [
        (lambda image: {"input_ids": torch.tensor([1])}, "no pixels reach the model: is this its processor"),
        (
            lambda image: {"pixel_values": torch.ones(1, 3, 8, 8)},
            "a dark and a bright image give the model the same pixels: its processor normalizes each image by itself",
        ),
    ],
)
def test_a_processor_that_ignores_the_image_or_how_bright_it_is_is_refused(process, reason):
    with pytest.raises(InputError, match=reason):
        probe(process, (40, 40))


@pytest.mark.parametrize("sizes", [[(40, 40)], [(40, 40), (30, 50)]])
def test_a_processor_of_two_levels_is_refused(sizes):
    """Every number is of the dark image or of the bright one, whatever lies between."""

    def process(*images: Image.Image) -> dict[str, Tensor]:
        levels = [image.resize((40, 40)).convert("L").point(lambda level: 255 * (level > 99)) for image in images]
        return {"pixel_values": torch.stack([to_tensor(each) for each in levels])}

    with pytest.raises(InputError, match="not by its brightness from place to place"):
        probe(process, *sizes)


def test_pool_is_the_adjoint_of_sample():
    generator = torch.Generator().manual_seed(0)
    grid = torch.rand(3, 1, 5, 7, 2, generator=generator) * 2 - 1
    place = TensorGeometry(grid, torch.ones(3, 1, 5, 7).bool(), 1.0, Canvas(((5, 7),)))
    mask = torch.rand(4, 6, generator=generator)
    values = torch.rand(3, 1, 5, 7, generator=generator)
    pooled = pool(values, place, (4, 6))
    assert pooled.shape == (4, 6)
    assert float((pooled * mask).sum()) == pytest.approx(float((sample(mask[None], place)[0] * values).sum()), rel=1e-5)


@pytest.mark.parametrize("size", [(4, 6), (1, 5), (3, 1), (1, 1)])
def test_indexing_reads_what_grid_sample_reads(size):
    """On a CUDA device masks that need a gradient are read by indexing; values and gradients are the same."""
    generator = torch.Generator().manual_seed(0)
    places = torch.rand(200, 2, generator=generator, dtype=torch.float64) * 2.4 - 1.2  # some beyond the border
    masks = torch.rand(3, *size, generator=generator, dtype=torch.float64).requires_grad_()
    weights = torch.rand(3, 200, generator=generator, dtype=torch.float64)
    expected = functional.grid_sample(
        masks[None], places[None, None], mode="bilinear", padding_mode="border", align_corners=False
    )[0, :, 0]
    found = _gather(masks, places)
    torch.testing.assert_close(found, expected)
    gradients = [torch.autograd.grad((values * weights).sum(), masks)[0] for values in (found, expected)]
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((1, 3, 48, 48), [(0,)]),
        ((2, 3, 32, 40), [(0,), (1,)]),
        ((1, 2, 3, 32, 32), [(0, 0), (0, 1)]),
        ((144, 384), [()]),  # packed patches
        ((144, 3, 14, 14), [()]),
        ((2, 16, 192), [(0,), (1,)]),  # tiles of flattened patches
    ],
)
def test_views_are_the_pictures_in_a_pixel_tensor(shape, expected):
    assert views(torch.zeros(shape)) == expected


# ---- several images ----


def two_crops(first: Image.Image, second: Image.Image) -> dict[str, Tensor]:
    """Both squeezed to 20 x 30, stacked; and once more the middle half of the second alone."""
    width, height = second.size
    middle = second.crop((width // 4, height // 4, width - width // 4, height - height // 4))
    squeezed = [to_tensor(image.resize((30, 20), Image.Resampling.BICUBIC)) for image in (first, second)]
    return {
        "pixel_values": torch.stack(squeezed),
        "middle": to_tensor(middle.resize((16, 16), Image.Resampling.BICUBIC))[None],
        "flag": torch.ones(1, 2),
    }


def test_elements_of_several_images_are_told_apart_each_in_its_own_coordinates():
    geometry = probe(two_crops, (80, 120), (64, 64))
    assert set(geometry.tensors) == {"pixel_values", "middle"}
    assert geometry.canvas.size == (74, 185)  # 80 x 120 and 64 x 64 pixels in one row: 74 x (111 + 74)
    assert geometry.canvas.widths == (111, 74)
    both, middle = geometry.tensors["pixel_values"], geometry.tensors["middle"]
    assert both.image is not None
    assert both.image[:, 0, 0, 0].tolist() == [0, 1]
    assert (both.image == both.image[:, :, :1, :1]).all()
    assert (middle.image == 1).all()
    inner = slice(3, -3)
    expected = plane(centers(30), centers(20))[inner, inner]
    for index, size in enumerate(((80, 120), (64, 64))):
        assert distance(both.grid[index, 0, inner, inner], expected, size) < 0.2
    half = plane(centers(16, 0.25, 0.75), centers(16, 0.25, 0.75))[inner, inner]
    assert distance(middle.grid[0, 0, inner, inner], half, (64, 64)) < 0.2


def test_a_mask_never_reaches_over_the_border_between_images():
    """1 on the first image, 0 on the second, at any number of columns."""
    geometry = probe(two_crops, (80, 120), (64, 64))
    for count in (2, 3, 9, 50):
        own = geometry.canvas.columns(count)[0]
        mask = torch.zeros(1, 5, count)
        mask[..., own] = 1
        both = sample(mask, geometry.tensors["pixel_values"])[0]
        expected = torch.stack([torch.ones_like(both[0]), torch.zeros_like(both[1])])
        torch.testing.assert_close(both, expected, atol=1e-5, rtol=0)
        assert sample(mask, geometry.tensors["middle"]).max() < 1e-5
    shared = torch.tensor([0.25, 0.75]).reshape(1, 2, 1)  # one column is everybody's
    torch.testing.assert_close(*sample(shared, geometry.tensors["pixel_values"])[0], atol=0.02, rtol=0)


def test_a_mask_over_several_images_is_read_as_each_alone_would_be():
    geometry = probe(two_crops, (80, 120), (64, 64))
    mask = torch.rand(2, 6, 15, generator=torch.Generator().manual_seed(1))
    together = sample(mask, geometry.tensors["pixel_values"])
    for index, (size, part) in enumerate(zip(((80, 120), (64, 64)), geometry.canvas.columns(15), strict=True)):
        alone = probe(stretch((20, 30)), size).tensors["pixel_values"]
        torch.testing.assert_close(together[:, index, 0], sample(mask[..., part], alone)[:, 0, 0], atol=0.02, rtol=0)


def test_the_self_check_of_several_images():
    pictures = [make_picture((80, 120)), make_picture((64, 64)).rotate(90)]
    baselines = [Image.fromarray(make_baseline("mean", np.asarray(picture))) for picture in pictures]
    geometry = probe(two_crops, (80, 120), (64, 64))
    assert blend_error(two_crops, geometry, pictures, baselines).verdict == "exact"

    def normalized(first: Image.Image, second: Image.Image) -> dict[str, Tensor]:
        """The second image by its own mean and deviation."""
        output = two_crops(first, second)
        own = output["pixel_values"][1]
        return output | {"pixel_values": torch.stack([output["pixel_values"][0], (own - own.mean()) / own.std()])}

    assert blend_error(normalized, geometry, pictures, baselines).verdict == "wrong"


def test_an_image_that_is_not_read_is_named():
    with pytest.raises(InputError, match="drops image 2 of 2: this model takes fewer images in a prompt"):
        probe(lambda first, second: stretch((20, 30))(first), (80, 120), (64, 64))


def test_elements_that_mix_images_are_refused():
    def mixed(first: Image.Image, second: Image.Image) -> dict[str, Tensor]:
        ways = [stretch((20, 30))(image)["pixel_values"] for image in (first, second)]
        return {"pixel_values": 0.6 * ways[0] + 0.4 * ways[1], "second": ways[1]}

    with pytest.raises(InputError, match="'pixel_values' mixes images"):
        probe(mixed, (80, 120), (64, 64))
