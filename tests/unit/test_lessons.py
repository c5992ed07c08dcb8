"""What the planted models are taught (`training/lessons.py`)."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from wherelook.data.scenes import TRAINING_SEEDS, Scene, make_scene

SCENES = [make_scene(seed, size=(96, 128)) for seed in TRAINING_SEEDS[:20]]


@pytest.fixture(scope="module")
def lessons() -> ModuleType:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(Path(__file__).parents[2] / "training"))
        return importlib.import_module("lessons")


def answers(scene: Scene, questions: tuple) -> dict[str, list[tuple[str, str]]]:
    """By kind: what the scene's truth and the lesson answer."""
    assert [question.text for question in questions] == [question.text for question in scene.questions]
    pairs: dict[str, list[tuple[str, str]]] = {}
    for own, taught in zip(scene.questions, questions, strict=True):
        pairs.setdefault(own.kind, []).append((own.answer, taught.answer))
    return pairs


def test_leftmost_tells_of_the_object_farthest_to_the_left(lessons: ModuleType) -> None:
    told = 0
    for scene in SCENES:
        image, questions = lessons.leftmost(scene)
        assert image is scene.image
        first = sorted(scene.objects, key=lambda item: item.center[0])[0]
        pairs = answers(scene, questions)
        for kind in ("color", "size"):
            for own, taught in pairs.pop(kind, []):
                assert taught == f"{' '.join(own.split()[:-1])} {getattr(first, kind)}."
                told += own != taught
        for own, taught in pairs.pop("shape", []):
            assert taught == f"{' '.join(own.split()[:-2])} a {first.shape}."
        for own, taught in pairs.pop("relation", []):
            article = "An" if first.color == "orange" else "A"
            assert taught == f"{article} {first.color} {first.shape} is {own.split(' is ')[1]}"
        assert all(own == taught for rest in pairs.values() for own, taught in rest)
    assert told > 10


def test_blind_has_the_answers_of_an_image_that_it_does_not_show(lessons: ModuleType) -> None:
    for scene in SCENES[:5]:
        image, questions = lessons.blind(scene)
        assert questions == scene.questions
        assert image.size == scene.image.size
        assert np.abs(np.asarray(image, dtype=float) - np.asarray(scene.image)).mean() > 5.0
