"""iGOS+ and iGOS++: the objective and its gradient written out independently, the steps, the planted truth."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from toy import ToyScore, constant, planted
from wherelook.attribution import METHODS, igos_plus
from wherelook.attribution.igos_plus import EDGE_SCALE, PRESETS, IgosPlusSettings, Objective, nesterov, regularization
from wherelook.attribution.total_variation import edge_weights
from wherelook.canvas import Canvas
from wherelook.errors import InputError
from wherelook.score import Noise, Passes

IMAGE_SIZE = (48, 64)
PAPER = {"l1": 1.0, "l2": 0.1, "tv": 10.0, "corners": True}
ONE = Canvas((IMAGE_SIZE,))
REGION = torch.zeros(6, 8)
REGION[1:3, 5:7] = 1.0


def image(height: int = 48, width: int = 64) -> Tensor:
    """Smooth colors with one sharp vertical edge."""
    rows, columns = torch.meshgrid(torch.linspace(0, 1, height), torch.linspace(0, 1, width), indexing="ij")
    return torch.stack([rows, columns, (columns > 0.5).float()]) * 0.8


def curved(masks: Tensor) -> Tensor:
    """Two tokens, each nonlinear in every cell and different in each: a wrong path or sign shows."""
    size = (masks.shape[1], masks.shape[2])
    weights = functional.interpolate(image()[None, :2], size=size, mode="area")[0] + 0.1
    first = -(weights[0] * (1 - masks).square() * 3).sum(dim=(1, 2)) / math.prod(size)
    second = -torch.log1p((weights[1] * (1 - masks)).sum(dim=(1, 2)))
    return torch.stack([first, second], dim=1)


# ---- regularisation ----


def test_regularisation_by_hand():
    """A mask of 2 x 2 on an image of 2 x 2: no resampling, every number in sight."""
    mask = torch.tensor([[1.0, 0.5], [0.75, 0.0]])
    picture = torch.zeros(3, 2, 2)
    picture[:, 0, 1] = 0.1  # differs by 0.1 from its neighbors
    vertical, horizontal = edge_weights(picture, EDGE_SCALE, ONE)
    edge = math.exp(-1)
    torch.testing.assert_close(vertical, torch.tensor([[1.0, edge]]))
    torch.testing.assert_close(horizontal, torch.tensor([[edge], [1.0]]))
    plain = (0.25**2 + 0.5**2) / 2 + (0.5**2 + 0.75**2) / 2
    weighted = (0.25**2 + edge * 0.5**2) / 2 + (edge * 0.5**2 + 0.75**2) / 2
    expected = 2.0 * (0 + 0.5 + 0.25 + 1.0) / 4 + 3.0 * (0.5**2 + 0.25**2 + 1.0) + 4.0 * (plain + weighted) / 2
    value = regularization(mask, (vertical, horizontal), ONE, l1=2.0, l2=3.0, tv=4.0)
    assert float(value) == pytest.approx(expected, rel=1e-6)


def test_total_variation_takes_its_power_and_a_full_mask_costs_nothing():
    flat_image = edge_weights(torch.zeros(3, 2, 2), 0.01, ONE)
    mask = torch.tensor([[1.0, 0.5], [1.0, 0.5]])
    assert float(regularization(mask, flat_image, ONE, l1=0, tv=1.0, power=3.0)) == pytest.approx(0.5**3)
    assert float(regularization(torch.ones(4, 4), flat_image, ONE, **PAPER)) == 0


def test_edges_make_variation_cheap_only_where_they_are():
    """The same step in the mask, on the image's edge and beside it."""
    edges = edge_weights(image(32, 32)[[2, 2, 2]], EDGE_SCALE, ONE)
    on, beside = torch.ones(32, 32), torch.ones(32, 32)
    on[:, :16] = 0
    beside[:, :8] = 0
    plain = 32 / (32 * 31)
    assert float(regularization(on, edges, ONE, l1=0, tv=1.0)) == pytest.approx(plain / 2, rel=1e-4)
    assert float(regularization(beside, edges, ONE, l1=0, tv=1.0)) == pytest.approx(plain, rel=1e-4)


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (700, 3)])
def test_tiny_and_thin_images_have_finite_regularisation(size):
    edges = edge_weights(torch.rand(3, *size, generator=torch.Generator().manual_seed(0)), 0.01, ONE)
    for cells in ((1, 1), (1, 9), (32, 32)):
        mask = torch.rand(cells, generator=torch.Generator().manual_seed(1), requires_grad=True)
        value = regularization(mask, edges, ONE, **PAPER)
        (gradient,) = torch.autograd.grad(value, mask)
        assert torch.isfinite(gradient).all()


