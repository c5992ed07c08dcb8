"""iGOS+ and iGOS++: the objective and its gradient written out independently, the steps, the planted truth."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from scipy.ndimage import gaussian_filter
from torch import Tensor
from torch.nn import functional

from toy import ToyScore, constant, planted
from wherelook.attribution import METHODS, igos_plus
from wherelook.attribution.gradients import integrated_gradient
from wherelook.attribution.igos_plus import PRESETS, IgosSettings, mask_size, regularization
from wherelook.attribution.refinement import rank_rest
from wherelook.attribution.total_variation import edge_weights
from wherelook.canvas import Canvas
from wherelook.errors import InputError
from wherelook.score import Noise, Passes

IMAGE_SIZE = (48, 64)
ONE = Canvas((IMAGE_SIZE,))
REGION = torch.zeros(6, 8)
REGION[1:3, 5:7] = 1.0


def image(height: int = 48, width: int = 64) -> Tensor:
    """Smooth colours with one sharp vertical edge."""
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
    picture[:, 0, 1] = 0.1  # differs by 0.1 from its neighbours
    settings = IgosSettings(l1=2.0, l2=3.0, l2_decay=0.5, tv=4.0, tv_power=2.0, edge_scale=0.01)
    vertical, horizontal = edge_weights(picture, settings.edge_scale, ONE)
    edge = math.exp(-1)
    torch.testing.assert_close(vertical, torch.tensor([[1.0, edge]]))
    torch.testing.assert_close(horizontal, torch.tensor([[edge], [1.0]]))
    plain = (0.25**2 + 0.5**2) / 2 + (0.5**2 + 0.75**2) / 2
    weighted = (0.25**2 + edge * 0.5**2) / 2 + (edge * 0.5**2 + 0.75**2) / 2
    for iteration in (0, 3):
        expected = (
            2.0 * (0 + 0.5 + 0.25 + 1.0) / 4
            + 3.0 * math.exp(-0.5 * iteration) * (0.5**2 + 0.25**2 + 1.0)
            + 4.0 * (plain + weighted) / 2
        )
        value = regularization(mask, (vertical, horizontal), settings, iteration, ONE)
        assert float(value) == pytest.approx(expected, rel=1e-6)


def test_total_variation_takes_its_power_and_a_full_mask_costs_nothing():
    settings = IgosSettings(l1=0, l2=0, tv=1.0, tv_power=3.0)
    flat_image = edge_weights(torch.zeros(3, 2, 2), 0.01, ONE)
    mask = torch.tensor([[1.0, 0.5], [1.0, 0.5]])
    assert float(regularization(mask, flat_image, settings, 0, ONE)) == pytest.approx(0.5**3)
    assert float(regularization(torch.ones(4, 4), flat_image, PRESETS["paper"], 0, ONE)) == 0


def test_edges_make_variation_cheap_only_where_they_are():
    """The same step in the mask, on the image's edge and beside it."""
    settings = IgosSettings(l1=0, l2=0, tv=1.0)
    edges = edge_weights(image(32, 32)[[2, 2, 2]], settings.edge_scale, ONE)
    on, beside = torch.ones(32, 32), torch.ones(32, 32)
    on[:, :16] = 0
    beside[:, :8] = 0
    plain = 32 / (32 * 31)
    assert float(regularization(on, edges, settings, 0, ONE)) == pytest.approx(plain / 2, rel=1e-4)
    assert float(regularization(beside, edges, settings, 0, ONE)) == pytest.approx(plain, rel=1e-4)


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (700, 3)])
def test_tiny_and_thin_images_have_finite_regularisation(size):
    edges = edge_weights(torch.rand(3, *size, generator=torch.Generator().manual_seed(0)), 0.01, ONE)
    for cells in ((1, 1), (1, 9), (32, 32)):
        mask = torch.rand(cells, generator=torch.Generator().manual_seed(1), requires_grad=True)
        value = regularization(mask, edges, PRESETS["paper"], 0, ONE)
        (gradient,) = torch.autograd.grad(value, mask)
        assert torch.isfinite(gradient).all()


