"""`make_scene`: one image with its objects and its questions, from one seed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from wherelook.data.scenes import things
from wherelook.data.scenes.photograph import photograph
from wherelook.data.scenes.questions import DEFAULT_BUDGET, MAKERS, Maker, ask
from wherelook.data.scenes.render import render
from wherelook.data.scenes.things import sample_things
from wherelook.data.scenes.world import SceneObject, sample_objects
from wherelook.errors import InputError, unknown_name

SCENES_VERSION = 1  # part of every seed: raise it when the same seed would give another scene

# Three sets of scenes that never share a seed. The embedded model is trained on the first; settings of methods are
# tuned on the second; figures are reported on the third.
TRAINING_SEEDS = range(100_000_000)
TUNING_SEEDS = range(100_000_000, 101_000_000)
REPORTING_SEEDS = range(101_000_000, 102_000_000)

# The first picture a newcomer sees, of things, and a question whose answer is not in it.
DEMO_SEED = TUNING_SEEDS[2028]
DEMO_QUESTIONS: Mapping[str, str] = {
    "relation": "What is above the pizza?",
    "category": "What animal is there?",
    "fact": "What color is a banana?",
}

MINIMUM_SIDE, MAXIMUM_SIDE, MAXIMUM_ASPECT = 64, 4096, 2.0


@dataclass(frozen=True)
class World:
    """What scenes can be made of.

    Attributes:
        sample: (source of randomness, width over height) -> the objects of a scene.
        render: (source of randomness, objects, (height, width)) -> pixels and the objects' masks.
        makers: what asks questions, by kind.
        budget: most questions of each kind, where nothing else is asked for.
        streams: numbers of its three streams of random numbers, which no other world uses.
    """

    sample: Callable[[np.random.Generator, float], tuple[SceneObject, ...]]
    render: Callable[[np.random.Generator, Sequence[SceneObject], tuple[int, int]], tuple[np.ndarray, np.ndarray]]
    makers: Mapping[str, Maker]
    budget: Mapping[str, int]
    streams: tuple[int, int, int]


WORLDS: Mapping[str, World] = {
    "shapes": World(sample=sample_objects, render=render, makers=MAKERS, budget=DEFAULT_BUDGET, streams=(0, 1, 2)),
    "things": World(
        sample=sample_things, render=photograph, makers=things.MAKERS, budget=things.BUDGET, streams=(3, 4, 5)
    ),
}


@dataclass(frozen=True)
class Question:
    """A question about a scene, its only right answer, and where in the image that answer can be read off.

    Attributes:
        kind: One of `KINDS`.
        text: The question.
        answer: The answer, a full sentence.
        evidence: Bool, (height, width): the objects that the ANSWER's content comes from. The object asked about
            (color, shape, size), the one of its category (category), all that match (existence with "yes", count), the
            object that the answer names (relation: not the object that the question names), the two objects that are
            named (description). Nothing for existence with "no" and for facts.
        evidence_objects: The same as indices into the scene's objects; its length is the number of evidence objects.
        exclusive: Whether the answer can be read off one object alone: no other object has anything that the answer
            tells of it. Only then must a model that answers right have looked there, and the evidence is the truth
            to point at; otherwise the model may have found the same word elsewhere.
        needs_image: False for facts, whose answer is the same for every image.
        right: What a right answer has to say, where other words will do than those of `answer`: for each thing that it
            tells the names that are right, such as (("dog", "beagle"),). Empty where only `answer` is right.
        paraphrase: The same question, naming the object that it names by other attributes, which no other object of
            the scene shares either ("the star" as "the large star"); None where there is no other name, or no name.
    """

    kind: str
    text: str
    answer: str
    evidence: np.ndarray
    evidence_objects: tuple[int, ...]
    exclusive: bool
    needs_image: bool
    paraphrase: str | None = None
    right: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True)
class Scene:
    """An image whose content is known exactly.

    Attributes:
        seed: What the scene was made from.
        image: RGB.
        objects: The 3 to 6 objects, in drawing order.
        object_masks: Bool, (objects, height, width): the pixels of each object.
        questions: Questions with answers and evidence.
    """

    seed: int
    image: Image.Image
    objects: tuple[SceneObject, ...]
    object_masks: np.ndarray
    questions: tuple[Question, ...]

    def box(self, indices: Sequence[int]) -> tuple[int, int, int, int] | None:
        """Smallest box (x0, y0, x1, y1), in pixels with x1 and y1 exclusive, around some objects; None around none."""
        return mask_box(_union(self.object_masks, indices))


def make_scene(
    seed: int,
    *,
    size: tuple[int, int] = (224, 224),
    budget: Mapping[str, int] | None = None,
    world: str = "shapes",
) -> Scene:
    """Make a scene: the same seed, size, budget and world give the same pixels and questions.

    The objects and the questions depend on the seed and the aspect ratio alone, so a scene can be had at several
    resolutions; the background's noise differs between them.

    Args:
        seed: Any integer from 0. See `TRAINING_SEEDS`, `TUNING_SEEDS`, `REPORTING_SEEDS`.
        size: (height, width) in pixels, each 64 to 4,096, neither more than twice the other.
        budget: Most questions of each kind; the world's own where None.
        world: One of `WORLDS`: colored shapes, or things with names before a background like a photograph.

    Raises:
        InputError: The seed or the size is out of range, or there is no such world or kind of question.
    """
    if world not in WORLDS:
        raise unknown_name("world", world, list(WORLDS))
    made = WORLDS[world]
    check_scene_size(size)
    if seed < 0:
        raise InputError(f"a scene's seed must be at least 0, not {seed}")
    budget = made.budget if budget is None else budget
    unknown = set(budget) - set(made.makers)
    if unknown:
        raise unknown_name("kind of question", sorted(unknown)[0], list(made.makers))
    height, width = size
    aspect = width / height
    # Separate streams, so that the layout does not depend on how many random numbers the drawing takes.
    layout, drawing, asking = (np.random.default_rng((SCENES_VERSION, seed, stream)) for stream in made.streams)
    objects = made.sample(layout, aspect)
    pixels, masks = made.render(drawing, objects, size)
    questions = tuple(
        Question(
            kind=draft.kind,
            text=draft.text,
            answer=draft.answer,
            evidence=_union(masks, draft.evidence),
            evidence_objects=draft.evidence,
            exclusive=draft.exclusive(objects),
            needs_image=draft.kind != "fact",
            paraphrase=draft.paraphrase,
        )
        for draft in ask(asking, objects, aspect, budget, made.makers)
    )
    return Scene(
        seed=int(seed), image=Image.fromarray(pixels), objects=objects, object_masks=masks, questions=questions
    )


def check_scene_size(size: tuple[int, int]) -> None:
    """Raise `InputError` unless scenes can be made at this (height, width)."""
    height, width = size
    if not MINIMUM_SIDE <= min(size) <= max(size) <= MAXIMUM_SIDE or max(size) > MAXIMUM_ASPECT * min(size):
        raise InputError(
            f"a scene cannot be {height} x {width} pixels (height x width): each side must be {MINIMUM_SIDE} to"
            f" {MAXIMUM_SIDE} pixels, and neither more than {MAXIMUM_ASPECT:g} times the other"
        )


def mask_box(mask: np.ndarray) -> tuple[int, int, int, int] | None:
    """Smallest box (x0, y0, x1, y1) around the true pixels of a (height, width) mask; None when there are none."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not rows.size:
        return None
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def _union(masks: np.ndarray, indices: Sequence[int]) -> np.ndarray:
    """The pixels of some objects, (height, width); none for no objects."""
    return np.asarray(masks[list(indices)].any(axis=0))
