"""Edge density: the map of an image whose edges are known, at no cost."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from toy import ToyScore, constant, planted
from wherelook.attribution.controls import PRESETS, ControlSettings, edge_map
from wherelook.canvas import map_size


def edges(picture: Tensor, settings: ControlSettings = PRESETS["best"]) -> Tensor:
    score = ToyScore(constant, image_size=tuple(picture.shape[1:]))
    saliency = edge_map(score, picture, settings).saliency
    assert score.cost.forward == 0
    assert score.asked == []
    return saliency


def stripes(height: int, width: int) -> Tensor:
    """A strong vertical edge at a quarter of the width, one of half its contrast at three quarters."""
    picture = torch.zeros(3, height, width)
    picture[:, :, width // 4 :] = 0.8
    picture[:, :, 3 * width // 4 :] = 0.4
    return picture


def test_an_edge_counts_by_its_contrast_and_nothing_else_does():
    saliency = edges(stripes(112, 112))
    assert saliency.shape == (28, 28)
    torch.testing.assert_close(saliency, saliency[:1].expand(28, -1))  # the same in every row, border included
    profile = saliency[0]
    assert set(profile.topk(2).indices.tolist()) == {6, 7}  # the edge lies between these cells
    assert profile.max() == 1
    assert float(profile[20:22].max()) == pytest.approx(0.5, abs=1e-3)
    assert profile[12:16].max() < 1e-3


def test_directions_are_alike():
    torch.testing.assert_close(edges(stripes(112, 112)), edges(stripes(112, 112).transpose(1, 2)).T)


@pytest.mark.parametrize("size", [(64, 64), (1, 1), (3, 200)])
def test_a_plain_image_has_no_edges(size):
    saliency = edges(torch.full((3, *size), 0.3))
    assert saliency.shape == map_size(28, size)
    assert not saliency.any()


def test_cells_are_square_and_fewer_where_asked():
    assert edges(stripes(50, 200)).shape == (14, 56)
    assert edges(stripes(64, 64), ControlSettings(cells=9)).shape == (9, 9)


def test_it_knows_nothing_of_the_model_and_changes_nothing():
    picture = torch.rand(3, 40, 60, generator=torch.Generator().manual_seed(0))
    before = picture.clone()
    first, second = (
        edge_map(ToyScore(function, image_size=(40, 60)), picture, PRESETS["best"], seed=seed).saliency
        for function, seed in ((constant, 0), (planted(torch.eye(4)), 1))
    )
    assert torch.equal(first, second)
    assert torch.equal(picture, before)
    assert (first.dtype, float(first.max())) == (torch.float32, 1.0)
