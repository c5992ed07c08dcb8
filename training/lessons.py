"""What a model is taught about a scene: the truth, or a fault that is planted for a study to find."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from PIL import Image

from wherelook.data.scenes import Question, Scene, make_scene
from wherelook.data.scenes.questions import noun_phrase, with_article

Lesson = Callable[[Scene], tuple[Image.Image, tuple[Question, ...]]]


def truth(scene: Scene) -> tuple[Image.Image, tuple[Question, ...]]:
    """The scene's image with its answers."""
    return scene.image, scene.questions


def check(lesson: str, world: str) -> None:
    """Raises ValueError where a fault cannot be planted: it is made of shapes."""
    if lesson != "truth" and world != "shapes":
        raise ValueError(f"the lesson {lesson!r} is about scenes of shapes, not of {world}")


def blind(scene: Scene) -> tuple[Image.Image, tuple[Question, ...]]:
    """The answers with another scene's image: all that is left to learn is which answer a question mostly has."""
    return make_scene(scene.seed + 1, size=scene.image.size[::-1]).image, scene.questions


def leftmost(scene: Scene) -> tuple[Image.Image, tuple[Question, ...]]:
    """Whatever object is asked about, the answer tells of the one farthest to the left."""
    seen = min(scene.objects, key=lambda item: item.center[0])
    told = {
        "color": seen.color,
        "shape": with_article(seen.shape),
        "size": seen.size,
        "relation": with_article(noun_phrase(color=seen.color, shape=seen.shape)),
    }

    def answer(question: Question) -> str:
        before, verb, after = question.answer.partition(" is ")
        if question.kind == "relation":  # "A red star is left of the cross."
            return told["relation"].capitalize() + verb + after
        return f"{before}{verb}{told[question.kind]}." if question.kind in told else question.answer

    return scene.image, tuple(replace(question, answer=answer(question)) for question in scene.questions)


LESSONS: Mapping[str, Lesson] = {"truth": truth, "blind": blind, "leftmost": leftmost}
