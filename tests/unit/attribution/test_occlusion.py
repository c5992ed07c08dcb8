"""Occlusion and strips: the exact map where losses add up, the planted region first, no more passes than announced."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from toy import ToyScore, additive, constant, planted
from wherelook.attribution.occlusion import (
    CHUNK,
    PRESETS,
    STRIP_PRESETS,
    OcclusionSettings,
    bands,
    occlusion,
    passes,
    strip_passes,
    strips,
)
from wherelook.canvas import map_size
from wherelook.errors import InputError

METHODS = {"occlusion": (occlusion, PRESETS, passes), "strips": (strips, STRIP_PRESETS, strip_passes)}
EVERY = [(method, preset) for method in METHODS for preset in ("best", "fast", "paper")]
SIZES = [(64, 64), (60, 90), (333, 200), (480, 640), (1080, 1920), (1, 50), (300, 7), (1, 1)]


def weights(rows: int, columns: int, seed: int = 0) -> Tensor:
    return torch.rand(rows, columns, generator=torch.Generator().manual_seed(seed))


def picture(size: tuple[int, int]) -> Tensor:
    return torch.full((3, *size), 0.5)


def run(method: str, score: ToyScore, settings: OcclusionSettings, **options) -> Tensor:
    return METHODS[method][0](score, picture(score.canvas.size), settings, **options).saliency


def test_a_window_of_one_cell_measures_each_cell():
    truth = weights(6, 6)
    saliency = run("occlusion", ToyScore(additive(truth)), OcclusionSettings(cells=6, window=1, stride=1))
    torch.testing.assert_close(saliency, truth / truth.max())


def test_a_cell_is_the_mean_of_the_windows_over_it():
    truth = weights(7, 7)
    saliency = run("occlusion", ToyScore(additive(truth)), OcclusionSettings(cells=7, window=3, stride=2))
    expected, covered = torch.zeros(7, 7), torch.zeros(7, 7)
    for top in (0, 2, 4):
        for left in (0, 2, 4):
            expected[top : top + 3, left : left + 3] += truth[top : top + 3, left : left + 3].sum()
            covered[top : top + 3, left : left + 3] += 1
    expected /= covered
    torch.testing.assert_close(saliency, expected / expected.max())


def test_cells_that_speak_against_the_answer_are_cut():
    truth = weights(5, 5)
    truth[1, 3] = -2.0
    saliency = run("occlusion", ToyScore(additive(truth)), OcclusionSettings(cells=5, window=1, stride=1))
    torch.testing.assert_close(saliency, truth.clamp_min(0) / truth.max())


def test_strips_find_a_map_of_rank_one_exactly():
    truth = weights(8, 1) * weights(1, 8, seed=1)
    saliency = run("strips", ToyScore(additive(truth)), OcclusionSettings(cells=8, window=1, stride=1))
    torch.testing.assert_close(saliency, truth / truth.max())


def test_strips_tell_rows_from_columns():
    truth = torch.zeros(4, 9)
    truth[1, 2:5] = 1.0
    score = ToyScore(additive(truth), image_size=(40, 90))
    saliency = run("strips", score, OcclusionSettings(cells=6, window=1, stride=1))
    assert saliency.shape == (4, 9)
    torch.testing.assert_close(saliency, truth)


def test_several_tokens_count_by_their_sum():
    first, second = weights(4, 4), weights(4, 4, seed=1)

    def both(masks: Tensor) -> Tensor:
        return torch.cat([additive(first)(masks), additive(second)(masks)], dim=1)

    saliency = run("occlusion", ToyScore(both), OcclusionSettings(cells=4, window=1, stride=1))
    torch.testing.assert_close(saliency, (first + second) / (first + second).max())


@pytest.mark.parametrize(("method", "preset"), EVERY)
@pytest.mark.parametrize("place", [(0, 0), (3, 6), (2, 1)])
def test_the_planted_region_ranks_first(method, preset, place):
    region = torch.zeros(6, 9)
    region[place[0] : place[0] + 2, place[1] : place[1] + 2] = 1.0
    saliency = run(method, ToyScore(planted(region), image_size=(60, 90)), METHODS[method][1][preset])
    inside = torch.nn.functional.interpolate(region[None, None], size=saliency.shape, mode="nearest-exact")[0, 0] > 0
    assert inside[saliency == 1].all()
    assert saliency[inside].mean() > 3 * saliency[~inside].mean()


@pytest.mark.parametrize(("method", "preset"), EVERY)
@pytest.mark.parametrize("size", SIZES)
def test_announced_passes_small_chunks_and_a_map(method, preset, size):
    settings = METHODS[method][1][preset]
    score, calls = ToyScore(additive(torch.ones(1, 1)), image_size=size), []
    saliency = run(method, score, settings, progress=lambda *arguments: calls.append(arguments))
    announced = METHODS[method][2](settings, size)
    assert (score.cost.forward, score.cost.backward) == (announced.forward, announced.backward)
    assert max(len(masks) for masks in score.asked) <= CHUNK
    assert all(set(masks.unique().tolist()) <= {0.0, 1.0} for masks in score.asked)
    assert all((masks == 0).flatten(1).any(dim=1).all() for masks in score.asked)
    assert calls[-1] == ("occlude", announced.forward, announced.forward)
    assert len(calls) == len(score.asked)
    assert (saliency.dtype, saliency.shape) == (torch.float32, map_size(settings.cells, size))
    assert saliency.min() >= 0
    assert saliency.max() == 1


@pytest.mark.parametrize("method", list(METHODS))
@pytest.mark.parametrize("size", SIZES[:5])
def test_what_the_presets_cost(method, size):
    presets, count = METHODS[method][1:]
    assert count(presets["best"], size).forward <= 200
    assert 4 * count(presets["fast"], size).forward <= count(presets["best"], size).forward


def test_sixteen_strips_on_a_square_image():
    assert strip_passes(STRIP_PRESETS["paper"], (224, 224)).forward == 16


@pytest.mark.parametrize(("method", "preset"), EVERY)
def test_a_score_that_ignores_the_mask_gives_no_picture(method, preset):
    def rounding(masks: Tensor) -> Tensor:
        return constant(masks) + 1e-6 * masks.mean(dim=(1, 2))[:, None]

    for function in (constant, rounding):
        assert not run(method, ToyScore(function), METHODS[method][1][preset]).any()


def test_bands_cover_every_cell_and_end_at_the_edge():
    assert bands(5, 2, 2).tolist() == [[1, 1, 0, 0, 0], [0, 0, 1, 1, 0], [0, 0, 0, 1, 1]]
    assert bands(3, 8, 4).tolist() == [[1, 1, 1]]
    for side in range(1, 40):
        for window in range(1, 9):
            for stride in range(1, window + 1):
                covered = bands(side, window, stride)
                assert covered.sum(dim=0).min() >= 1
                assert (covered.sum(dim=1) == min(window, side)).all()
                assert len(covered.unique(dim=0)) == len(covered)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"cells": 0}, "cells must be from 1 to 512, not 0"),
        ({"cells": 513}, "cells must be from 1 to 512, not 513"),
        ({"window": 29}, "window must be from 1 to cells = 28, not 29"),
        ({"window": 0}, "window must be from 1 to cells = 28, not 0"),
        ({"stride": 5}, "stride must be from 1 to window = 4, or cells stay unseen: 5"),
        ({"stride": 0}, "stride must be from 1 to window = 4"),
    ],
)
def test_settings_that_cannot_be(values, message):
    with pytest.raises(InputError, match=message):
        OcclusionSettings(**values)
