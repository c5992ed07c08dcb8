"""An answered question: what the model says when it is asked again, and what opening costs."""

from __future__ import annotations

import pytest
import torch

from wherelook.answer import ask
from wherelook.cost import add_costs
from wherelook.data.scenes import TUNING_SEEDS, make_scene
from wherelook.models import VisionLanguageModel


@pytest.fixture(scope="module")
def case():
    scene = make_scene(TUNING_SEEDS[3])
    question = next(question for question in scene.questions if question.kind == "relation")
    return ask(VisionLanguageModel.from_pretrained("embedded", device="cpu"), scene.image, question.text)


def test_the_answer_to_a_changed_image(case):
    """With nothing changed the model says the same again; without the image something else."""
    score = case.selected_score()
    assert case.answer_to(score, torch.ones(4, 4)) == case.relevance.answer
    assert case.answer_to(score, torch.zeros(4, 4)) != case.relevance.answer


def test_another_baseline(case):
    score = case.selected_score()
    other = case.against(score, case.unseen_baseline)
    assert torch.equal(score.original, other.original)
    assert not torch.allclose(score.baseline, other.baseline)


def test_costs_add_up(case):
    assert case.cost["forward"] == 2  # the image and its baseline
    assert case.cost["generated_tokens"] > 3
    total = add_costs(case.cost, {**case.cost, "peak_bytes": 7})
    assert total["forward"] == 4
    assert total["peak_bytes"] == max(case.cost["peak_bytes"], 7)
