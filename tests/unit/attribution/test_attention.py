"""Methods that read inside the model: closed forms on a model written down by hand, then on a tiny real one."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
from PIL import Image
from tools.families import build
from torch import Tensor

from toy import ToyScore, constant
from wherelook.attribution import attention, grad_cam, logit_lens
from wherelook.attribution.attention import (
    GENERAL_QUESTION,
    InsideSettings,
    LayerSettings,
    propagate,
    roll_out,
)
from wherelook.attribution.grad_cam import GradCamSettings
from wherelook.attribution.logit_lens import LensSettings, rank_filter, remove_interference
from wherelook.baselines import make_baseline
from wherelook.canvas import map_size
from wherelook.errors import InputError
from wherelook.models import VisionLanguageModel
from wherelook.score import Attention, ImageTokens, Passes, Readout, States

METHODS = {
    "attention": (attention.attention, InsideSettings(cells=2), Passes(1)),
    "rollout": (attention.rollout, InsideSettings(cells=2), Passes(1)),
    "relative-attention": (attention.relative_attention, LayerSettings(cells=2), Passes(6)),
    "relevancy": (attention.relevancy, InsideSettings(cells=2), Passes(1, 1)),
    "grad-cam": (grad_cam.grad_cam, GradCamSettings(cells=2), Passes(1, 1)),
    "logit-lens": (logit_lens.logit_lens, LensSettings(cells=2), Passes(1)),
}
PICTURE = torch.zeros(3, 8, 8)

# Five positions: a begin token, three image tokens, the question, which predicts the one token of the answer.
FIRST = torch.tensor(
    [
        [1.0, 0.0, 0.0, 0.0, 0.0],
        [0.5, 0.5, 0.0, 0.0, 0.0],
        [0.0, 1.0, 0.0, 0.0, 0.0],
        [0.0, 0.0, 0.0, 1.0, 0.0],
        [0.2, 0.1, 0.4, 0.3, 0.0],
    ]
)
SECOND = torch.eye(5)
SECOND[4] = torch.tensor([0.0, 0.0, 0.6, 0.0, 0.4])
GENERAL = torch.eye(5)
GENERAL[4] = torch.tensor([0.5, 0.1, 0.2, 0.1, 0.1])


@dataclass
class WrittenInside:
    """A `ModelInside` of known numbers: image token k stands for one cell of a 2 x 2 grid; the last cell has none."""

    asked: list[object] = field(default_factory=list)

    def image_tokens(self, grid: tuple[int, int]) -> ImageTokens:
        assert grid == (2, 2)
        weights = torch.zeros(3, 2, 2)
        weights[0, 0, 0] = weights[1, 0, 1] = weights[2, 1, 0] = 1.0
        return ImageTokens(torch.tensor([1, 2, 3]), weights)

    def attention(self, *, weighted: bool = False, question: str | None = None) -> Attention:
        self.asked.append((weighted, question))
        layers = torch.stack([GENERAL, GENERAL] if question else [FIRST, SECOND])
        return Attention(layers, torch.tensor([4]), 0.0 if question else 0.002)

    def states(self, depth: float, positions: Tensor) -> States:
        self.asked.append(depth)
        values = torch.tensor([[1.0, 0.0], [0.0, 2.0], [3.0, 3.0]])
        return States(values, torch.tensor([[3.0, -1.0], [0.0, -1.0], [0.0, -1.0]]))

    def readout(self, depth: float, positions: Tensor) -> Readout:
        self.asked.append(depth)
        return Readout(torch.tensor([[1.0, 1.0, 0.0], [3.0, 1.0, 2.0]]), (7, 9), (1,))


class WrittenScore(ToyScore):
    def __init__(self) -> None:
        super().__init__(constant, image_size=(8, 8))
        self.written = WrittenInside()

    def inside(self) -> WrittenInside:
        return self.written


def run(name: str, **settings: object) -> tuple[Tensor, WrittenScore]:
    method, defaults, _ = METHODS[name]
    score = WrittenScore()
    return method(score, PICTURE, type(defaults)(cells=2, **settings)).saliency, score


# ---- closed forms ----


def test_attention_is_the_mean_over_layers():
    """(0.1, 0.4 + 0.6, 0.3) / 2, the largest scaled to 1; nothing where no token is."""
    saliency, _ = run("attention")
    torch.testing.assert_close(saliency, torch.tensor([[0.1, 1.0], [0.3, 0.0]]))


def test_relative_attention_is_a_quotient():
    """(0.1, 0.4, 0.3) / (0.1, 0.2, 0.1) = (1, 2, 3) in the first layer, (0, 3, 0) in the second."""
    first, score = run("relative-attention", depth=0.0)
    torch.testing.assert_close(first, torch.tensor([[1.0, 2.0], [3.0, 0.0]]) / 3)
    assert score.written.asked == [(False, None), (False, GENERAL_QUESTION)]
    torch.testing.assert_close(run("relative-attention", depth=0.5)[0], torch.tensor([[0.0, 1.0], [0.0, 0.0]]))
    mean = torch.tensor([[0.05 / 0.1, 0.5 / 0.2], [0.15 / 0.1, 0.0]])
    torch.testing.assert_close(run("relative-attention", depth=-1)[0], mean / mean.max())


def test_rollout_is_the_product_of_matrices():
    layers = torch.stack([FIRST, SECOND])
    expected = (SECOND + torch.eye(5)) / 2 @ ((FIRST + torch.eye(5)) / 2)
    queries = torch.tensor([4, 2])
    torch.testing.assert_close(roll_out(layers, queries), expected[queries])
    torch.testing.assert_close(roll_out(layers, queries).sum(dim=1), torch.ones(2))
    row = expected[4, 1:4]
    saliency, _ = run("rollout")
    torch.testing.assert_close(saliency, torch.tensor([[row[0], row[1]], [row[2], 0.0]]) / row.max())


def test_relevancy_is_the_product_of_matrices():
    """By hand: the row (0, 0, 0.6, 0, 1.4) of 1 + C_2 times 1 + C_1."""
    layers = torch.stack([FIRST, SECOND])
    expected = (torch.eye(5) + SECOND) @ (torch.eye(5) + FIRST)
    torch.testing.assert_close(propagate(layers, torch.tensor([4])), expected[[4]])
    by_hand = torch.tensor([1.4 * 0.1 + 0.6, 0.6 + 1.4 * 0.4, 1.4 * 0.3])
    torch.testing.assert_close(expected[4, 1:4], by_hand)
    saliency, score = run("relevancy")
    torch.testing.assert_close(saliency, torch.tensor([[0.74, 1.16], [0.42, 0.0]]) / 1.16)
    assert score.written.asked == [(True, None)]


def test_grad_cam_weighs_channels_by_their_mean_gradient():
    """Weights (1, -1): token values 1, -2 and 0, of which the positive part is drawn."""
    saliency, score = run("grad-cam", depth=0.25)
    torch.testing.assert_close(saliency, torch.tensor([[1.0, 0.0], [0.0, 0.0]]))
    assert score.written.asked == [0.25]


def test_the_logit_lens_takes_interference_away():
    """(3, 1, 2) less (1, 1, 0) times (3 + 1) / 2: (1, -1, 2)."""
    saliency, _ = run("logit-lens", window=1)
    torch.testing.assert_close(saliency, torch.tensor([[0.5, 0.0], [1.0, 0.0]]))
    saliency, _ = run("logit-lens", window=1, interference=False)
    torch.testing.assert_close(saliency, torch.tensor([[3.0, 1.0], [2.0, 0.0]]) / 3)


def test_interference_counts_every_other_word_once():
    values, earlier = torch.tensor([2.0, 0.0]), torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [9.0, 9.0]])
    # Of the ids 5, 5, 6 and 8 the second 5 is a repetition and 8 the token itself: the mean is (0.5, 0.5), its scale 2.
    torch.testing.assert_close(remove_interference(values, earlier, (5, 5, 6, 8), 8), torch.tensor([1.0, -1.0]))
    for rows, ids in ((earlier[:0], ()), (earlier[3:], (8,)), (torch.zeros(1, 2), (5,)), (-earlier[:1], (5,))):
        assert torch.equal(remove_interference(values, rows, ids, 8), values)


def test_the_rank_filter_drops_outliers_and_keeps_planes():
    outlier = torch.zeros(5, 5)
    outlier[2, 2] = 100.0
    assert rank_filter(outlier, 3).max() < 1
    assert torch.equal(rank_filter(outlier, 1), outlier)
    plane = torch.arange(25.0).reshape(5, 5)
    torch.testing.assert_close(rank_filter(plane, 3)[1:-1, 1:-1], plane[1:-1, 1:-1])


def test_painting_is_a_mean_in_which_finer_tokens_count_more():
    """A thumbnail's token over two cells and a tile's over one of them: shares 1/2 and 1."""
    tokens = ImageTokens(torch.tensor([0, 1]), torch.tensor([[[0.5, 0.5, 0.0]], [[1.0, 0.0, 0.0]]]))
    torch.testing.assert_close(tokens.paint(torch.tensor([3.0, 6.0])), torch.tensor([[5.0, 3.0, 0.0]]))


# ---- what all promise ----


@pytest.mark.parametrize("name", METHODS)
def test_a_score_that_does_not_open_its_model_is_refused(name):
    method, settings, _ = METHODS[name]
    with pytest.raises(InputError, match=r"inside the model, which this model does not offer; .* igos"):
        method(ToyScore(constant), PICTURE, settings)


@pytest.mark.parametrize("name", ["attention", "rollout", "relative-attention", "relevancy"])
def test_the_difference_of_eager_attention_is_noted(name):
    method, settings, _ = METHODS[name]
    (note,) = method(WrittenScore(), PICTURE, settings).notes
    assert "moved the answer's log-probabilities by 0.002 nats at most" in note


@pytest.mark.parametrize(
    ("kind", "values", "message"),
    [
        (InsideSettings, {"cells": 0}, "cells must be from 1 to 128, not 0"),
        (LayerSettings, {"depth": 1.0}, "depth must be at least 0 and below 1, or -1"),
        (GradCamSettings, {"depth": 1.0}, "depth must be at least 0 and below 1, not 1.0"),
        (LensSettings, {"depth": 1.1}, "depth must be from 0 to 1, not 1.1"),
        (LensSettings, {"window": 4}, "window must be odd, from 1 to 15, not 4"),
    ],
)
def test_settings_out_of_range(kind, values, message):
    with pytest.raises(InputError, match=message):
        kind(**values)


# ---- a tiny LLaVA ----


@pytest.fixture(scope="module")
def model() -> VisionLanguageModel:
    return VisionLanguageModel(*build("llava"))


def make_score(model: VisionLanguageModel):
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 64, 3), dtype=np.uint8))
    prompt = model.encode(picture, "What color is the ring?")
    baseline = Image.fromarray(make_baseline("mean", np.asarray(picture)))
    return model.score(prompt, baseline, model.tokenize_answer(prompt, "The ring is green.")).select([1, 2])


@pytest.mark.parametrize("name", METHODS)
def test_a_map_of_the_announced_cost_and_the_same_bytes_again(model, name):
    method, settings, extra = METHODS[name]
    settings = type(settings)(cells=6)
    maps = []
    for seed in (0, 1):
        score = make_score(model)
        assert score.original.isfinite().all()
        before = score.cost.forward, score.cost.backward
        maps.append(method(score, torch.zeros(3, 40, 64), settings, seed=seed).saliency)
        announced = attention.passes(settings, (40, 64), forward=extra.forward, backward=extra.backward)
        assert score.cost.forward - before[0] == announced.forward
        assert score.cost.backward - before[1] == announced.backward
    first, second = maps
    assert first.shape == map_size(6, (40, 64))
    assert first.dtype == torch.float32
    assert not first.requires_grad
    assert first.min() >= 0
    assert first.max() == 1
    assert first.numpy().tobytes() == second.numpy().tobytes()


@pytest.mark.parametrize("name", METHODS)
def test_gradients_switched_off_outside_do_not_matter(model, name):
    method, settings, _ = METHODS[name]
    settings = type(settings)(cells=4)
    expected = method(make_score(model), PICTURE, settings).saliency
    with torch.no_grad():
        assert torch.equal(method(make_score(model), PICTURE, settings).saliency, expected)
