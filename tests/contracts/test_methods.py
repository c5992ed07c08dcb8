"""What every attribution method promises, on score functions whose truth is planted."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from toy import PixelScore, ToyScore, additive, constant, planted
from wherelook.attribution import METHODS, make_settings
from wherelook.errors import InputError

IMAGE_SIZE = (60, 90)
INSIDE = [name for name, method in METHODS.items() if method.needs != "-"]
EVERY = [(name, preset) for name in METHODS if name not in INSIDE for preset in METHODS[name].presets]
OPTIMISED = [(method, preset) for method, preset in EVERY if method in ("guided-igos", "igos+", "igos++")]
CONTROLS = ("random", "center", "edges")


def image() -> Tensor:
    return torch.rand(3, *IMAGE_SIZE, generator=torch.Generator().manual_seed(0))


def evidence(top: int, left: int) -> Tensor:
    region = torch.zeros(6, 9)
    region[top : top + 2, left : left + 2] = 1.0
    return region


def run(method: str, preset: str, score: ToyScore, *, seed: int = 0, **options):
    return METHODS[method].run(score, image(), make_settings(method, preset), seed=seed, **options)


@pytest.mark.parametrize(("method", "preset"), OPTIMISED)
@pytest.mark.parametrize("place", [(0, 0), (3, 6), (2, 1)])
def test_the_planted_region_ranks_first(method, preset, place):
    region = evidence(*place)
    saliency = run(method, preset, PixelScore(planted(region), image_size=IMAGE_SIZE)).saliency
    inside = torch.nn.functional.interpolate(region[None, None], size=saliency.shape, mode="nearest-exact")[0, 0] > 0
    order = saliency.flatten().argsort(descending=True)
    ranked_first = inside.flatten()[order[: int(inside.sum())]].float().mean()
    assert inside.flatten()[order[0]]
    assert ranked_first > 0.9  # a Gaussian of 1.5 cells rounds the corners of a rectangle
    assert saliency[inside].mean() > 3 * saliency[~inside].mean()


@pytest.mark.parametrize(("method", "preset"), [run for run in EVERY if run[0] not in CONTROLS])
@pytest.mark.parametrize("place", [(0, 0), (3, 6), (2, 1)])
def test_the_top_of_the_map_lies_in_the_planted_region(method, preset, place):
    region = evidence(*place)
    saliency = run(method, preset, PixelScore(planted(region), image_size=IMAGE_SIZE)).saliency
    inside = torch.nn.functional.interpolate(region[None, None], size=saliency.shape, mode="nearest-exact")[0, 0] > 0
    assert saliency[inside].max() == saliency.max()  # regions are flat inside


@pytest.mark.parametrize(("method", "preset"), EVERY)
def test_the_map_is_a_map(method, preset):
    saliency = run(method, preset, PixelScore(planted(evidence(1, 2)), image_size=IMAGE_SIZE)).saliency
    assert saliency.dtype == torch.float32
    assert saliency.device.type == "cpu"
    assert not saliency.requires_grad
    assert saliency.min() >= 0
    assert saliency.max() <= 1
    if method != "random":
        assert saliency.max() == 1


@pytest.mark.parametrize(("method", "preset"), EVERY)
def test_same_seed_same_bytes(method, preset):
    first, second, other = (
        run(method, preset, PixelScore(planted(evidence(1, 2)), image_size=IMAGE_SIZE), seed=seed).saliency
        for seed in (5, 5, 6)
    )
    assert first.numpy().tobytes() == second.numpy().tobytes()
    draws = method in ("random", "rise") or getattr(make_settings(method, preset), "noise", 0) > 0
    assert torch.equal(first, other) is not draws


@pytest.mark.parametrize(("method", "preset"), EVERY)
def test_the_announced_passes_are_the_counted_ones(method, preset):
    score = PixelScore(planted(evidence(1, 2)), image_size=IMAGE_SIZE)
    run(method, preset, score)
    settings = make_settings(method, preset)
    announced = METHODS[method].passes(settings, IMAGE_SIZE)
    assert score.cost.backward == announced.backward
    assert score.cost.forward <= announced.forward  # a search may end early


@pytest.mark.parametrize(("method", "preset"), EVERY)
def test_masks_given_to_the_model_are_between_zero_and_one(method, preset):
    score = PixelScore(planted(evidence(1, 2)), image_size=IMAGE_SIZE)
    run(method, preset, score)
    assert all(masks.min() >= 0 and masks.max() <= 1 for masks in score.asked)


@pytest.mark.parametrize(("method", "preset"), EVERY)
def test_nothing_that_was_given_is_changed(method, preset):
    picture, settings = image(), make_settings(method, preset)
    score = PixelScore(planted(evidence(1, 2)), image_size=IMAGE_SIZE)
    ends = score.original.clone(), score.baseline.clone()
    METHODS[method].run(score, picture, settings)
    assert torch.equal(picture, image())
    assert settings == make_settings(method, preset)
    assert torch.equal(score.original, ends[0])
    assert torch.equal(score.baseline, ends[1])


@pytest.mark.parametrize(("method", "preset"), OPTIMISED)
def test_progress_is_told_after_every_iteration(method, preset):
    calls = []
    run(
        method, preset, PixelScore(planted(evidence(1, 2)), image_size=IMAGE_SIZE),
        progress=lambda *arguments: calls.append(arguments),
    )  # fmt: skip
    count = make_settings(method, preset).iterations
    assert calls == [("optimize", index, count) for index in range(1, count + 1)]


@pytest.mark.parametrize(("method", "preset"), OPTIMISED)
def test_a_score_that_ignores_the_mask_gives_no_picture(method, preset):
    """Nothing may be drawn from nothing: a flat map, or, where the objective is divided by the gap, a clear refusal."""
    settings = make_settings(method, preset, {"noise": 0} if method != "guided-igos" else {})
    score = PixelScore(constant, image_size=IMAGE_SIZE)
    if method == "guided-igos":
        with pytest.raises(InputError, match="nothing to optimize"):
            METHODS[method].run(score, image(), settings)
    else:
        assert not METHODS[method].run(score, image(), settings).saliency.any()


@pytest.mark.parametrize(("method", "preset"), OPTIMISED)
def test_gradients_switched_off_outside_do_not_matter(method, preset):
    with torch.no_grad():
        quiet = run(method, preset, PixelScore(planted(evidence(1, 2)), image_size=IMAGE_SIZE)).saliency
    assert torch.equal(quiet, run(method, preset, PixelScore(planted(evidence(1, 2)), image_size=IMAGE_SIZE)).saliency)


@pytest.mark.parametrize(("method", "preset"), OPTIMISED)
@pytest.mark.parametrize("size", [(1, 1), (1, 50), (300, 7)])
def test_images_of_any_shape(method, preset, size):
    score = PixelScore(additive(torch.ones(1, 1)), image_size=size)
    picture = torch.rand(3, *size, generator=torch.Generator().manual_seed(1))
    saliency = METHODS[method].run(score, picture, make_settings(method, preset)).saliency
    assert torch.isfinite(saliency).all()


def test_controls_know_nothing_of_the_model():
    for method in ("random", "center"):
        first, second = (
            run(method, "best", PixelScore(function, image_size=IMAGE_SIZE)).saliency
            for function in (planted(evidence(0, 0)), constant)
        )
        assert torch.equal(first, second)
    center = run("center", "best", PixelScore(constant)).saliency
    torch.testing.assert_close(center, center.flip(0))
    torch.testing.assert_close(center, center.T)
    assert center[13:15, 13:15].min() == center.max() == 1


@pytest.mark.parametrize("method", INSIDE)
def test_what_needs_the_models_inside_says_so(method):
    with pytest.raises(InputError, match=r"inside .*methods that work on any model: guided-igos"):
        run(method, "best", ToyScore(planted(evidence(1, 2)), image_size=IMAGE_SIZE))


# ---- settings by name ----


def test_settings_are_read_from_text():
    settings = make_settings("igos+", "paper", {"iterations": "7", "tv": "0.5", "upsampling": "cells", "l1": 2})
    assert (settings.iterations, settings.tv, settings.upsampling, settings.l1) == (7, 0.5, "cells", 2)
    assert settings.steps == make_settings("igos+", "paper").steps
    assert make_settings("guided-igos", "fast", {"rest_shown": "yes"}).rest_shown is True


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("igos-",), r"unknown method 'igos-'; valid: guided-igos, igos\+, igos\+\+, igos, gradient, "),
        (("guided-igos", "good"), "unknown preset of guided-igos 'good'; valid: best, fast"),
        (("igos+", "fast"), r"igos\+:fast of earlier versions is called guided-igos:fast"),
        (("igos+", "paper", {"step": 3}), r"unknown setting of igos\+ 'step'; valid: cells, iterations, steps"),
        (("igos+", "paper", {"steps": "many"}), "setting steps='many' is not a whole number"),
        (("igos+", "paper", {"steps": "2.5"}), "setting steps='2.5' is not a whole number"),
        (("igos+", "paper", {"tv": "x"}), "setting tv='x' is not a number"),
        (("igos+", "paper", {"tv": "nan"}), "setting tv='nan' is not a finite number"),
        (("igos+", "paper", {"tv": "inf"}), "setting tv='inf' is not a finite number"),
        (("igos+", "paper", {"upsampling": "none"}), "unknown value of upsampling 'none'; valid: corners, cells"),
        (("igos+", "paper", {"cells": "0"}), "cells must be from 1 to .*, not 0"),
        (("guided-igos", "best", {"rest_shown": "maybe"}), "setting rest_shown='maybe' is not true or false"),
        (("random", "best", {"cells": "-3"}), "cells must be from 1 to .*, not -3"),
        (("random", "best", {"steps": "3"}), "unknown setting of random 'steps'; valid: cells"),
    ],
)
def test_settings_that_cannot_be(arguments, message):
    with pytest.raises(InputError, match=message):
        make_settings(*arguments)
