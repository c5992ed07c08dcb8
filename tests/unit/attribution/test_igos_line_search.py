"""I-GOS: the line search on functions that are known, one iteration written out, the planted truth."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from toy import ToyScore, constant, planted
from wherelook.attribution.igos import PRESETS, LineSearchSettings, backtrack, igos, passes
from wherelook.canvas import map_size
from wherelook.errors import InputError
from wherelook.score import Passes

IMAGE_SIZE = (48, 64)
IMAGE = torch.rand(3, *IMAGE_SIZE, generator=torch.Generator().manual_seed(0))
REGION = torch.zeros(6, 8)
REGION[1:3, 5:7] = 1.0


class Counted:
    """A function of a mask that remembers what it was asked."""

    def __init__(self, function) -> None:
        self.function = function
        self.asked: list[Tensor] = []

    def __call__(self, mask: Tensor) -> float:
        self.asked.append(mask)
        return float(self.function(mask))


# ---- the line search ----


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"step": 1.0, "decay": 0.5, "floor": 0.25}, (1.0, 0.5, 0.25)),
        ({"step": 1.0, "decay": 0.5, "floor": 0.3}, (1.0, 0.5, 0.3)),
        ({"step": 2.0, "decay": 0.2, "floor": 2.0}, (2.0,)),
        ({}, (1.0, 0.2, 0.04, 0.008, 0.0016, 0.00032, 6.4e-5, 1.28e-5, 1e-5)),
    ],
)
def test_the_steps_that_are_tried(change, expected):
    assert LineSearchSettings(**change).step_sizes == pytest.approx(expected)


def test_the_first_step_that_meets_the_condition_is_taken():
    """J = (m - 0.5)^2 from m = 0.9 along G = 0.8 with armijo 0.75: m' = 0.9 - 0.8 a, and the decrease 0.64 (a - a^2)
    reaches 0.75 * 0.64 a only from a = 0.25 on."""
    settings = LineSearchSettings(decay=0.5, armijo=0.75, floor=0.01)
    objective = Counted(lambda mask: (mask - 0.5).square().sum())
    mask, value = backtrack(objective, torch.tensor([[0.9]]), 0.16, torch.tensor([[0.8]]), settings)
    assert [float(asked) for asked in objective.asked] == pytest.approx([0.1, 0.5, 0.7])
    assert float(mask) == pytest.approx(0.7)
    assert value == pytest.approx(0.04)


def test_what_the_clamp_takes_away_is_not_demanded():
    """The projected step of the second cell is zero: only the first one has promised a decrease."""
    settings = LineSearchSettings(armijo=0.9)
    objective = Counted(lambda mask: mask[0, 0])
    mask, value = backtrack(objective, torch.tensor([[1.0, 0.0]]), 1.0, torch.tensor([[1.0, 5.0]]), settings)
    assert mask.tolist() == [[0.0, 0.0]]
    assert value == 0
    assert len(objective.asked) == 1


def test_the_smallest_step_is_taken_where_nothing_helps():
    settings = LineSearchSettings(decay=0.5, floor=0.125)
    objective = Counted(lambda mask: -mask.sum())  # falls in the other direction
    mask, value = backtrack(objective, torch.tensor([[0.5]]), -0.5, torch.tensor([[1.0]]), settings)
    assert len(objective.asked) == 4
    assert float(mask) == 0.375
    assert value == -0.375


def test_relative_steps_are_steps_of_the_mask():
    settings = LineSearchSettings(step=0.5, floor=0.5, relative=True)
    start = torch.tensor([[1.0, 1.0]])
    for scale in (1e-4, 1.0, 1e4):
        mask, _ = backtrack(lambda mask: 0.0, start, 0.0, scale * torch.tensor([[1.0, 0.25]]), settings)
        torch.testing.assert_close(mask, torch.tensor([[0.5, 0.875]]))


# ---- the whole ----


@pytest.mark.parametrize("relative", [False, True])
def test_two_iterations_by_hand(relative):
    """Objective, direction and condition from the module's formulas, written out again."""
    settings = LineSearchSettings(
        cells=6, iterations=2, steps=3, l1=0.7, tv=2.0, noise=0.0, step=4.0, decay=0.3, armijo=0.4, relative=relative
    )
    score = ToyScore(planted(REGION, depth=3.0), image_size=IMAGE_SIZE)
    scale = float((score.original - score.baseline).sum()) if relative else 1.0

    def penalty(mask: Tensor) -> Tensor:
        variation = (mask[1:] - mask[:-1]).square().mean() + (mask[:, 1:] - mask[:, :-1]).square().mean()
        return 0.7 * (1 - mask).abs().mean() + 2.0 * variation

    def whole(mask: Tensor) -> float:
        return float(score.function(mask[None]).sum() / scale + penalty(mask))

    mask, trace, refused = torch.ones(6, 6), [], 0
    for _ in range(2):
        leaf = mask.clone().requires_grad_()
        total = sum(score.function((i / 3 * leaf)[None]).sum() for i in (1, 2, 3)) / 3 / scale + penalty(leaf)
        (direction,) = torch.autograd.grad(total, leaf)
        step = 4.0 / float(direction.abs().max()) if relative else 4.0
        while True:
            moved = (mask - step * direction).clamp(0, 1)
            if whole(moved) <= whole(mask) - 0.4 * float((direction * (mask - moved)).sum()):
                break
            step, refused = step * 0.3, refused + 1
        mask = moved
        trace.append(whole(mask))
    assert refused > 0 or not relative
    result = igos(score, IMAGE, settings)
    torch.testing.assert_close(result.saliency, (1 - mask) / (1 - mask).max(), rtol=1e-4, atol=1e-5)
    assert result.trace == pytest.approx(trace, abs=1e-5)


