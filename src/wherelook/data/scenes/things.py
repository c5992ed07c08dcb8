"""Things with names: a second world of scenes, whose objects are pictures of animals, food, vehicles and more.

Objects are `SceneObject`s whose shape is the thing's name and whose color is empty; questions name a thing by its name
or by its size and name. The pictures are glyphs of Noto Color Emoji under the SIL Open Font License 1.1
(`noto/OFL.txt`), put into one file by `training/draw_things.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache, partial
from importlib.resources import files
from types import MappingProxyType

import numpy as np
from PIL import Image

from wherelook.data.scenes.questions import (
    Draft,
    Group,
    Maker,
    ask_count,
    ask_description,
    ask_existence,
    ask_fact,
    ask_relation,
    ask_size,
    matching,
    shuffled,
    with_article,
)
from wherelook.data.scenes.world import MAXIMUM_OBJECTS, MINIMUM_OBJECTS, SIZES, SceneObject, place_all

CELL, COLUMNS = 128, 8
"""Side of a picture in the file, in pixels, and pictures in a row."""

CATEGORIES: Mapping[str, Mapping[str, str]] = {
    "animal": {
        "dog": "🐶", "cat": "🐱", "fox": "🦊", "bear": "🐻", "panda": "🐼", "lion": "🦁", "tiger": "🐯", "cow": "🐮",
        "pig": "🐷", "frog": "🐸", "monkey": "🐵", "chicken": "🐔", "penguin": "🐧", "owl": "🦉", "rabbit": "🐰",
        "bee": "🐝", "ladybug": "🐞", "butterfly": "🦋", "snail": "🐌", "turtle": "🐢", "octopus": "🐙", "whale": "🐳",
        "crab": "🦀", "elephant": "🐘",
    },
    "food": {
        "apple": "🍎", "banana": "🍌", "lemon": "🍋", "pear": "🍐", "strawberry": "🍓", "watermelon": "🍉",
        "pineapple": "🍍", "carrot": "🥕", "tomato": "🍅", "pizza": "🍕", "hamburger": "🍔", "donut": "🍩",
        "cookie": "🍪", "cake": "🎂", "mushroom": "🍄", "pretzel": "🥨",
    },
    "vehicle": {
        "car": "🚗", "bus": "🚌", "taxi": "🚕", "truck": "🚚", "tractor": "🚜", "bicycle": "🚲", "rocket": "🚀",
        "helicopter": "🚁",
    },
    "": {
        "key": "🔑", "clock": "⏰", "umbrella": "☂", "guitar": "🎸", "drum": "🥁", "hammer": "🔨", "bell": "🔔",
        "camera": "📷", "balloon": "🎈", "present": "🎁", "ball": "⚽", "crown": "👑", "trophy": "🏆", "hat": "🎩",
        "teddy": "🧸", "kite": "🪁",
    },
}  # fmt: skip
"""Glyphs by name, by the category that a question may ask for."""

CATEGORY_OF = {name: category for category, names in CATEGORIES.items() for name in names}
THINGS = tuple(CATEGORY_OF)

ALSO_CALLED = {"taxi": ("car",), "panda": ("bear",), "teddy": ("bear", "animal")}
"""What else a thing may be called: where one is there, no question uses these words."""

REPEAT_SHARE, RELATED_SHARE = 0.3, 0.3
"""Of the objects after the first: how many are another of a thing that is there, and of its category."""


def picture(name: str) -> Image.Image:
    """A thing's picture, RGBA, CELL x CELL, with room around it to be turned."""
    row, column = divmod(THINGS.index(name), COLUMNS)
    return _pictures().crop((column * CELL, row * CELL, (column + 1) * CELL, (row + 1) * CELL))


@cache
def _pictures() -> Image.Image:
    with Image.open(str(files("wherelook.data.scenes") / "noto" / "things.png")) as pictures:
        return pictures.convert("RGBA")


def sample_things(rng: np.random.Generator, aspect: float) -> tuple[SceneObject, ...]:
    """3 to 6 things that do not touch, some of them alike or of one category; see `world.sample_objects`."""
    number = int(rng.integers(MINIMUM_OBJECTS, MAXIMUM_OBJECTS + 1))
    names: list[str] = []
    while len(names) < number:
        draw, choices = rng.random(), THINGS
        if names and draw < REPEAT_SHARE + RELATED_SHARE:
            first = names[int(rng.integers(len(names)))]
            choices = (first,) if draw < REPEAT_SHARE else tuple(CATEGORIES[CATEGORY_OF[first]])
        names.append(choices[int(rng.integers(len(choices)))])
    kinds = [
        SceneObject(shape=name, color="", size=SIZES[int(rng.integers(2))], center=(0.0, 0.0), radius=0.0, angle=0.0)
        for name in names
    ]
    return place_all(rng, kinds, aspect)


def plural(name: str) -> str:
    """Such as "foxes", "strawberries"."""
    if name.endswith(("s", "x")) or name == "tomato":
        return name + "es"
    if name.endswith("y") and name[-2] not in "aeiou":
        return name[:-1] + "ies"
    return name + "s"


def _of_category(objects: Sequence[SceneObject], category: str) -> tuple[int, ...]:
    return tuple(index for index, item in enumerate(objects) if CATEGORY_OF[item.shape] == category)


def _groups(objects: Sequence[SceneObject]) -> list[Group]:
    """What can be counted: things of a name, of a category, of a size, and all."""
    named = [(name, plural(name), matching(objects, shape=name)) for name in THINGS]
    of_category = [(name, f"{name}s", _of_category(objects, name)) for name in ("animal", "vehicle")]
    of_size = [(f"{name} object", f"{name} objects", matching(objects, size=name)) for name in SIZES]
    return [("object", "objects", matching(objects)), *of_size, *of_category, *named]


def _category(rng: np.random.Generator, objects: Sequence[SceneObject], aspect: float) -> Iterator[Draft]:
    """Such as "What animal is there?", where there is one alone."""
    for category in shuffled(rng, [name for name in CATEGORIES if name]):
        found = _of_category(objects, category)
        if len(found) == 1:
            answer = f"The {category} is {with_article(objects[found[0]].shape)}."
            yield Draft(
                kind="category",
                text=f"What {category} is there?",
                answer=answer,
                evidence=found,
                told=("shape",),
            )


def _clear(maker: Maker) -> Maker:
    """The same questions but for those whose words a reader could take for another thing of the scene too."""

    def ask(rng: np.random.Generator, objects: Sequence[SceneObject], aspect: float) -> Iterator[Draft]:
        words = {word for item in objects for word in ALSO_CALLED.get(item.shape, ())}
        doubtful = words | {plural(word) for word in words}
        for draft in maker(rng, objects, aspect):
            if doubtful.isdisjoint(draft.text.removesuffix("?").split()):
                yield draft

    return ask


_BY_NAME = (("shape",), ("size", "shape"))
MAKERS: Mapping[str, Maker] = MappingProxyType(
    {
        "size": _clear(partial(ask_size, ways=(("shape",),))),
        "category": _clear(_category),
        "existence": _clear(partial(ask_existence, ways=_BY_NAME, values={"shape": THINGS, "size": SIZES})),
        "count": _clear(partial(ask_count, groups=_groups)),
        "relation": _clear(partial(ask_relation, ways=_BY_NAME, told=("shape",))),
        "description": ask_description,
        "fact": ask_fact,
    }
)
BUDGET: Mapping[str, int] = MappingProxyType(
    {"size": 1, "category": 1, "existence": 2, "count": 2, "relation": 2, "description": 1, "fact": 2}
)