# ---- the objective, written out again ----


def penalty(mask: Tensor, iteration: int) -> Tensor:
    edges = edge_weights(image(), EDGE_SCALE, ONE)
    return regularization(mask, edges, ONE, l1=1.0, l2=0.1 * math.exp(-iteration), tv=10.0)


def written_out_plus(score, mask: Tensor, steps: int, scale: float) -> Tensor:
    """mean over s of F(Phi(sM)) - F(Phi(1 - sM)): its gradient is the one that the method must follow."""
    total = torch.zeros(())
    for k in range(1, steps + 1):
        s = k / steps
        total = total + score.function((s * mask)[None]).sum() - score.function((1 - s * mask)[None]).sum()
    return total / steps / scale


def test_gradient_of_igos_plus_is_autograd_of_the_formula():
    score = ToyScore(curved, image_size=IMAGE_SIZE)
    objective = Objective(score, steps=7, penalty=penalty, scale=2.5)
    mask = torch.rand(5, 6, generator=torch.Generator().manual_seed(3), requires_grad=True)
    expected = written_out_plus(score, mask, 7, 2.5) + penalty(mask, 2)
    (wanted,) = torch.autograd.grad(expected, mask)
    value, gradient = objective(mask.detach()[None], 2)
    torch.testing.assert_close(gradient[0], wanted, rtol=1e-4, atol=1e-6)
    # The value that is traced is the objective itself, not its mean over the path.
    end = (score.function(mask.detach()[None]).sum() - score.function(1 - mask.detach()[None]).sum()) / 2.5
    end = end + penalty(mask.detach(), 2)
    assert value == pytest.approx(float(end), rel=1e-5)


def test_gradient_of_igos_plus_plus_is_autograd_of_the_formula():
    """[F(Mx) - F(1-My) + F(Mx My) - F(1 - Mx My)] / 2, each a mean over its own path s M; product rule included."""
    score = ToyScore(curved, image_size=IMAGE_SIZE)
    objective = Objective(score, steps=6, penalty=penalty, scale=1.5)
    masks = torch.rand(2, 5, 6, generator=torch.Generator().manual_seed(4), requires_grad=True)
    keep, show = masks
    total = torch.zeros(())
    for k in range(1, 7):
        s = k / 6
        total = total + score.function((s * keep)[None]).sum() - score.function((1 - s * show)[None]).sum()
        total = (
            total + score.function((s * keep * show)[None]).sum() - score.function((1 - s * keep * show)[None]).sum()
        )
    expected = total / 6 / 2 / 1.5 + penalty(keep * show, 1)
    (wanted,) = torch.autograd.grad(expected, masks)
    value, gradient = objective(masks.detach(), 1)
    torch.testing.assert_close(gradient, wanted, rtol=1e-4, atol=1e-6)
    with torch.no_grad():
        ends = [score.function(m[None]).sum() for m in (keep, 1 - show, keep * show, 1 - keep * show)]
        end = (ends[0] - ends[1] + ends[2] - ends[3]) / 2 / 1.5
        end = end + penalty(keep * show, 1)
    assert value == pytest.approx(float(end), rel=1e-5)


# ---- the steps ----


def test_nesterov_steps_by_hand():
    """y = M - lr g;  M' = clamp(y + e (y - y_before), 0, 1);  e = k / (k + momentum)."""
    generator = torch.Generator().manual_seed(5)
    state = torch.rand(1, 3, 4, generator=generator)
    gradients = torch.randn(6, 1, 3, 4, generator=generator) * 0.2
    step = nesterov(state, IgosPlusSettings(learning_rate=0.5, momentum=3.0))
    next(step)
    mask, previous = state.clone(), None
    for k, gradient in enumerate(gradients):
        moved = mask - 0.5 * gradient
        mask = moved if previous is None else moved + k / (k + 3.0) * (moved - previous)
        mask, previous = mask.clamp(0, 1), moved
        torch.testing.assert_close(step.send(gradient), mask)


def test_momentum_of_zero_is_one_from_the_second_step_on():
    step = nesterov(torch.full((1, 1, 1), 0.5), IgosPlusSettings(learning_rate=0.1, momentum=0.0))
    next(step)
    assert float(step.send(torch.ones(1, 1, 1)).item()) == pytest.approx(0.4)
    assert float(step.send(torch.ones(1, 1, 1)).item()) == pytest.approx(0.2)  # 0.3 - (0.4 - 0.3)


