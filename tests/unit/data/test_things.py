"""Scenes of things: every answer is true of the objects, and every mask is where the thing was drawn."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from wherelook.data import scenes
from wherelook.data.scenes import Scene, make_scene, read_scenes, write_scenes
from wherelook.data.scenes import scene as scene_module
from wherelook.data.scenes.facts import NUMBER_WORDS
from wherelook.data.scenes.photograph import SHADOW, photograph
from wherelook.data.scenes.things import BUDGET, CATEGORIES, CATEGORY_OF, CELL, THINGS, picture, plural
from wherelook.data.scenes.world import SceneObject

SIZES = [(224, 224), (160, 256), (300, 150), (64, 64)]
UNDRAWN = [(64, 64), (80, 128), (128, 64)]
SINGULAR = {plural(name): name for name in THINGS}


@pytest.fixture(scope="module")
def many() -> list[Scene]:
    """What is told of 600 scenes. None is drawn: things and questions depend on the seed and the aspect alone."""

    def undrawn(
        rng: np.random.Generator, objects: Sequence[SceneObject], size: tuple[int, int]
    ) -> tuple[np.ndarray, np.ndarray]:
        return np.zeros((*size, 3), np.uint8), np.ones((len(objects), *size), bool)

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(scene_module.WORLDS, "things", replace(scene_module.WORLDS["things"], render=undrawn))
        return [make_scene(seed, size=UNDRAWN[seed % len(UNDRAWN)], world="things") for seed in range(600)]


def named(scene: Scene, phrase: str) -> list[int]:
    """The objects that a phrase such as "large fox", "animals" or "objects" fits, by reading it word by word."""
    *before, last = phrase.split()
    categories = {f"{name}s": name for name in CATEGORIES if name}
    last = SINGULAR.get(last, categories.get(last, last.removesuffix("s") if last == "objects" else last))
    return [
        index
        for index, item in enumerate(scene.objects)
        if last in (item.shape, CATEGORY_OF[item.shape], "object") and all(word == item.size for word in before)
    ]


def test_sixty_and_more_things_each_with_its_own_picture() -> None:
    assert len(THINGS) == len(set(THINGS)) >= 60
    pictures = [np.asarray(picture(name)) for name in THINGS]
    assert len({found.tobytes() for found in pictures}) == len(THINGS)
    for found in pictures:
        assert found.shape == (CELL, CELL, 4)
        opaque = found[..., 3] > 127
        assert 0.1 < opaque.mean() < 0.8
        assert not opaque[[0, -1]].any()  # there is room to turn it
        assert not opaque[:, [0, -1]].any()


def test_scenes_of_things_are_the_ones_that_were_published() -> None:
    """A change here gives every seed another scene: raise SCENES_VERSION, and train and measure everything again."""
    told = [
        (scene.objects, [(q.kind, q.text, q.answer, q.evidence_objects, q.exclusive) for q in scene.questions])
        for scene in (make_scene(seed, size=(64, 64), world="things") for seed in range(40))
    ]
    assert hashlib.sha256(repr(told).encode()).hexdigest().startswith("b2777166337f0610")


def test_same_seed_same_bytes_and_another_world_another_scene() -> None:
    first, again = make_scene(3, world="things"), make_scene(3, world="things")
    assert first.image.tobytes() == again.image.tobytes()
    assert [q.text for q in first.questions] == [q.text for q in again.questions]
    assert {item.shape for item in first.objects}.isdisjoint(item.shape for item in make_scene(3).objects)


@pytest.fixture
def without_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wherelook.data.scenes.photograph.expose", lambda rng, image: image)


@pytest.mark.usefixtures("without_noise")
@pytest.mark.parametrize("size", SIZES[:3])  # in the smallest, edges are half of a thing
@pytest.mark.parametrize("name", ["penguin", "key", "truck"])
def test_a_mask_is_where_its_thing_was_drawn(size: tuple[int, int], name: str) -> None:
    """What a thing changes of the bare background is its mask, and a shadow beside it."""
    item = SceneObject(name, "", "large", (0.4, 0.55), 0.14, 0.12)
    bare, _ = photograph(np.random.default_rng(1), [], size)
    drawn, (mask,) = photograph(np.random.default_rng(1), [item], size)
    rows, columns = np.nonzero(mask)
    reach = item.radius * (size[0] * size[1]) ** 0.5
    assert np.hypot(columns + 0.5 - 0.4 * size[1], rows + 0.5 - 0.55 * size[0]).max() < 1.1 * reach + 1.5
    # A shadow darkens all channels alike and by little. What changes otherwise was painted over.
    ratio = drawn / np.maximum(bare, 1e-6)
    painted = (np.ptp(ratio, axis=2) > 0.02) | (ratio.max(axis=2) > 1.02) | (ratio.min(axis=2) < 1 - SHADOW)
    assert (painted & mask).sum() / (painted | mask).sum() > 0.85
    away = np.ones(size, dtype=bool)
    room = round(0.3 * reach) + 3
    away[max(0, rows.min() - room) : rows.max() + room + 1, max(0, columns.min() - room) : columns.max() + room + 1] = 0
    assert np.abs(drawn - bare)[away].max() < 1 / 255


@pytest.mark.usefixtures("without_noise")
def test_each_of_two_things_has_its_own_mask() -> None:
    items = [SceneObject("key", "", "large", (x, 0.5), 0.14, 0.0) for x in (0.25, 0.75)]
    _, masks = photograph(np.random.default_rng(1), items, (224, 224))
    assert masks[0][:, :112].sum() == masks[0].sum() > 100
    assert masks[1][:, 112:].sum() == masks[1].sum() > 100


def test_every_kind_is_asked_with_unique_texts_per_scene(many: list[Scene]) -> None:
    counts = Counter(question.kind for scene in many for question in scene.questions)
    assert set(counts) == set(BUDGET)
    assert set(counts) <= set(scenes.KINDS)
    assert min(counts.values()) > 50
    for scene in many:
        texts = [question.text for question in scene.questions]
        assert len(set(texts)) == len(texts)


def test_sizes_and_categories_are_true(many: list[Scene]) -> None:
    for scene in many:
        for question in scene.questions:
            if question.kind == "size":
                name, said = re.fullmatch(r"The (.+) is (large|small)\.", question.answer).groups()
                assert question.text == f"What size is the {name}?"
                (index,) = named(scene, name)
                assert scene.objects[index].size == said
                assert question.evidence_objects == (index,)
            elif question.kind == "category":
                category, said = re.fullmatch(r"The (.+) is an? (.+)\.", question.answer).groups()
                assert question.text == f"What {category} is there?"
                (index,) = (i for i, item in enumerate(scene.objects) if CATEGORY_OF[item.shape] == category)
                assert scene.objects[index].shape == said
                assert question.evidence_objects == (index,)
                assert question.exclusive


def test_existence_and_counts_are_true(many: list[Scene]) -> None:
    answers = Counter()
    for scene in many:
        for question in scene.questions:
            if question.kind == "existence":
                phrase = re.fullmatch(r"Is there an? (.+)\?", question.text)[1]
                found = named(scene, phrase)
                assert question.answer.startswith("Yes, there is a" if found else f"No, there is no {phrase}.")
                assert list(question.evidence_objects) == found
                answers[bool(found)] += 1
            elif question.kind == "count":
                phrase = re.fullmatch(r"How many (.+) are there\?", question.text)[1]
                found = named(scene, phrase)
                words = NUMBER_WORDS[len(found)]
                start = f"There are {words} {phrase}." if len(found) > 1 else "There is one "
                assert question.answer.startswith(start)
                assert list(question.evidence_objects) == found
    assert 0.4 < answers[True] / answers.total() < 0.6


def test_relations_name_the_thing_and_where_it_is(many: list[Scene]) -> None:
    seen = 0
    for scene in many:
        for question in scene.questions:
            if question.kind != "relation":
                continue
            answer, direction, reference = re.fullmatch(
                r"An? (.+) is (left of|right of|above|below) the (.+)\.", question.answer
            ).groups()
            assert question.text == f"What is {direction} the {reference}?"
            (told,), (origin,) = named(scene, answer), named(scene, reference)
            assert question.evidence_objects == (told,)
            assert question.exclusive
            (x, y), (from_x, from_y) = scene.objects[told].center, scene.objects[origin].center
            apart = {"left of": from_x - x, "right of": x - from_x, "above": from_y - y, "below": y - from_y}
            assert apart[direction] > 0.03
            seen += 1
    assert seen > 80


def test_descriptions_name_the_outermost_things(many: list[Scene]) -> None:
    for scene in many:
        for question in scene.questions:
            if question.kind == "description":
                pattern = r"An? (.+) is on the left and an? (.+) is on the right\."
                left, right = re.fullmatch(pattern, question.answer).groups()
                order = sorted(scene.objects, key=lambda item: item.center[0])
                assert (left, right) == (order[0].shape, order[-1].shape)


def test_no_question_uses_a_word_that_fits_another_thing_too(many: list[Scene]) -> None:
    """A taxi is a car, a panda is a bear."""
    doubtful = {"taxi": {"car", "cars"}, "panda": {"bear", "bears"}, "teddy": {"bear", "bears", "animal", "animals"}}
    met = 0
    for scene in many:
        for item in scene.objects:
            words = doubtful.get(item.shape, set())
            met += bool(words)
            for question in scene.questions:
                assert question.kind == "fact" or words.isdisjoint(re.findall(r"\w+", question.text))
    assert met > 50


def test_plurals() -> None:
    assert [plural(name) for name in ("fox", "bus", "butterfly", "monkey", "tomato", "dog")] == [
        *("foxes", "buses", "butterflies", "monkeys", "tomatoes", "dogs")
    ]


def test_written_things_come_back_and_name_the_font(tmp_path: Path) -> None:
    written = write_scenes(tmp_path / "things", n=2, seed=9, size=(64, 64), world="things")
    assert list(read_scenes(tmp_path / "things")) == written
    card = (tmp_path / "things" / "README.md").read_text()
    assert "Noto Color Emoji" in card
    assert "3 to 6 things and" in card
