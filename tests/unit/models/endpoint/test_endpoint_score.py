"""The score function of an endpoint: what is sent for a mask, and what is made of the replies."""

from __future__ import annotations

import pytest
import torch

from wherelook import InputError
from wherelook.models.endpoint.protocols import ScoredToken
from wherelook.models.endpoint.score import EndpointScore
from wherelook.models.score_cache import ScoreMemory
from wherelook.score import Cost

SIZE = (6, 8)


class Reader:
    """Scores two tokens by the mean level of red and of green, of 255; the first is chosen where red is high."""

    def __init__(self):
        self.pictures = []

    def __call__(self, pictures):
        self.pictures += pictures
        rows = []
        for picture in pictures:
            red, green, _ = (picture[0].float().mean(dim=(1, 2)) / 255 - 1).tolist()
            rows.append((ScoredToken(1, "a", red, red > -0.5), ScoredToken(2, " b", green, True)))
        return rows


def pixels(red, green=0):
    image = torch.zeros(1, 3, *SIZE, dtype=torch.uint8)
    image[:, 0], image[:, 1] = red, green
    return {"image": image}


def make(reader=None, **options):
    return EndpointScore(reader or Reader(), pixels(255, 102), pixels(0, 51), selected=(0, 1), cost=Cost(), **options)


def test_image_and_baseline_are_asked_about_once():
    reader = Reader()
    score = make(reader)
    assert torch.allclose(score.original, torch.tensor([0.0, -0.6]))
    assert torch.allclose(score.baseline, torch.tensor([-1.0, -0.8]))
    assert score.flips() == [True, False]
    assert score.select([1]).original.tolist() == score.original[1:].tolist()
    assert len(reader.pictures) == 2
    assert score.canvas.size == SIZE


def test_a_mask_is_blended_into_the_pixels_and_rounded():
    mask = torch.zeros(1, *SIZE)
    mask[0, :, :4] = 1
    mask[0, 0, 0] = 0.3
    blend = make().blend(mask)["image"]
    assert blend.dtype == torch.uint8
    assert blend[0, 0, 1].tolist() == [255] * 4 + [0] * 4
    assert blend[0, 1, 1].tolist() == [102] * 4 + [51] * 4
    assert blend[0, :, 0, 0].tolist() == [76, 66, 0]  # 76.5 to even, 51 + 0.3 * 51 = 66.3


def test_a_coarse_mask_is_interpolated_between_cell_centers():
    values = make().blend(torch.tensor([[[0.0, 1.0]]]))["image"][0, 0, 0].tolist()
    # Centers of the two cells at pixels 1.5 and 5.5: one eighth of 255 at pixel 2, and so on.
    assert values == [round(255 * share) for share in (0, 0, 0.125, 0.375, 0.625, 0.875, 1, 1)]


def test_the_ends_of_the_blend_are_image_and_baseline_untouched():
    score = make()
    assert torch.equal(score.blend(torch.ones(1, 1, 1))["image"], score.image_pixels["image"])
    assert torch.equal(score.blend(torch.zeros(1, 3, 5))["image"], score.baseline_pixels["image"])
    assert score(torch.ones(1, 4, 4)).tolist() == [score.original.tolist()]


def test_another_baseline_costs_one_picture():
    reader = Reader()
    score = make(reader)
    score.original  # noqa: B018 - asks about both ends
    other = score.with_baseline(pixels(51, 102))
    assert torch.allclose(other.baseline, torch.tensor([-0.8, -0.6]))
    assert torch.equal(other.original, score.original)
    assert len(reader.pictures) == 3


def test_what_an_endpoint_does_not_show_is_refused_before_anything_is_sent():
    reader = Reader()
    score = make(reader)
    memory = ScoreMemory(score, together=[0])
    one = memory.select([0])
    for ask in (
        lambda: score(torch.ones(1, 4, 4, requires_grad=True)),
        lambda: score.gradient(torch.ones(1, 4, 4)),
        lambda: one.gradient(torch.ones(1, 4, 4)),
        lambda: one.pixel_gradient((4, 4)),
        one.inside,
    ):
        with pytest.raises(InputError, match="no gradient and nothing inside its model"):
            ask()
    assert reader.pictures == []
    assert one(torch.ones(1, 4, 4)).tolist() == [[0.0]]