# ---- the objective, written out again ----


def written_out_plus(score, mask: Tensor, steps: int, scale: float) -> Tensor:
    """mean over s of F(Phi(sM)) - F(Phi(1 - sM)): its gradient is the one that the method must follow."""
    total = torch.zeros(())
    for k in range(1, steps + 1):
        s = k / steps
        total = total + score.function((s * mask)[None]).sum() - score.function((1 - s * mask)[None]).sum()
    return total / steps / scale


def test_gradient_of_igos_plus_is_autograd_of_the_formula():
    settings = replace(PRESETS["paper"], steps=7, noise=0.0, upsampling="cells")
    score = ToyScore(curved, image_size=IMAGE_SIZE)
    objective = igos_plus._Objective(score, image(), settings, 2.5, igos_plus._seeds(0))
    mask = torch.rand(5, 6, generator=torch.Generator().manual_seed(3), requires_grad=True)
    expected = written_out_plus(score, mask, 7, 2.5) + regularization(mask, objective.edges, settings, 2, ONE)
    (wanted,) = torch.autograd.grad(expected, mask)
    value, gradient = objective(mask.detach()[None], 2)
    torch.testing.assert_close(gradient[0], wanted, rtol=1e-4, atol=1e-6)
    # The value that is traced is the objective itself, not its mean over the path.
    end = (score.function(mask.detach()[None]).sum() - score.function(1 - mask.detach()[None]).sum()) / 2.5
    end = end + regularization(mask.detach(), objective.edges, settings, 2, ONE)
    assert value == pytest.approx(float(end), rel=1e-5)


def test_gradient_of_igos_plus_plus_is_autograd_of_the_formula():
    """[F(Mx) - F(1-My) + F(Mx My) - F(1 - Mx My)] / 2, each a mean over its own path s M; product rule included."""
    settings = replace(PRESETS["paper"], steps=6, noise=0.0, upsampling="cells")
    score = ToyScore(curved, image_size=IMAGE_SIZE)
    objective = igos_plus._Objective(score, image(), settings, 1.5, igos_plus._seeds(0))
    masks = torch.rand(2, 5, 6, generator=torch.Generator().manual_seed(4), requires_grad=True)
    keep, show = masks
    total = torch.zeros(())
    for k in range(1, 7):
        s = k / 6
        total = total + score.function((s * keep)[None]).sum() - score.function((1 - s * show)[None]).sum()
        total = (
            total + score.function((s * keep * show)[None]).sum() - score.function((1 - s * keep * show)[None]).sum()
        )
    expected = total / 6 / 2 / 1.5 + regularization(keep * show, objective.edges, settings, 1, ONE)
    (wanted,) = torch.autograd.grad(expected, masks)
    value, gradient = objective(masks.detach(), 1)
    torch.testing.assert_close(gradient, wanted, rtol=1e-4, atol=1e-6)
    with torch.no_grad():
        ends = [score.function(m[None]).sum() for m in (keep, 1 - show, keep * show, 1 - keep * show)]
        end = (ends[0] - ends[1] + ends[2] - ends[3]) / 2 / 1.5
        end = end + regularization(keep * show, objective.edges, settings, 1, ONE)
    assert value == pytest.approx(float(end), rel=1e-5)


# ---- the steps ----


def test_nesterov_steps_by_hand():
    """y = M - lr g;  M' = clamp(y + e (y - y_before), 0, 1);  e = k / (k + momentum)."""
    generator = torch.Generator().manual_seed(5)
    state = torch.rand(1, 3, 4, generator=generator)
    gradients = torch.randn(6, 1, 3, 4, generator=generator) * 0.2
    step = igos_plus._nesterov(state, IgosSettings(learning_rate=0.5, momentum=3.0))
    next(step)
    mask, previous = state.clone(), None
    for k, gradient in enumerate(gradients):
        moved = mask - 0.5 * gradient
        mask = moved if previous is None else moved + k / (k + 3.0) * (moved - previous)
        mask, previous = mask.clamp(0, 1), moved
        torch.testing.assert_close(step.send(gradient), mask)


