"""Mini-Gemini's processor: how many placeholders, and what each view holds."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from tools import families
from tools.families.parts import make_tokenizer, square

from wherelook.models.ports.minigemini.processing import (
    MiniGeminiImageProcessor,
    MiniGeminiProcessor,
    cut_views,
)

PLAIN = {"mean": [0.0] * 3, "std": [1.0] * 3}


def image_processor(**settings) -> MiniGeminiImageProcessor:
    return MiniGeminiImageProcessor(**{"image_mean": PLAIN["mean"], "image_std": PLAIN["std"], **settings})


@pytest.mark.parametrize(
    ("settings", "placeholders", "views"),
    [
        ({}, 576, 1),
        ({"size": square(1536), "image_grid": 2, "image_global": True}, 2880, 5),
        ({"size": square(1536), "image_grid": 2}, 2304, 4),
    ],
)
def test_placeholders_and_shapes_at_the_published_sizes(settings, placeholders, views):
    tokenizer = make_tokenizer(extra=["<image>"])
    processor = MiniGeminiProcessor(MiniGeminiImageProcessor(**settings), tokenizer)
    inputs = processor(text=["<image>\nWhat?"], images=[Image.new("RGB", (40, 30))], return_tensors="pt")
    assert int((inputs["input_ids"] == processor.image_token_id).sum()) == placeholders
    assert inputs["pixel_values"].shape == (1, views, 3, 336, 336)
    side = settings.get("size", square(768))["height"]
    assert inputs["high_res_pixel_values"].shape == (1, 3, side, side)


def test_two_images_and_two_texts():
    _, processor = families.build("mini_gemini_hd")
    pictures = [Image.new("RGB", (40, 30), "red"), Image.new("RGB", (30, 40), "blue")]
    inputs = processor(text=["<image>\nA", "<image>\nB"], images=pictures, return_tensors="pt")
    assert inputs["pixel_values"].shape[:2] == (2, 5)
    assert ((inputs["input_ids"] == processor.image_token_id).sum(dim=1) == 80).all()


def test_the_views_are_the_whole_image_and_its_quarters_row_by_row():
    colors = np.array([[[200, 0, 0], [0, 200, 0]], [[0, 0, 200], [200, 200, 200]]], np.uint8)
    picture = Image.fromarray(colors.repeat(32, axis=0).repeat(32, axis=1))
    output = image_processor(size=square(64), crop_size=square(16), image_grid=2, image_global=True)(
        picture, return_tensors="pt"
    )
    views = output["pixel_values"][0]
    for view, color in zip(views[1:], colors.reshape(4, 3), strict=True):
        inside = view[:, 2:-2, 2:-2].permute(1, 2, 0)
        torch.testing.assert_close(inside, (torch.tensor(color) / 255).expand_as(inside), atol=1e-6, rtol=0)
    corners = views[0][:, [2, 2, -3, -3], [2, -3, 2, -3]].T
    torch.testing.assert_close(corners, torch.tensor(colors.reshape(4, 3)) / 255, atol=1e-6, rtol=0)
    assert torch.equal(output["high_res_pixel_values"][0], torch.tensor(np.asarray(picture)).permute(2, 0, 1) / 255)


def test_low_resolution_pixels_are_bilinear_without_smoothing():
    """From 8 to 4 pixels each is the mean of the two by two in its middle; from 8 to 2, of those at 1.5 and 5.5."""
    pixels = torch.randn(3, 8, 8, generator=torch.Generator().manual_seed(0))
    (half,) = cut_views(pixels, 4, grid=1, whole=False)
    torch.testing.assert_close(half, pixels.unflatten(2, (4, 2)).unflatten(1, (4, 2)).mean(dim=(2, 4)))
    (quarter,) = cut_views(pixels, 2, grid=1, whole=False)
    torch.testing.assert_close(quarter[:, 0, 0], pixels[:, 1:3, 1:3].mean(dim=(1, 2)))
    torch.testing.assert_close(quarter[:, 1, 0], pixels[:, 5:7, 1:3].mean(dim=(1, 2)))


@pytest.mark.parametrize("size", [(2, 5), (5, 2), (4, 4), (1, 4)])
def test_padding_is_the_mean_color_on_both_sides(size):
    side = max(size)
    image = Image.fromarray(np.full((*size, 3), 7, np.uint8))
    options = {"image_mean": [0.1, 0.5, 1.0], "do_normalize": False, "do_rescale": False}
    processor = image_processor(size=square(side), crop_size=square(side), **options)
    square_image = processor(image, return_tensors="np")["high_res_pixel_values"][0]
    assert square_image.shape == (3, side, side)
    top, left = (side - size[0]) // 2, (side - size[1]) // 2
    kept = np.zeros((side, side), bool)
    kept[top : top + size[0], left : left + size[1]] = True
    assert (square_image[:, kept] == 7).all()
    assert (square_image[:, ~kept] == np.array([[25], [127], [255]])).all()


def test_settings_survive_saving(tmp_path):
    image_processor(size=square(64), crop_size=square(16), image_grid=2, image_global=True).save_pretrained(tmp_path)
    loaded = MiniGeminiImageProcessor.from_pretrained(tmp_path)
    assert (loaded.image_grid, loaded.image_global, loaded.crop_size["height"]) == (2, True, 16)
    assert loaded.model_input_names == ["pixel_values", "high_res_pixel_values"]
