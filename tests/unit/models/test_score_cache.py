"""Tokens of one answer that share what forwards told: the same maps as apart, fewer passes, bounded memory."""

from __future__ import annotations

from copy import copy

import pytest
import torch
from tools.families import build

from wherelook.answer import AnsweredQuestion, ask
from wherelook.attribution import METHODS, make_settings
from wherelook.check import test_picture as make_picture
from wherelook.config import ExplainConfig
from wherelook.models import VisionLanguageModel
from wherelook.models.score_cache import RememberingScore, ScoreMemory
from wherelook.score import Noise, OpensInside, PixelGradient

SETTINGS = {
    "occlusion": {"cells": 12},
    "strips": {"cells": 12},
    "rise": {"masks": 70},
    "gradient-x-input": {},
    "integrated-gradients": {"steps": 5},
    "smoothgrad": {"samples": 4, "of": "gradient-x-input"},
    "guided-igos": {"iterations": 1, "steps": 2, "start_steps": 3, "contexts": 10},
}
FORWARD_ONLY = ("occlusion", "strips", "rise")
FIXED = ("gradient-x-input", "integrated-gradients", "smoothgrad")


@pytest.fixture(scope="module")
def case() -> AnsweredQuestion:
    """In double precision: a sequence that ends later is rounded otherwise."""
    network, processor = build("llava")
    model = VisionLanguageModel(network.double(), processor, batch_size=4)
    config = ExplainConfig(answer="The purple ring is left of the star.", tokens="all", alpha=0.0)
    return ask(model, make_picture((60, 100)), "What color is the ring?", config)


@pytest.fixture(scope="module")
def lost(case) -> list[int]:
    """Positions of three visually grounded tokens."""
    found = [index for index in case.selected if case.relevance.tokens[index].llr > 0.2]
    assert len(found) >= 3
    return found[:3]


def masks(count: int, *, seed: int = 0) -> torch.Tensor:
    return torch.rand(count, 5, 8, generator=torch.Generator().manual_seed(seed))


def run(method: str, case: AnsweredQuestion, score) -> torch.Tensor:
    settings = make_settings(method, "best", SETTINGS[method])
    return METHODS[method].run(score, case.guide, settings, seed=3).saliency


def spent(case: AnsweredQuestion, work) -> tuple[int, int]:
    """Forward and backward passes."""
    before = copy(case.model.cost)
    work()
    return case.model.cost.forward - before.forward, case.model.cost.backward - before.backward


@pytest.mark.parametrize("method", SETTINGS)
def test_maps_of_tokens_are_those_of_separate_runs(case, lost, method):
    memory = ScoreMemory(case.selected_score(), together=lost if METHODS[method].fixed_masks else ())
    whole = run(method, case, memory.select(case.selected))
    assert torch.equal(whole, run(method, case, case.selected_score()))
    for position in lost:
        together = run(method, case, memory.select([position]))
        apart = run(method, case, case.score.select([position]))
        assert together.max() == 1
        torch.testing.assert_close(together, apart, atol=1e-6, rtol=0)


@pytest.mark.parametrize("method", FORWARD_ONLY)
def test_tokens_cost_no_forward_after_the_whole_answer(case, lost, method):
    memory = ScoreMemory(case.selected_score())
    announced = METHODS[method].passes(make_settings(method, "best", SETTINGS[method]), case.image.size)
    assert spent(case, lambda: run(method, case, memory.select(case.selected))) == (announced.forward, 0)
    assert spent(case, lambda: [run(method, case, memory.select([position])) for position in lost]) == (0, 0)


@pytest.mark.parametrize("method", FIXED)
def test_gradients_at_the_same_masks_cost_one_forward_for_all_tokens(case, lost, method):
    memory = ScoreMemory(case.selected_score(), together=lost)
    announced = METHODS[method].passes(make_settings(method, "best", SETTINGS[method]), case.image.size)
    alone = spent(case, lambda: run(method, case, memory.select(case.selected)))
    assert alone == (announced.forward, announced.backward)
    shared = spent(case, lambda: [run(method, case, memory.select([position])) for position in lost])
    assert shared == (announced.forward, announced.backward * len(lost))


def test_what_differs_between_tokens_is_paid_for(case, lost):
    """The optimized masks and the checked peaks; the random masks of the contexts are the same."""
    memory = ScoreMemory(case.selected_score())
    run("guided-igos", case, memory.select(case.selected))
    alone = spent(case, lambda: run("guided-igos", case, case.score.select(lost[:1])))
    shared = spent(case, lambda: run("guided-igos", case, memory.select(lost[:1])))
    assert (alone[0] - shared[0], alone[1] - shared[1]) == (SETTINGS["guided-igos"]["contexts"], 0)


def test_other_masks_are_not_taken_for_known_ones(case, lost):
    memory = ScoreMemory(case.selected_score(), together=lost)
    score, apart = memory.select(lost[:1]), case.score.select(lost[:1])
    given = masks(3)
    for asked in (given, given[:2], given.flip(0), given.reshape(3, 8, 5), given.double().float() + 1e-7, masks(3)):
        torch.testing.assert_close(score(asked), apart(asked), atol=1e-5, rtol=0)
    for noise in (None, Noise(0.1, (1, 2, 3)), Noise(0.1, (1, 2, 4)), Noise(0.1, (1, 2, 3), relative=True)):
        for found, expected in zip(score.gradient(given, noise=noise), apart.gradient(given, noise=noise), strict=True):
            torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)


def test_what_was_returned_can_be_changed_without_harm(case, lost):
    memory = ScoreMemory(case.selected_score(), together=lost)
    score = memory.select(lost[:1])
    for _ in range(3):
        values = score(masks(2))
        assert torch.equal(values, memory.score(masks(2))[:, [memory.score.selected.index(lost[0])]])
        values.zero_()
        _, gradients = score.gradient(masks(2))
        assert gradients.any()
        gradients.zero_()


def test_memory_is_bounded_and_what_does_not_fit_is_computed_again(case, lost):
    tokens = len(case.selected)
    memory = ScoreMemory(case.selected_score(), together=lost, limit=5 * tokens * 4)
    score = memory.select(lost[:1])
    for _ in range(2):
        costs = [spent(case, lambda: score(masks(2, seed=seed)))[0] for seed in range(4)]  # noqa: B023
        assert memory.bytes == 4 * tokens * 4
    assert costs == [0, 0, 2, 2]
    assert spent(case, lambda: score.gradient(masks(2))) == (2, 2 * len(lost))
    assert spent(case, lambda: score.gradient(masks(2))) == (2, 2 * len(lost))
    assert memory.bytes <= memory.limit


def test_the_rest_of_the_score_is_its_own(case, lost):
    score, apart = ScoreMemory(case.selected_score()).select(lost), case.score.select(lost)
    assert isinstance(score, RememberingScore)
    assert isinstance(score, PixelGradient)
    assert isinstance(score, OpensInside)
    assert (score.device, score.canvas, score.cost) == (apart.device, apart.canvas, apart.cost)
    assert torch.equal(score.original, apart.original)
    assert torch.equal(score.baseline, apart.baseline)
    torch.testing.assert_close(score.pixel_gradient((3, 4)), apart.pixel_gradient((3, 4)))
    assert torch.equal(score.inside().attention().predicting, apart.inside().attention().predicting)
    leaf = masks(2).requires_grad_()
    (slope,) = torch.autograd.grad(score(leaf).sum(), leaf)
    assert slope.any()
