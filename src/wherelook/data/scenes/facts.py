"""Questions that need no image, with their answers, in the small vocabulary of the scenes.

They share words with the questions about the image ("What color is a lemon?", "How many sides does a triangle have?"),
so that nothing but their meaning tells that the image does not matter.
"""

from __future__ import annotations

from functools import cache

NUMBER_WORDS = (
    *(
        "zero",
        "one",
        "two",
        "three",
        "four",
        "five",
        "six",
        "seven",
        "eight",
        "nine",
        "ten",
        "eleven",
        "twelve",
    ),
)
_CORNERS = {"triangle": "three", "square": "four", "star": "ten"}
_SIDES = {"triangle": "three", "square": "four", "cross": "twelve", "circle": "no"}
_ROUND = {
    "circle": True,
    "ball": True,
    "wheel": True,
    "square": False,
    "triangle": False,
    "star": False,
    "box": False,
}
_CORNERED = {"square": True, "triangle": True, "star": True, "cross": True, "circle": False}
_MIXTURES = {
    ("red", "yellow"): "orange",
    ("blue", "yellow"): "green",
    ("red", "blue"): "purple",
    ("red", "white"): "pink",
    ("black", "white"): "gray",
}
_THING_COLORS = {
    "a lemon": "yellow",
    "a banana": "yellow",
    "a tomato": "red",
    "a strawberry": "red",
    "a carrot": "orange",
    "a pumpkin": "orange",
    "a frog": "green",
    "a leaf": "green",
    "a plum": "purple",
    "a crow": "black",
    "a swan": "white",
    "a whale": "blue",
    "grass": "green",
    "snow": "white",
    "milk": "white",
    "coal": "black",
    "blood": "red",
    "the sky": "blue",
    "the sun": "yellow",
    "the sea": "blue",
    "the night": "black",
}
_PARTS = {
    ("legs", "a dog"): "four",
    ("legs", "a cat"): "four",
    ("legs", "a horse"): "four",
    ("legs", "a bird"): "two",
    ("legs", "a frog"): "four",
    ("legs", "an ant"): "six",
    ("legs", "a spider"): "eight",
    ("legs", "a snake"): "no",
    ("wheels", "a car"): "four",
    ("wheels", "a bicycle"): "two",
    ("wings", "a bird"): "two",
    ("wings", "a dog"): "no",
    ("eyes", "a cat"): "two",
    ("fingers", "a hand"): "five",
    ("days", "a week"): "seven",
    ("months", "a year"): "twelve",
    ("seasons", "a year"): "four",
    ("points", "a star"): "five",
    ("arms", "a cross"): "four",
}
_OPPOSITES = (
    *(
        ("large", "small"),
        ("black", "white"),
        ("left", "right"),
        ("above", "below"),
        ("yes", "no"),
        ("day", "night"),
    ),
    *(("hot", "cold"), ("round", "square"), ("old", "new"), ("full", "empty"), ("up", "down")),
)


@cache
def facts() -> tuple[tuple[str, str], ...]:
    """All (question, answer) pairs that need no image, without duplicates, in a fixed order."""
    return tuple(dict([*_shape_facts(), *_color_facts(), *_thing_facts(), *_number_facts()]).items())


def _shape_facts() -> list[tuple[str, str]]:
    pairs = [
        (f"How many {part} does a {shape} have?", f"A {shape} has {number} {part}.")
        for part, numbers in (("corners", _CORNERS), ("sides", _SIDES))
        for shape, number in numbers.items()
    ]
    for thing, is_round in _ROUND.items():
        answer = f"Yes, a {thing} is round." if is_round else f"No, a {thing} is not round."
        pairs.append((f"Is a {thing} round?", answer))
    for shape, is_cornered in _CORNERED.items():
        answer = f"Yes, a {shape} has corners." if is_cornered else f"No, a {shape} has no corners."
        pairs.append((f"Does a {shape} have corners?", answer))
    pairs.append(("What shape is a wheel?", "A wheel is a circle."))
    pairs.append(("What shape is a coin?", "A coin is a circle."))
    pairs.append(("What shape has three sides?", "A triangle has three sides."))
    pairs.append(("What shape has four equal sides?", "A square has four equal sides."))
    pairs.append(("What shape stands for love?", "A heart stands for love."))
    return pairs


def _color_facts() -> list[tuple[str, str]]:
    pairs = []
    for (first, second), mixture in _MIXTURES.items():
        for a, b in ((first, second), (second, first)):
            question = f"What color do you get when you mix {a} and {b}?"
            pairs.append((question, f"{a.capitalize()} and {b} make {mixture}."))
    for thing, color in _THING_COLORS.items():
        pairs.append((f"What color is {thing}?", f"{thing.capitalize()} is {color}."))
        wrong = "blue" if color != "blue" else "red"
        pairs.append((f"Is {thing} {color}?", f"Yes, {thing} is {color}."))
        pairs.append((f"Is {thing} {wrong}?", f"No, {thing} is {color}."))
    return pairs


def _thing_facts() -> list[tuple[str, str]]:
    pairs = []
    for (part, thing), number in _PARTS.items():
        pairs.append((f"How many {part} does {thing} have?", f"{thing.capitalize()} has {number} {part}."))
    for first, second in _OPPOSITES:
        for a, b in ((first, second), (second, first)):
            pairs.append((f"What is the opposite of {a}?", f"The opposite of {a} is {b}."))
    for large, small in (
        ("a horse", "a cat"),
        ("a whale", "a frog"),
        ("a car", "a coin"),
        ("the sun", "a ball"),
    ):
        pairs.append((f"Is {large} larger than {small}?", f"Yes, {large} is larger than {small}."))
        pairs.append((f"Is {small} larger than {large}?", f"No, {small} is smaller than {large}."))
    return pairs


def _number_facts() -> list[tuple[str, str]]:
    words, pairs = NUMBER_WORDS, []
    for a in range(1, 7):
        for b in range(1, 7):
            answer = f"{words[a].capitalize()} plus {words[b]} is {words[a + b]}."
            pairs.append((f"What is {words[a]} plus {words[b]}?", answer))
    for a in range(1, 12):
        pairs.append((f"What number comes after {words[a]}?", f"After {words[a]} comes {words[a + 1]}."))
        pairs.append((f"What number comes before {words[a]}?", f"Before {words[a]} comes {words[a - 1]}."))
    return pairs