def test_momentum_of_zero_is_one_from_the_second_step_on():
    step = igos_plus._nesterov(torch.full((1, 1, 1), 0.5), IgosSettings(learning_rate=0.1, momentum=0.0))
    next(step)
    assert float(step.send(torch.ones(1, 1, 1)).item()) == pytest.approx(0.4)
    assert float(step.send(torch.ones(1, 1, 1)).item()) == pytest.approx(0.2)  # 0.3 - (0.4 - 0.3)


def test_adam_steps_are_those_of_torch():
    generator = torch.Generator().manual_seed(6)
    state = 0.4 + 0.2 * torch.rand(2, 3, 4, generator=generator)
    gradients = torch.randn(5, 2, 3, 4, generator=generator)
    step = igos_plus._adam(state, IgosSettings(learning_rate=0.01, update="adam"))
    next(step)
    parameter = state.clone().requires_grad_()
    reference = torch.optim.Adam([parameter], lr=0.01, eps=1e-12)
    for gradient in gradients:
        parameter.grad = gradient.clone()
        reference.step()
        torch.testing.assert_close(step.send(gradient), parameter.detach())


@pytest.mark.parametrize("method", ["igos+", "igos++"])
def test_the_paper_preset_from_end_to_end_by_hand(method):
    """The whole run again from the written-out formulas: start at one, Nesterov, saliency 1 - M."""
    settings = replace(
        PRESETS["paper"], cells=6, noise=0.0, iterations=3, steps=4, learning_rate=2.0, upsampling="cells"
    )
    score = ToyScore(curved, image_size=IMAGE_SIZE)
    edges = edge_weights(image(), settings.edge_scale, ONE)
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
        total = total + regularization(product, edges, settings, k, ONE)
        (gradient,) = torch.autograd.grad(total, leaf)
        moved = masks - 2.0 * gradient
        masks = moved if previous is None else moved + k / (k + 5.0) * (moved - previous)
        masks, previous = masks.clamp(0, 1), moved
    expected = 1 - masks.prod(dim=0)
    assert expected.max() > 0
    saliency = METHODS[method].run(score, image(), settings).saliency
    torch.testing.assert_close(saliency, expected / expected.max(), rtol=1e-4, atol=1e-5)


def test_average_sharpen_smooth_and_center_follow_their_definitions():
    """With one iteration the average is the result; the start gradient multiplies it, a Gaussian comes last."""
    score = ToyScore(planted(REGION), image_size=IMAGE_SIZE)
    base = replace(PRESETS["best"], iterations=1, sharpen=0.0, smooth=0.0, center=0.0, contexts=0, verify=0, rest=0)
    plain = METHODS["igos+"].run(score, image(), replace(base, average=False)).saliency
    averaged = METHODS["igos+"].run(score, image(), replace(base, average=True)).saliency
    torch.testing.assert_close(plain, averaged)
    size = mask_size(base, IMAGE_SIZE)
    slope = integrated_gradient(score, size, base.start_steps).clamp_min(0)
    sharp = METHODS["igos+"].run(score, image(), replace(base, sharpen=2.0)).saliency
    expected = plain * (slope / slope.max()).square()
    torch.testing.assert_close(sharp, expected / expected.max(), rtol=1e-4, atol=1e-6)
    smooth = METHODS["igos+"].run(score, image(), replace(base, smooth=1.5)).saliency
    blurred = torch.from_numpy(gaussian_filter(plain.double().numpy(), 1.5, mode="nearest")).float()
    torch.testing.assert_close(smooth, blurred / blurred.max(), rtol=1e-4, atol=1e-6)
    centered = METHODS["igos+"].run(score, image(), replace(base, smooth=1.5, center=3.0)).saliency
    product = blurred * torch.from_numpy(gaussian_filter(plain.double().numpy(), 3.0, mode="nearest")).float()
    torch.testing.assert_close(centered, product / product.max(), rtol=1e-4, atol=1e-6)


# ---- behaviour ----