@pytest.mark.parametrize("method", ["igos+", "igos++"])
def test_the_paper_preset_from_end_to_end_by_hand(method):
    """The whole run again from the written-out formulas: start at one, Nesterov, saliency 1 - M."""
    settings = replace(
        PRESETS["paper"], cells=6, noise=0.0, iterations=3, steps=4, learning_rate=2.0, upsampling="cells"
    )
    score = ToyScore(curved, image_size=IMAGE_SIZE)
    edges = edge_weights(image(), EDGE_SCALE, ONE)
    count = 1 if method == "igos+" else 2
    masks, previous = torch.ones(count, 6, 6), None
    for k in range(3):
        leaf = masks.clone().requires_grad_()
        product = leaf.prod(dim=0)
        if count == 1:
            total = written_out_plus(score, product, 4, 1.0)
        else:
            total = torch.zeros(())
            for i in range(1, 5):
                s = i / 4
                for keep, show in ((leaf[0], leaf[1]), (product, product)):
                    total = total + score.function((s * keep)[None]).sum() / 8
                    total = total - score.function((1 - s * show)[None]).sum() / 8
        total = total + regularization(product, edges, ONE, l1=1.0, l2=0.1 * math.exp(-k), tv=10.0)
        (gradient,) = torch.autograd.grad(total, leaf)
        moved = masks - 2.0 * gradient
        masks = moved if previous is None else moved + k / (k + 5.0) * (moved - previous)
        masks, previous = masks.clamp(0, 1), moved
    expected = 1 - masks.prod(dim=0)
    assert expected.max() > 0
    saliency = METHODS[method].run(score, image(), settings).saliency
    torch.testing.assert_close(saliency, expected / expected.max(), rtol=1e-4, atol=1e-5)


# ---- behavior ----


def test_paper_constants():
    """The published example of use (facts: L1 1, L2 0.1, L3 10, gamma 1, n 10, 5 iterations, momentum 5, lr 10)."""
    paper = PRESETS["paper"]
    assert (paper.cells, paper.iterations, paper.steps) == (32, 5, 10)
    assert (paper.l1, paper.l2, paper.l2_decay, paper.tv, paper.tv_power, EDGE_SCALE) == (1, 0.1, 1, 10, 2, 0.01)
    assert (paper.learning_rate, paper.momentum, paper.noise, paper.upsampling) == (10, 5, 0.2, "corners")


def test_noise_is_fresh_for_every_path_image_and_comes_from_the_seed():
    settings = replace(PRESETS["paper"], iterations=2, steps=3)
    seeds = {}
    for seed in (0, 1):
        score = ToyScore(planted(REGION), image_size=IMAGE_SIZE)
        METHODS["igos+"].run(score, image(), settings, seed=seed)
        assert all(noise is not None and noise.standard_deviation == 0.2 for noise in score.noises)
        seeds[seed] = [value for noise in score.noises for value in noise.seeds]
        assert len(seeds[seed]) == len(set(seeds[seed])) == 12
    assert not set(seeds[0]) & set(seeds[1])


@pytest.mark.parametrize("method", ["igos+", "igos++"])
def test_a_constant_score_gives_a_flat_map_with_the_papers_settings(method):
    result = METHODS[method].run(ToyScore(constant), image(), replace(PRESETS["paper"], noise=0.0))
    assert torch.equal(result.saliency, torch.zeros(32, 32))
    assert result.trace == (0.0,) * 5


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"cells": 0}, "cells must be from 1 to .*, not 0"),
        ({"iterations": 0}, "iterations must be from 1"),
        ({"steps": -1}, "steps must be from 1"),
        ({"learning_rate": 0.0}, "learning rate must be positive"),
        ({"noise": -0.1}, "not negative"),
        ({"tv": -1.0}, "not negative"),
        ({"tv_power": 0.5}, "tv_power must be at least 1"),
        ({"momentum": -1.0}, "momentum not negative"),
    ],
)
def test_settings_out_of_range(change, message):
    with pytest.raises(InputError, match=message):
        replace(PRESETS["paper"], **change)


def test_a_noise_of_zero_is_no_noise():
    score = ToyScore(planted(REGION), image_size=IMAGE_SIZE)
    METHODS["igos+"].run(score, image(), replace(PRESETS["paper"], noise=0.0, iterations=1))
    assert not any(isinstance(noise, Noise) for noise in score.noises)


@pytest.mark.parametrize(("masks", "count"), [(1, 100), (2, 200)])
def test_cost(masks, count):
    assert igos_plus.passes(PRESETS["paper"], (224, 224), masks=masks) == Passes(count, count)


def test_the_trace_falls():
    settings = replace(PRESETS["paper"], noise=0.0, learning_rate=0.1)
    trace = METHODS["igos+"].run(ToyScore(planted(REGION), image_size=IMAGE_SIZE), image(), settings).trace
    assert trace[-1] < trace[0]
