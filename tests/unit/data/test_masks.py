"""Masks and maps in every mode that image files have."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from wherelook.data.images import load_image
from wherelook.data.masks import gray_levels, region_of
from wherelook.data.sources import ImageBytes, ImageInMemory, MaskImage, mean_attention
from wherelook.errors import InputError, WherelookError

REGION = np.zeros((6, 8), dtype=bool)
REGION[2:4, 3:5] = True


def encoded(picture: Image.Image, form: str = "PNG", **options: object) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, form, **options)
    return stream.getvalue()


def gray(dtype: str, value: float, form: str = "PNG") -> bytes:
    return encoded(Image.fromarray((REGION * value).astype(dtype)), form)


def palette(colors: list[int], indices: np.ndarray, **options: object) -> bytes:
    picture = Image.fromarray(indices.astype(np.uint8)).convert("L")
    picture = Image.frombytes("P", picture.size, picture.tobytes())
    picture.putpalette(colors)
    return encoded(picture, **options)


def with_alpha(color: np.ndarray, alpha: np.ndarray, mode: str = "RGBA") -> bytes:
    picture = Image.fromarray(np.dstack([color.astype(np.uint8), alpha.astype(np.uint8)]))
    return encoded(picture.convert(mode))


PHOTOGRAPH = np.random.default_rng(0).integers(0, 256, (6, 8, 3))
WHITE_ON_BLACK = np.repeat(REGION[..., None] * 255, 3, axis=2)

MASKS: dict[str, bytes] = {
    "1 bit": encoded(Image.fromarray(REGION)),
    "8 bit, 255": gray("uint8", 255),
    "8 bit, 1": gray("uint8", 1),
    "16 bit, 1": gray("uint16", 1),
    "16 bit, 65535": gray("uint16", 65535),
    "16 bit, big endian": encoded(Image.fromarray((REGION * 3).astype(">u2")), "TIFF"),
    "32 bit": gray("int32", 100_000, "TIFF"),
    "float, 1": gray("float32", 1, "TIFF"),
    "float, 0.001": gray("float32", 0.001, "TIFF"),
    "float, negative elsewhere": encoded(Image.fromarray(np.where(REGION, 0.5, -1).astype(np.float32)), "TIFF"),
    "RGB": encoded(Image.fromarray(WHITE_ON_BLACK.astype(np.uint8))),
    "RGB, one channel": encoded(Image.fromarray((WHITE_ON_BLACK * [0, 0, 1]).astype(np.uint8))),
    "palette, VOC": palette([0, 0, 0, 128, 0, 0], REGION),
    "palette, all black": palette([0] * 6, REGION),
    "palette, no black": palette([10, 10, 10, 200, 0, 0], REGION),
    "palette, black is 1": palette([255, 255, 255, 0, 0, 0], ~REGION),
    "palette, transparent": palette([9, 9, 9, 200, 0, 0], REGION, transparency=0),
    "RGBA, opaque": with_alpha(WHITE_ON_BLACK, np.full((6, 8), 255)),
    "RGBA, cut out": with_alpha(PHOTOGRAPH, REGION * 255),
    "RGBA, cut out, black": with_alpha(np.zeros((6, 8, 3)), REGION * 255),
    "RGBA, half transparent": with_alpha(PHOTOGRAPH, REGION * 100),
    "RGBA, drawn": with_alpha(WHITE_ON_BLACK, np.where(np.arange(48).reshape(6, 8) == 0, 0, 255)),
    "LA": with_alpha(np.full((6, 8, 3), 90), REGION * 255, "LA"),
    "CMYK": encoded(Image.fromarray(WHITE_ON_BLACK.astype(np.uint8)).convert("CMYK"), "TIFF"),
    "gif": encoded(Image.fromarray((REGION * 255).astype(np.uint8)), "GIF"),
    "bmp": encoded(Image.fromarray(REGION), "BMP"),
}


@pytest.mark.parametrize("data", MASKS.values(), ids=MASKS)
def test_a_mask_marks_its_region_in_every_mode(data):
    np.testing.assert_array_equal(region_of(data, "x"), REGION)
    np.testing.assert_array_equal(MaskImage(ImageBytes(data, "x")).mask((6, 8)), REGION)


def test_a_mask_is_turned_as_its_image_is():
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encoded(Image.fromarray((REGION * 255).astype(np.uint8)), exif=exif)
    np.testing.assert_array_equal(region_of(data, "x"), np.rot90(REGION, -1))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_mask_that_holds_no_numbers(value):
    levels = np.where(REGION, value, 0).astype(np.float32)
    with pytest.raises(InputError, match=r"x holds values that are not finite"):
        region_of(encoded(Image.fromarray(levels), "TIFF"), "x")


def test_a_mask_that_marks_nothing_or_is_no_image():
    with pytest.raises(WherelookError, match=r"must have the image's size, \(6, 8\).* and is black"):
        MaskImage(ImageBytes(gray("uint16", 0), "x")).mask((6, 8))
    for data in (b"", b"nothing"):
        with pytest.raises(InputError, match=r"^x is"):
            region_of(data, "x")


def test_a_mask_that_is_there_already():
    loaded = load_image(WHITE_ON_BLACK.astype(np.uint8))
    np.testing.assert_array_equal(MaskImage(ImageInMemory(loaded)).mask((6, 8)), REGION)


# ---- maps of human attention ----


@pytest.mark.parametrize(
    "data",
    [
        gray("uint8", 200),
        gray("uint16", 900),
        gray("float32", 0.003, "TIFF"),
        with_alpha(np.full((6, 8, 3), 255), REGION * 255),
        encoded(Image.fromarray(WHITE_ON_BLACK.astype(np.uint8))),
    ],
    ids=["8 bit", "16 bit, dark", "float", "transparent", "RGB"],
)
def test_a_map_of_any_depth(data):
    np.testing.assert_allclose(mean_attention([ImageBytes(data, "x")], (6, 8)), REGION.astype(np.float32))


def test_levels_of_a_dark_16_bit_map_are_kept():
    levels = np.arange(48).reshape(6, 8)
    found = gray_levels(encoded(Image.fromarray(levels.astype(np.uint16))), "x")
    np.testing.assert_array_equal(found, levels.astype(np.float32))