def test_paper_constants():
    """The published example of use (facts: L1 1, L2 0.1, L3 10, gamma 1, n 10, 5 iterations, momentum 5, lr 10)."""
    paper = PRESETS["paper"]
    assert (paper.cells, paper.square, paper.iterations, paper.steps) == (32, True, 5, 10)
    assert (paper.l1, paper.l2, paper.l2_decay, paper.tv, paper.tv_power, paper.edge_scale) == (1, 0.1, 1, 10, 2, 0.01)
    assert (paper.learning_rate, paper.momentum, paper.noise) == (10, 5, 0.2)
    assert (paper.relative, paper.update, paper.start, paper.average, paper.sharpen) == (
        False, "nesterov", "ones", False, 0,
    )  # fmt: skip


def test_without_iterations_the_start_is_the_map():
    score = ToyScore(planted(REGION), image_size=IMAGE_SIZE)
    settings = replace(PRESETS["fast"], iterations=0, smooth=0.0, center=0.0, verify=0, rest=0)
    result = METHODS["igos+"].run(score, image(), settings)
    slope = integrated_gradient(score, mask_size(settings, IMAGE_SIZE), settings.start_steps).clamp_min(0)
    torch.testing.assert_close(result.saliency, slope / slope.max())
    assert result.trace == ()


def test_a_start_that_holds_the_answer_is_not_optimised():
    """The planted region alone brings everything back: the map is the start, three forward passes dearer."""
    score = ToyScore(planted(REGION), image_size=IMAGE_SIZE)
    settings = replace(PRESETS["fast"], verify=0, rest=0)
    start = METHODS["igos+"].run(score, image(), replace(settings, iterations=0))
    before = score.cost.forward, score.cost.backward
    easy = METHODS["igos+"].run(score, image(), replace(settings, enough=0.9))
    assert torch.equal(easy.saliency, start.saliency)
    assert easy.trace == ()
    start_passes = settings.start_steps + 1
    assert (score.cost.forward - before[0], score.cost.backward - before[1]) == (start_passes + 3, start_passes)


def test_a_start_that_does_not_hold_the_answer_is_optimised():
    """Every cell counts the same: what is shown of the image is what it brings back, an eighth or more."""
    score = ToyScore(lambda masks: masks.mean(dim=(1, 2))[:, None], image_size=IMAGE_SIZE)
    settings = replace(PRESETS["fast"], verify=0, rest=0)
    plain = METHODS["igos+"].run(score, image(), settings)
    for enough, optimised in ((0.5, True), (0.1, False)):
        found = METHODS["igos+"].run(score, image(), replace(settings, enough=enough))
        assert bool(found.trace) == optimised
        if optimised:
            assert torch.equal(found.saliency, plain.saliency)


@pytest.mark.parametrize(("lost", "expected"), [((0.9, 1.0), True), ((0.4, 0.6), False), ((0.2, 0.3), False)])
def test_a_start_is_not_enough_where_more_of_it_takes_the_answer_away(lost, expected):
    """The answer is there with at least a tenth of the image, but for a range of shares in which it is gone again."""

    def function(masks: Tensor) -> Tensor:
        shown = masks.mean(dim=(1, 2))
        return ((shown >= 0.1) & ~((shown > lost[0]) & (shown < lost[1]))).float()[:, None]

    score = ToyScore(function, image_size=IMAGE_SIZE)
    start = torch.arange(1.0, 6 * 8 + 1).reshape(6, 8)
    settings = replace(PRESETS["fast"], smooth=0.0, center=0.0, enough=0.9)
    assert igos_plus._is_enough(score, start, settings) == expected


def test_the_rest_is_ranked_last_of_all():
    score = ToyScore(planted(REGION), image_size=IMAGE_SIZE)
    settings = replace(PRESETS["fast"], rest=3, rest_shown=True)
    bare = METHODS["igos+"].run(score, image(), replace(settings, rest=0)).saliency
    found = METHODS["igos+"].run(score, image(), settings).saliency
    assert torch.equal(found, rank_rest(score, bare, steps=3, shown=True))
    assert not torch.equal(found, bare)


