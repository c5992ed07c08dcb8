"""The gradient family: closed forms on score functions that are known, completeness, the noise of SmoothGrad."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from toy import PixelScore, ToyScore, additive, constant, planted
from wherelook.attribution import gradients
from wherelook.attribution.gradients import (
    CHUNK,
    GRADIENT_PRESETS,
    GRADIENT_X_INPUT_PRESETS,
    INTEGRATED_PRESETS,
    SMOOTH_PRESETS,
    GradientSettings,
    IntegratedSettings,
    SignedSettings,
    SmoothSettings,
    integrated_gradient,
    weighted_gradient,
)
from wherelook.attribution.grids import to_saliency
from wherelook.canvas import map_size
from wherelook.errors import InputError
from wherelook.score import Noise, Passes, PixelGradient

IMAGE_SIZE = (48, 64)
GRID = (6, 8)  # of cells=7 on that image
IMAGE = torch.rand(3, *IMAGE_SIZE, generator=torch.Generator().manual_seed(0))
REGION = torch.zeros(GRID)
REGION[1:3, 5:7] = 1.0
WEIGHTS = torch.randn(GRID, generator=torch.Generator().manual_seed(1))

METHODS = {
    "gradient": (gradients.gradient, GRADIENT_PRESETS, gradients.one_pass),
    "gradient-x-input": (gradients.gradient_x_input, GRADIENT_X_INPUT_PRESETS, gradients.one_pass),
    "integrated-gradients": (gradients.integrated_gradients, INTEGRATED_PRESETS, gradients.integrated_passes),
    "smoothgrad": (gradients.smoothgrad, SMOOTH_PRESETS, gradients.smooth_passes),
}
EVERY = [(method, preset) for method in METHODS for preset in ("best", "fast", "paper")]


def curved(masks: Tensor) -> Tensor:
    """Two tokens: one quadratic in every cell, with both signs; one not polynomial."""
    weights = functional.interpolate(WEIGHTS[None, None], size=masks.shape[1:], mode="nearest-exact")[0, 0]
    first = (weights * masks.square()).sum(dim=(1, 2))
    second = -torch.log1p((weights.abs() * (1 - masks)).sum(dim=(1, 2)))
    return torch.stack([first, second], dim=1)


def run(method: str, score: ToyScore, settings: GradientSettings, **options) -> Tensor:
    return METHODS[method][0](score, IMAGE, settings, **options).saliency


# ---- closed forms ----


def test_of_an_additive_score_every_signed_method_gives_the_weights():
    positive = WEIGHTS.clamp_min(0) / WEIGHTS.max()
    magnitude = WEIGHTS.abs() / WEIGHTS.abs().max()
    assert not torch.allclose(positive, magnitude)
    for method, settings in (
        ("gradient-x-input", SignedSettings(cells=7)),
        ("integrated-gradients", IntegratedSettings(cells=7, steps=3)),
        ("smoothgrad", SmoothSettings(cells=7, samples=3, noise=1e-9, of="gradient-x-input")),
    ):
        score = ToyScore(additive(WEIGHTS), image_size=IMAGE_SIZE)
        torch.testing.assert_close(run(method, score, settings), positive, atol=1e-5, rtol=0)
        signless = run(method, score, replace(settings, sign="magnitude"))
        torch.testing.assert_close(signless, magnitude, atol=1e-5, rtol=0)


def test_the_plain_gradient_has_no_sign():
    score = PixelScore(additive(WEIGHTS), image_size=IMAGE_SIZE)
    magnitude = WEIGHTS.abs() / WEIGHTS.abs().max()
    torch.testing.assert_close(run("gradient", score, GradientSettings(cells=7)), magnitude)
    smooth = run("smoothgrad", score, SmoothSettings(cells=7, samples=3, noise=1e-9))
    torch.testing.assert_close(smooth, magnitude, atol=1e-5, rtol=0)


def test_gradient_x_input_is_taken_at_the_image():
    """Where the score has saturated its slope is small: d/dM of w M^2 at M = 1 is 2 w, its integral is w."""
    score = ToyScore(lambda masks: curved(masks)[:, :1], image_size=IMAGE_SIZE)
    ones = torch.ones(1, *GRID)
    torch.testing.assert_close(weighted_gradient(score, ones, torch.ones(1)), 2 * WEIGHTS)
    assert all(torch.equal(masks, ones) for masks in score.asked)


# ---- integrated gradients ----


def test_completeness():
    """The cells add up to F(I) - F(B): exactly where the slope is linear, ever better where it is not."""
    quadratic = ToyScore(lambda masks: curved(masks)[:, :1], image_size=GRID)
    cells = integrated_gradient(quadratic, GRID, 1)
    torch.testing.assert_close(cells, WEIGHTS)
    torch.testing.assert_close(cells.sum(), (quadratic.original - quadratic.baseline).sum())
    score = ToyScore(curved, image_size=GRID)
    gap = float((score.original - score.baseline).sum())
    errors = [abs(float(integrated_gradient(score, GRID, steps).sum()) - gap) for steps in (5, 20, 100)]
    assert errors[0] > 3 * errors[1] > 9 * errors[2]
    assert errors[2] < 5e-3 * abs(gap)


def test_the_path_goes_from_the_baseline_to_the_image_by_trapezoids():
    score = ToyScore(curved, image_size=IMAGE_SIZE)
    integrated_gradient(score, GRID, 4)
    (asked,) = score.asked
    assert asked[:, 0, 0].tolist() == [0, 0.25, 0.5, 0.75, 1]
    assert (asked == asked[:, :1, :1]).all()
    points = [score.gradient(torch.full((1, *GRID), s))[1][0] for s in (0.0, 0.25, 0.5, 0.75, 1.0)]
    expected = (points[0] / 2 + points[1] + points[2] + points[3] + points[4] / 2) / 4
    torch.testing.assert_close(integrated_gradient(score, GRID, 4), expected)


# ---- many masks ----


def test_memory_does_not_grow_with_the_number_of_masks():
    """Chunks, each with the noise of its own masks; the sum is that of one call."""
    count = 2 * CHUNK + 3
    generator = torch.Generator().manual_seed(2)
    masks, weights = torch.rand(count, *GRID, generator=generator), torch.rand(count, generator=generator)
    noise = Noise(0.3, tuple(range(100, 100 + count)))
    whole = ToyScore(curved, image_size=IMAGE_SIZE)
    _, slopes = whole.gradient(masks, noise=noise)
    score, calls = ToyScore(curved, image_size=IMAGE_SIZE), []
    total = weighted_gradient(score, masks, weights, noise=noise, progress=lambda *told: calls.append(told))
    torch.testing.assert_close(total, (weights[:, None, None] * slopes).sum(dim=0), rtol=1e-4, atol=1e-4)
    assert [len(asked) for asked in score.asked] == [CHUNK, CHUNK, 3]
    assert [seed for part in score.noises for seed in part.seeds] == list(noise.seeds)
    assert calls == [("gradient", done, count) for done in (CHUNK, 2 * CHUNK, count)]


# ---- SmoothGrad ----


def test_smoothgrad_is_the_mean_over_noisy_copies_of_the_image():
    settings = SmoothSettings(cells=7, samples=70, noise=0.2, of="gradient-x-input")
    score = ToyScore(additive(WEIGHTS), image_size=IMAGE_SIZE)
    saliency = run("smoothgrad", score, settings, seed=3)
    seeds = [seed for noise in score.noises for seed in noise.seeds]
    assert len(set(seeds)) == 70
    assert all(noise.relative and noise.standard_deviation == 0.2 for noise in score.noises)
    assert all((masks == 1).all() for masks in score.asked)
    shift = 0.2 * sum(seed % 1000 for seed in seeds) / 1000 / 70 / WEIGHTS.numel()  # the toy's noise, by hand
    torch.testing.assert_close(saliency, to_saliency(WEIGHTS + shift))


@pytest.mark.parametrize("of", ["gradient", "gradient-x-input"])
def test_the_noise_comes_from_the_seed(of):
    settings = SmoothSettings(cells=7, samples=5, noise=3.0, of=of)
    first, second, other = (
        run("smoothgrad", PixelScore(additive(WEIGHTS), image_size=IMAGE_SIZE), settings, seed=seed)
        for seed in (5, 5, 6)
    )
    assert torch.equal(first, second)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("method", ["gradient", "smoothgrad"])
def test_a_score_without_a_pixel_gradient_is_named(method):
    score = ToyScore(curved, image_size=IMAGE_SIZE)
    assert not isinstance(score, PixelGradient)
    with pytest.raises(InputError, match=r"gradient with respect to pixels needs .* use gradient-x-input"):
        run(method, score, METHODS[method][1]["paper"])
    assert score.cost.forward == 0


# ---- what every method promises ----


@pytest.mark.parametrize(("method", "preset"), EVERY)
def test_the_planted_region_ranks_first(method, preset):
    score = PixelScore(planted(REGION), image_size=IMAGE_SIZE)
    saliency = run(method, score, METHODS[method][1][preset])
    assert saliency.shape == map_size(28, IMAGE_SIZE)
    assert saliency.dtype == torch.float32
    assert saliency.min() >= 0
    assert saliency.max() == 1
    inside = functional.interpolate(REGION[None, None], size=saliency.shape, mode="nearest-exact")[0, 0] > 0
    assert saliency[inside].min() > saliency[~inside].max()


@pytest.mark.parametrize(("method", "preset"), EVERY)
def test_a_constant_score_gives_a_flat_map(method, preset):
    class Quiet(PixelScore):
        """Without the toy's noise term, which is a slope of its own."""

        def gradient(self, masks, *, noise=None):
            return super().gradient(masks)

    saliency = run(method, Quiet(constant, image_size=IMAGE_SIZE), METHODS[method][1][preset])
    assert torch.equal(saliency, torch.zeros(map_size(28, IMAGE_SIZE)))


