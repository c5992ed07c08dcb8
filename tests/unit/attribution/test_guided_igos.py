"""Guided iGOS: its start, its steps, its refinements and what they cost."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from scipy.ndimage import gaussian_filter
from torch import Tensor

from toy import ToyScore, constant, planted
from wherelook.attribution.gradients import integrated_gradient
from wherelook.attribution.guided_igos import PRESETS, adam, guided_igos, passes
from wherelook.attribution.igos_plus import Objective, image_edges, regularization
from wherelook.attribution.refinement import rank_rest
from wherelook.canvas import map_size
from wherelook.errors import InputError

IMAGE_SIZE = (48, 64)
REGION = torch.zeros(6, 8)
REGION[1:3, 5:7] = 1.0
BARE = replace(PRESETS["best"], smooth=0.0, center=0.0, contexts=0, verify=0, rest=0)


def image(height: int = 48, width: int = 64) -> Tensor:
    """Smooth colors with one sharp vertical edge."""
    rows, columns = torch.meshgrid(torch.linspace(0, 1, height), torch.linspace(0, 1, width), indexing="ij")
    return torch.stack([rows, columns, (columns > 0.5).float()]) * 0.8


def score_of_region() -> ToyScore:
    return ToyScore(planted(REGION), image_size=IMAGE_SIZE)


def test_adam_steps_are_those_of_torch():
    generator = torch.Generator().manual_seed(6)
    masks = 0.4 + 0.2 * torch.rand(2, 3, 4, generator=generator)
    gradients = torch.randn(5, 2, 3, 4, generator=generator)
    step = adam(masks, 0.01)
    assert torch.equal(next(step), masks)
    parameter = masks.clone().requires_grad_()
    reference = torch.optim.Adam([parameter], lr=0.01, eps=1e-12)
    for gradient in gradients:
        parameter.grad = gradient.clone()
        reference.step()
        torch.testing.assert_close(step.send(gradient), parameter.detach())


@pytest.mark.parametrize("masks", [1, 2])
def test_the_optimizer_by_hand(masks):
    """From the gradient of the whole image, on the objective over its gap; the map is the mean over the steps."""
    score, settings = score_of_region(), replace(BARE, masks=masks, iterations=3)
    edges = image_edges(score, image())
    gap = float((score.original - score.baseline).sum())
    objective = Objective(
        score,
        steps=settings.steps,
        penalty=lambda mask, k: regularization(mask, edges, score.canvas, l1=settings.l1, tv=settings.tv),
        scale=gap,
    )
    slope = integrated_gradient(score, map_size(settings.cells, IMAGE_SIZE), settings.start_steps).clamp_min(0)
    step = adam((1 - slope / slope.max()).expand(masks, *slope.shape).clone(), settings.learning_rate)
    state, visited = next(step), []
    for iteration in range(3):
        state = step.send(objective(state, iteration)[1])
        visited.append(state.prod(dim=0))
    expected = 1 - torch.stack(visited).mean(dim=0)
    found = guided_igos(score, image(), settings)
    torch.testing.assert_close(found.saliency, expected / expected.max())
    assert len(found.trace) == 3


def test_without_iterations_the_start_is_the_map():
    score, settings = score_of_region(), replace(BARE, iterations=0)
    result = guided_igos(score, image(), settings)
    slope = integrated_gradient(score, map_size(settings.cells, IMAGE_SIZE), settings.start_steps).clamp_min(0)
    torch.testing.assert_close(result.saliency, slope / slope.max())
    assert result.trace == ()


def test_smooth_and_center_follow_their_definitions():
    score, base = score_of_region(), replace(BARE, iterations=1)
    plain = guided_igos(score, image(), base).saliency
    smooth = guided_igos(score, image(), replace(base, smooth=1.5)).saliency
    blurred = torch.from_numpy(gaussian_filter(plain.double().numpy(), 1.5, mode="nearest")).float()
    torch.testing.assert_close(smooth, blurred / blurred.max(), rtol=1e-4, atol=1e-6)
    centered = guided_igos(score, image(), replace(base, smooth=1.5, center=3.0)).saliency
    product = blurred * torch.from_numpy(gaussian_filter(plain.double().numpy(), 3.0, mode="nearest")).float()
    torch.testing.assert_close(centered, product / product.max(), rtol=1e-4, atol=1e-6)


def test_the_rest_is_ranked_last_of_all():
    score, settings = score_of_region(), replace(PRESETS["fast"], rest=3, rest_shown=True)
    bare = guided_igos(score, image(), replace(settings, rest=0)).saliency
    found = guided_igos(score, image(), settings).saliency
    assert torch.equal(found, rank_rest(score, bare, steps=3, shown=True))
    assert not torch.equal(found, bare)


def test_no_gap_cannot_be_divided_by():
    for function in (constant, lambda masks: -masks.mean(dim=(1, 2))[:, None]):
        with pytest.raises(InputError, match="not less likely with the baseline image"):
            guided_igos(ToyScore(function, image_size=IMAGE_SIZE), image(), PRESETS["fast"])


def test_weights_mean_the_same_for_every_answer():
    """Twice the tokens, or twice the gap: the same map, as the objective is divided by the gap."""
    once, twice = (
        guided_igos(ToyScore(planted(REGION, depth=depth), image_size=IMAGE_SIZE), image(), BARE).saliency
        for depth in (2.0, 4.0)
    )
    torch.testing.assert_close(once, twice, atol=1e-4, rtol=0)


def test_fast_costs_at_most_a_quarter_of_best():
    for masks in (1, 2):
        best, fast = (passes(replace(PRESETS[name], masks=masks), (224, 224)) for name in ("best", "fast"))
        assert 4 * fast.backward <= best.backward
    assert passes(PRESETS["best"], (224, 224)).forward <= 200
    assert passes(PRESETS["fast"], (224, 224)).forward <= 40


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"cells": 0}, "cells must be from 1 to .*, not 0"),
        ({"masks": 3}, "masks must be from 1 to 2, not 3"),
        ({"iterations": -1}, "iterations must be from 0"),
        ({"steps": -1}, "steps must be from 1"),
        ({"start_steps": 0}, "start_steps must be from 1"),
        ({"rest": -1}, "rest must be from 0"),
        ({"learning_rate": 0.0}, "learning rate must be positive"),
        ({"tv": -1.0}, "weights not negative"),
        ({"verify": -1}, "smooth, center, contexts and verify must not be negative"),
    ],
)
def test_settings_out_of_range(change, message):
    with pytest.raises(InputError, match=message):
        replace(PRESETS["best"], **change)


def test_there_is_no_noise():
    score = score_of_region()
    guided_igos(score, image(), PRESETS["best"])
    assert not any(noise is not None for noise in score.noises)