@pytest.mark.parametrize("preset", PRESETS)
def test_the_planted_region_ranks_first_at_no_more_than_the_announced_cost(preset):
    settings, calls = PRESETS[preset], []
    score = ToyScore(planted(REGION), image_size=IMAGE_SIZE)
    result = igos(score, IMAGE, settings, progress=lambda *told: calls.append(told))
    saliency = result.saliency
    inside = functional.interpolate(REGION[None, None], size=saliency.shape, mode="nearest-exact")[0, 0] > 0
    assert saliency.max() == 1
    assert saliency[inside].min() > 3 * saliency[~inside].max()
    announced = passes(settings, IMAGE_SIZE)
    assert score.cost.backward == announced.backward
    assert announced.backward + settings.iterations <= score.cost.forward <= announced.forward
    assert calls == [("optimize", done, settings.iterations) for done in range(1, settings.iterations + 1)]
    assert result.trace[-1] < float(score.original.sum())
    assert all(masks.min() >= 0 and masks.max() <= 1 for masks in score.asked)


def test_the_trace_falls_without_noise():
    score = ToyScore(planted(REGION), image_size=IMAGE_SIZE)
    trace = igos(score, IMAGE, replace(PRESETS["paper"], noise=0.0)).trace
    assert all(later < earlier for earlier, later in pairwise((float(score.original.sum()), *trace)))


def test_a_constant_score_gives_no_picture():
    flat = igos(ToyScore(constant), IMAGE, replace(PRESETS["paper"], noise=0.0))
    assert torch.equal(flat.saliency, torch.zeros(28, 28))
    with pytest.raises(InputError, match="not less likely with the baseline image: there is nothing to optimize"):
        igos(ToyScore(constant), IMAGE, PRESETS["best"])


@pytest.mark.parametrize("relative", [False, True])
def test_weights_mean_the_same_for_every_answer_only_when_relative(relative):
    settings = replace(PRESETS["paper"], relative=relative, noise=0.0, iterations=4, steps=5)
    once, twice = (
        igos(ToyScore(planted(REGION, depth=depth), image_size=IMAGE_SIZE), IMAGE, settings).trace
        for depth in (2.0, 4.0)
    )
    assert (once == pytest.approx(twice, rel=1e-3)) is relative


def test_noise_is_fresh_for_every_path_image_and_comes_from_the_seed():
    settings = replace(PRESETS["paper"], iterations=2, steps=3)
    seeds = {}
    for seed in (0, 1):
        score = ToyScore(planted(REGION), image_size=IMAGE_SIZE)
        igos(score, IMAGE, settings, seed=seed)
        assert all(noise.standard_deviation == 0.2 and not noise.relative for noise in score.noises)
        seeds[seed] = [value for noise in score.noises for value in noise.seeds]
        assert len(set(seeds[seed])) == 6
    assert not set(seeds[0]) & set(seeds[1])


def test_shape_of_the_map():
    score = ToyScore(planted(REGION), image_size=IMAGE_SIZE)
    assert igos(score, IMAGE, PRESETS["fast"]).saliency.shape == map_size(28, IMAGE_SIZE)
    assert igos(score, IMAGE, replace(PRESETS["fast"], square=True)).saliency.shape == (28, 28)


def test_constants_and_cost_of_the_presets():
    paper = PRESETS["paper"]
    assert (paper.cells, paper.square, paper.steps, paper.iterations) == (28, True, 20, 15)
    assert (paper.armijo, paper.decay, paper.floor, paper.relative) == (1e-4, 0.2, 1e-5, False)
    assert passes(paper, IMAGE_SIZE) == Passes(15 * (20 + 9), 300)
    best, fast = passes(PRESETS["best"], IMAGE_SIZE), passes(PRESETS["fast"], IMAGE_SIZE)
    assert best.forward <= 200
    assert 4 * fast.forward <= best.forward
    assert 4 * fast.backward <= best.backward


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"cells": 0}, "cells must be from 1 to 512, not 0"),
        ({"iterations": 0}, "iterations must be from 1 to 1000, not 0"),
        ({"steps": 1001}, "steps must be from 1 to 1000, not 1001"),
        ({"l1": -1.0}, "weights and noise must not be negative"),
        ({"noise": -0.1}, "weights and noise must not be negative"),
        ({"tv_power": 0.5}, "tv_power at least 1"),
        ({"floor": 0.0}, "floor must be at least 1e-8 and at most step"),
        ({"floor": 2.0}, "floor must be at least 1e-8 and at most step"),
        ({"decay": 1.0}, "decay must be above 0 and at most 0.9"),
        ({"armijo": 1.0}, "armijo from 0 to below 1"),
    ],
)
def test_settings_out_of_range(change, message):
    with pytest.raises(InputError, match=message):
        LineSearchSettings(**change)