@pytest.mark.parametrize(
    "change", [{"rest": 2}, {"verify": 2}, {"relative": True}, {"enough": 0.5, "start": "gradient"}]
)
def test_without_a_gap_what_is_measured_in_its_shares_is_refused(change):
    score = ToyScore(lambda masks: -masks.mean(dim=(1, 2))[:, None], image_size=IMAGE_SIZE)
    with pytest.raises(InputError, match="not less likely with the baseline"):
        METHODS["igos+"].run(score, image(), replace(PRESETS["paper"], **change))


def test_fast_costs_at_most_a_quarter_of_best():
    for masks, paper in ((1, 100), (2, 200)):
        passes = {name: igos_plus.passes(settings, (224, 224), masks=masks) for name, settings in PRESETS.items()}
        assert 4 * passes["fast"].backward <= passes["best"].backward
        assert passes["paper"] == Passes(paper, paper)
    assert igos_plus.passes(PRESETS["best"], (224, 224), masks=1).forward <= 200
    assert igos_plus.passes(PRESETS["fast"], (224, 224), masks=1).forward <= 40


@pytest.mark.parametrize(("size", "square", "expected"), [
    ((300, 300), False, (28, 28)), ((100, 400), False, (14, 56)), ((400, 100), False, (56, 14)),
    ((1, 4000), False, (1, 1771)), ((100, 400), True, (28, 28)),
])  # fmt: skip
def test_mask_size(size, square, expected):
    assert mask_size(IgosSettings(cells=28, square=square), size) == expected


@pytest.mark.parametrize("relative", [False, True])
def test_weights_mean_the_same_for_every_answer_only_when_relative(relative):
    """Twice the tokens, or twice the gap: the same map if the objective is divided by the gap."""
    settings = replace(PRESETS["paper"], relative=relative, noise=0.0)
    once = METHODS["igos+"].run(ToyScore(planted(REGION, depth=2.0), image_size=IMAGE_SIZE), image(), settings)
    twice = METHODS["igos+"].run(ToyScore(planted(REGION, depth=4.0), image_size=IMAGE_SIZE), image(), settings)
    same = torch.allclose(once.saliency, twice.saliency, atol=1e-4)
    assert same is relative


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


def test_no_gap_cannot_be_divided_by():
    with pytest.raises(InputError, match="not less likely with the baseline image"):
        METHODS["igos+"].run(ToyScore(constant), image(), PRESETS["best"])


@pytest.mark.parametrize("method", ["igos+", "igos++"])
def test_a_constant_score_gives_a_flat_map_with_the_papers_settings(method):
    result = METHODS[method].run(ToyScore(constant), image(), replace(PRESETS["paper"], noise=0.0))
    assert torch.equal(result.saliency, torch.zeros(32, 32))
    assert result.trace == (0.0,) * 5


def test_the_trace_falls():
    score = ToyScore(planted(REGION), image_size=IMAGE_SIZE)
    trace = METHODS["igos+"].run(score, image(), replace(PRESETS["best"], start="ones")).trace
    assert trace[-1] < trace[0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"cells": 0}, "cells must be from 1 to .*, not 0"),
        ({"iterations": -1}, "iterations must be from 0"),
        ({"steps": -1}, "steps must be from 1"),
        ({"learning_rate": 0.0}, "learning rate must be positive"),
        ({"noise": -0.1}, "not negative"),
        ({"tv": -1.0}, "not negative"),
        ({"edge_scale": 0.0}, "edge_scale must be positive"),
        ({"tv_power": 0.5}, "tv_power at least 1"),
        ({"momentum": -1.0}, "momentum not negative"),
        ({"rest": -1}, "rest must be from 0"),
        ({"iterations": 0, "start": "ones"}, "must start from the gradient"),
    ],
)
def test_settings_out_of_range(change, message):
    with pytest.raises(InputError, match=message):
        replace(PRESETS["best"], **change)


def test_a_noise_of_zero_is_no_noise():
    score = ToyScore(planted(REGION), image_size=IMAGE_SIZE)
    METHODS["igos+"].run(score, image(), PRESETS["best"])
    assert PRESETS["best"].noise == 0
    assert not any(isinstance(noise, Noise) for noise in score.noises)
