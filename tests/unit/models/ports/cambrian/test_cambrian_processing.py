"""Padding, image tokens and windows of Cambrian: counted by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from tools.families import build

from wherelook.errors import InputError
from wherelook.models import VisionLanguageModel
from wherelook.models.ports.cambrian.grids import content_box, cut_windows, window_masks
from wherelook.models.ports.cambrian.processing import PUBLISHED_VIEWS, CambrianImageProcessor
from wherelook.models.ports.multimodal import pad_to_square


@pytest.mark.parametrize(
    ("size", "side", "box"),
    [
        ((100, 100), 24, (0, 0, 24, 24)),
        ((50, 100), 24, (0, 6, 24, 18)),  # 12 rows
        ((100, 50), 24, (6, 0, 18, 24)),
        ((480, 640), 24, (0, 3, 24, 21)),  # 18 rows
        ((480, 640), 96, (0, 12, 96, 84)),
        ((54, 100), 24, (0, 6, 24, 18)),  # 12.96 rows are 12
        ((55, 100), 24, (0, 5, 24, 19)),  # 13.2 are 13, and an odd rest leaves one row more
        ((1, 100), 24, (0, 12, 24, 12)),  # nothing
    ],
)
def test_the_cells_of_an_image_in_its_square(size, side, box):
    assert content_box(size, side) == box


def test_windows_hold_the_cells_where_their_query_lies():
    features = torch.arange(36.0).reshape(1, 6, 6, 1)
    windows = cut_windows(features, 3)
    assert windows.shape == (1, 3, 3, 4, 1)
    assert windows[0, 0, 1, :, 0].tolist() == [2, 3, 8, 9]
    assert windows[0, 2, 0, :, 0].tolist() == [24, 25, 30, 31]


def test_padding_is_closed_but_a_window_of_padding_alone_is_open():
    """A 6 x 6 map of an image of 1 : 3 has rows 2 and 3; of 1 : 1.2, 5 rows, and the odd rest stays."""
    masks = window_masks([(10, 30), (20, 24), (24, 24)], 6, 3)
    assert masks.shape == (3, 3, 3, 4)
    assert masks[0].all()  # rows 0-1: padding alone; 2-3: image; 4-5: padding alone
    assert masks[1].all()
    half = window_masks([(15, 30)], 8, 2)[0]  # rows 2 to 5 of 8: each window is half padding
    assert half[0, 0].reshape(4, 4).tolist() == [[False] * 4] * 2 + [[True] * 4] * 2
    assert half[1, 1].reshape(4, 4).tolist() == [[True] * 4] * 2 + [[False] * 4] * 2


def test_each_encoder_has_its_own_square():
    processor = CambrianImageProcessor()
    pixels = processor([Image.new("RGB", (60, 40), (255, 0, 255))], return_tensors="pt")
    assert pixels["image_sizes"].tolist() == [[40, 60]]
    for tower, view in PUBLISHED_VIEWS.items():
        values = pixels[f"pixel_values_{tower}"]
        assert values.shape == (1, 3, view["side"], view["side"])
        corner, middle = values[0, :, 0, 0], values[0, :, view["side"] // 2, view["side"] // 2]
        mean, deviation = torch.tensor(view["mean"]), torch.tensor(view["std"])
        torch.testing.assert_close(corner, (torch.tensor(view["padding"]) / 255 - mean) / deviation, atol=1e-5, rtol=0)
        torch.testing.assert_close(middle, (torch.tensor([1.0, 0, 1]) - mean) / deviation, atol=1e-5, rtol=0)
    assert [view["padding"] for view in PUBLISHED_VIEWS.values()] == [
        [122, 116, 104], [122, 116, 104], [123, 116, 103], [122, 116, 104],
    ]  # fmt: skip


def test_an_odd_rest_of_padding_goes_below_and_to_the_right():
    image = np.full((3, 2, 5), 9, np.uint8)
    square = pad_to_square(image, [1, 2, 3])
    assert square[0].tolist() == [[1] * 5, [9] * 5, [9] * 5, [1] * 5, [1] * 5]
    assert square[2, 0, 0] == 3
    assert np.array_equal(pad_to_square(square, [0, 0, 0]), square)


@pytest.mark.parametrize(
    ("size", "tokens"), [((90, 90), 6 * 7), ((70, 130), 4 * 7), ((130, 70), 6 * 5), ((61, 64), 6 * 7)]
)
def test_the_prompt_has_a_placeholder_for_every_image_token(size, tokens):
    _, processor = build("cambrian")
    image = Image.new("RGB", (size[1], size[0]))
    inputs = processor(text=["Look: <image>"], images=[image], return_tensors="pt")
    assert int((inputs["input_ids"] == processor.image_token_id).sum()) == tokens


def test_a_sliver_is_refused_in_one_line():
    model = VisionLanguageModel(*build("cambrian"), identifier="tiny")
    with pytest.raises(InputError, match="refuses this image of 100 x 3: an image of 100 x 3 is too narrow for 6 x 6"):
        model.encode(Image.new("RGB", (100, 3)), "Why?")