@pytest.mark.parametrize(("method", "preset"), EVERY)
def test_the_announced_passes_are_the_counted_ones(method, preset):
    score, calls = PixelScore(planted(REGION), image_size=IMAGE_SIZE), []
    settings = METHODS[method][1][preset]
    run(method, score, settings, progress=lambda *told: calls.append(told))
    assert Passes(score.cost.forward, score.cost.backward) == METHODS[method][2](settings, IMAGE_SIZE)
    assert calls[-1] == ("gradient", score.cost.backward, score.cost.backward)


@pytest.mark.parametrize("method", METHODS)
def test_best_costs_at_most_200_passes_and_fast_a_quarter_of_it(method):
    _, presets, passes = METHODS[method]
    best, fast = (passes(presets[name], IMAGE_SIZE).forward for name in ("best", "fast"))
    assert best <= 200
    assert 4 * fast <= best or best == 1


def test_paper_constants():
    """20 to 300 steps (section 5 of 1703.01365); 50 samples, 10 to 20 % noise (section 3 of 1706.03825)."""
    assert INTEGRATED_PRESETS["paper"].steps == 300
    smooth = SMOOTH_PRESETS["paper"]
    assert (smooth.samples, smooth.noise, smooth.of) == (50, 0.15, "gradient")


@pytest.mark.parametrize(
    ("make", "change", "message"),
    [
        (GradientSettings, {"cells": 0}, "cells must be from 1 to 512, not 0"),
        (SmoothSettings, {"cells": 513}, "cells must be from 1 to 512, not 513"),
        (IntegratedSettings, {"steps": 0}, "steps must be from 1 to 1000, not 0"),
        (IntegratedSettings, {"steps": 1001}, "steps must be from 1 to 1000, not 1001"),
        (SmoothSettings, {"samples": 0}, "samples must be from 1 to 10000, not 0"),
        (SmoothSettings, {"noise": 0.0}, "noise must be above 0 and at most 10, not 0.0"),
    ],
)
def test_settings_out_of_range(make, change, message):
    with pytest.raises(InputError, match=message):
        make(**change)


# ---- the map ----


@pytest.mark.parametrize(
    ("size", "expected"),
    [((300, 300), (28, 28)), ((100, 400), (14, 56)), ((400, 100), (56, 14)), ((1, 4000), (1, 1771))],
)
def test_cells_are_square(size, expected):
    assert map_size(28, size) == expected


def test_saliency_is_the_positive_part_to_scale():
    values = torch.tensor([[-3.0, 0.0], [0.5, 2.0]], dtype=torch.float64, requires_grad=True)
    saliency = to_saliency(values)
    assert torch.equal(saliency, torch.tensor([[0.0, 0.0], [0.25, 1.0]]))
    assert not saliency.requires_grad
    assert torch.equal(to_saliency(-values.abs()), torch.zeros(2, 2))
