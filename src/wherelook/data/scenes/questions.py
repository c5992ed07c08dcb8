"""Ask questions about a scene and answer them in full sentences, knowing which objects each answer rests on.

A question may name an object only by attributes that no other object of the scene shares, and a relation or an order
is asked only when no reader could see it otherwise. So every question has exactly one right answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar, runtime_checkable

import numpy as np

from wherelook.data.scenes.facts import NUMBER_WORDS, facts
from wherelook.data.scenes.world import COLORS, SHAPES, SIZES, SceneObject

KINDS = ("color", "shape", "size", "existence", "count", "relation", "description", "fact", "category")
# How many questions of each kind a scene gets, where it allows for that many.
DEFAULT_BUDGET: Mapping[str, int] = {
    "color": 1,
    "shape": 1,
    "size": 1,
    "existence": 2,
    "count": 2,
    "relation": 2,
    "description": 1,
    "fact": 2,
}
Ways = Sequence[tuple[str, ...]]
Group = tuple[str, str, tuple[int, ...]]
"""The name of one of its objects, of several, and which they are."""

Maker = Callable[[np.random.Generator, Sequence[SceneObject], float], Iterator["Draft"]]
"""(source of randomness, objects, width of the image over its height) -> questions of one kind."""

_SIZE_WAYS: Ways = (("color", "shape"), ("shape",), ("color",))
_RELATION_WAYS: Ways = (("shape",), ("color",), ("size", "shape"), ("size", "color"), ("color", "shape"))
_EXISTENCE_WAYS: Ways = (
    ("shape",),
    ("color",),
    ("color", "shape"),
    ("color", "shape"),
    ("size", "shape"),
    ("size", "color"),
)
_VALUES: Mapping[str, Sequence[str]] = {"shape": SHAPES, "color": COLORS, "size": SIZES}
DIRECTIONS = ("left of", "right of", "above", "below")
DIRECTION_MARGIN = 0.06  # of the image's side: objects closer than this in a direction are not ordered


@dataclass(frozen=True)
class Draft:
    """A question whose evidence is still a list of objects: indices into the scene's objects.

    `told` names the attributes of the evidence that the answer tells. `paraphrase` asks the same, naming the object
    that the question names by other attributes; None where there is no other way.
    """

    kind: str
    text: str
    answer: str
    evidence: tuple[int, ...]
    told: tuple[str, ...] = ()
    paraphrase: str | None = None

    def exclusive(self, objects: Sequence[SceneObject]) -> bool:
        """Whether one object alone is evidence: no other has anything that the answer tells of it."""
        if len(self.evidence) != 1 or not self.told:
            return False
        target = objects[self.evidence[0]]
        return all(matching(objects, **{name: getattr(target, name)}) == self.evidence for name in self.told)


@runtime_checkable
class HasText(Protocol):
    """A question of any world."""

    @property
    def text(self) -> str: ...


Asked = TypeVar("Asked", bound=HasText)


def ask(
    rng: np.random.Generator,
    objects: Sequence[SceneObject],
    aspect: float,
    budget: Mapping[str, int],
    makers: Mapping[str, Maker],
) -> list[Draft]:
    """Draw questions about a scene, of each kind at most `budget[kind]`, no question twice.

    Args:
        rng: Source of randomness.
        objects: The objects of the scene.
        aspect: Width of the image over its height.
        budget: Number of questions by kind; kinds that are missing get none.
        makers: What asks, by kind.
    """
    return within_budget(budget, lambda kind: makers[kind](rng, objects, aspect))


def within_budget(budget: Mapping[str, int], make: Callable[[str], Iterator[Asked]]) -> list[Asked]:
    """The first questions that `make` has of each kind, at most `budget[kind]`, no text twice."""
    drafts: list[Asked] = []
    for kind, number in budget.items():
        asked: set[str] = set()
        for draft in make(kind) if number else ():
            if draft.text not in asked:
                asked.add(draft.text)
                drafts.append(draft)
            if len(asked) == number:
                break
    return drafts


def matching(objects: Sequence[SceneObject], size: str = "", color: str = "", shape: str = "") -> tuple[int, ...]:
    """Indices of the objects with these attributes; an empty string stands for any."""
    return tuple(
        index
        for index, item in enumerate(objects)
        if size in ("", item.size) and color in ("", item.color) and shape in ("", item.shape)
    )


def noun_phrase(size: str = "", color: str = "", shape: str = "") -> str:
    """Such as "large red star" or "red object"."""
    return " ".join(word for word in (size, color, shape or "object") if word)


def with_article(phrase: str, form: str = "") -> str:
    """Such as "a dog", "an owl"; names that are "plural" or a "mass" have none: "jeans", "bread"."""
    if form:
        return phrase
    vowel = phrase[0].lower() in "aeiou" and not phrase.startswith("uni")
    return f"an {phrase}" if vowel else f"a {phrase}"


def capitalized(sentence: str) -> str:
    return sentence[0].upper() + sentence[1:]


Item = TypeVar("Item")


def shuffled(rng: np.random.Generator, items: Sequence[Item]) -> list[Item]:
    return [items[index] for index in rng.permutation(len(items))]


def _named(
    rng: np.random.Generator, objects: Sequence[SceneObject], ways: Sequence[tuple[str, ...]], asked: str = ""
) -> Iterator[tuple[int, str, str | None]]:
    """Objects in random order, each with a phrase, of one of the `ways`, that names it alone, and with another one.

    With `asked`, the attribute that the question asks for, no other object may share a named attribute and the answer:
    who looks at that one would answer right, and the evidence would not be the named object's alone.
    """
    for index in rng.permutation(len(objects)).tolist():
        for way in shuffled(rng, ways):
            if _names_alone(objects, index, way, asked):
                others = (other for other in ways if other != way and _names_alone(objects, index, other, asked))
                name, *other_names = (_phrase(objects[index], chosen) for chosen in (way, *others))
                yield index, name, other_names[0] if other_names else None
                break


def _names_alone(objects: Sequence[SceneObject], index: int, way: Sequence[str], asked: str) -> bool:
    """Whether these attributes are an object's alone, and, with `asked`, no other shares one of them and the answer."""
    attributes = {name: getattr(objects[index], name) for name in way}
    if matching(objects, **attributes) != (index,):
        return False
    return not asked or all(
        len(matching(objects, **{name: value, asked: getattr(objects[index], asked)})) == 1
        for name, value in attributes.items()
    )


def _phrase(item: SceneObject, way: Sequence[str]) -> str:
    return noun_phrase(**{name: getattr(item, name) for name in way})


def ask_color(rng: np.random.Generator, objects: Sequence[SceneObject], aspect: float) -> Iterator[Draft]:
    for index, name, other in _named(rng, objects, (("shape",), ("size", "shape")), "color"):
        answer = f"The {name} is {objects[index].color}."
        yield _attribute_draft("color", name, other, answer, index)


def ask_shape(rng: np.random.Generator, objects: Sequence[SceneObject], aspect: float) -> Iterator[Draft]:
    for index, name, other in _named(rng, objects, (("color",), ("size", "color")), "shape"):
        answer = f"The {name} is {with_article(objects[index].shape)}."
        yield _attribute_draft("shape", name, other, answer, index)


def ask_size(
    rng: np.random.Generator, objects: Sequence[SceneObject], aspect: float, *, ways: Ways = _SIZE_WAYS
) -> Iterator[Draft]:
    """`ways`: the attributes by which the question may name the object."""
    for index, name, other in _named(rng, objects, ways, "size"):
        answer = f"The {name} is {objects[index].size}."
        yield _attribute_draft("size", name, other, answer, index)


def _attribute_draft(kind: str, name: str, other: str | None, answer: str, index: int) -> Draft:
    question = f"What {kind} is the"
    paraphrase = None if other is None else f"{question} {other}?"
    return Draft(
        kind=kind,
        text=f"{question} {name}?",
        answer=answer,
        evidence=(index,),
        told=(kind,),
        paraphrase=paraphrase,
    )


def ask_existence(
    rng: np.random.Generator,
    objects: Sequence[SceneObject],
    aspect: float,
    *,
    ways: Ways = _EXISTENCE_WAYS,
    values: Mapping[str, Sequence[str]] = _VALUES,
) -> Iterator[Draft]:
    """Yes and no equally often for every form of the question; a no is a near miss of an object that is there.

    `values`: what every attribute can be.
    """
    for _ in range(10):
        way = ways[int(rng.integers(len(ways)))]
        wanted = bool(rng.integers(2))
        for _ in range(20):  # until the wanted answer is the true one; the right one is tried at once for a yes
            target = objects[int(rng.integers(len(objects)))]
            attributes = {name: getattr(target, name) for name in way}
            if not wanted:
                changed = way[int(rng.integers(len(way)))]
                attributes[changed] = values[changed][int(rng.integers(len(values[changed])))]
            found = matching(objects, **attributes)
            if bool(found) == wanted:
                break
        phrase = noun_phrase(**attributes)
        answer = f"Yes, there is {with_article(phrase)}." if found else f"No, there is no {phrase}."
        yield Draft(
            kind="existence",
            text=f"Is there {with_article(phrase)}?",
            answer=answer,
            evidence=found,
            told=way,
        )


def _attribute_groups(objects: Sequence[SceneObject]) -> list[Group]:
    ways = [
        {name: value} for name, values in (("size", SIZES), ("color", COLORS), ("shape", SHAPES)) for value in values
    ]
    groups = []
    for way in [{}, *ways]:
        name = noun_phrase(**way)
        groups.append((name, name + ("es" if way.get("shape") == "cross" else "s"), matching(objects, **way)))
    return groups


def ask_count(
    rng: np.random.Generator,
    objects: Sequence[SceneObject],
    aspect: float,
    *,
    groups: Callable[[Sequence[SceneObject]], list[Group]] = _attribute_groups,
) -> Iterator[Draft]:
    """Every number that some count gives is equally likely, or nearly all answers would be "one".

    `groups`: what can be counted.
    """
    by_number: dict[int, list[Group]] = {}
    for group in groups(objects):
        if group[2]:
            by_number.setdefault(len(group[2]), []).append(group)
    for _ in range(20):
        numbers = sorted(by_number)
        choices = by_number[numbers[int(rng.integers(len(numbers)))]]
        single, plural, found = choices[int(rng.integers(len(choices)))]
        counted = f"are {NUMBER_WORDS[len(found)]} {plural}" if len(found) > 1 else f"is one {single}"
        yield Draft(
            kind="count",
            text=f"How many {plural} are there?",
            answer=f"There {counted}.",
            evidence=found,
        )


def ask_relation(
    rng: np.random.Generator,
    objects: Sequence[SceneObject],
    aspect: float,
    *,
    ways: Ways = _RELATION_WAYS,
    told: tuple[str, ...] = ("color", "shape"),
) -> Iterator[Draft]:
    """Such as "What is left of the star?", asked when exactly one object could be meant.

    That object lies clearly within 40 degrees of the direction; every other one lies outside 55 degrees of it.
    `told`: the attributes by which the answer names the object.
    """
    candidates = list(_named(rng, objects, ways))
    for turn in range(2 * len(candidates)):
        reference, name, other = candidates[turn % len(candidates)]
        for direction in shuffled(rng, DIRECTIONS):
            answer = _only_object_towards(objects, reference, direction, aspect)
            if answer is None:
                continue
            target = objects[answer]
            if len(matching(objects, color=target.color, shape=target.shape)) > 1:
                continue  # another object would give the same answer
            phrase = capitalized(with_article(noun_phrase(color=target.color, shape=target.shape)))
            sentence = f"{phrase} is {direction} the {name}."
            text = f"What is {direction} the {name}?"
            paraphrase = None if other is None else f"What is {direction} the {other}?"
            yield Draft(
                kind="relation",
                text=text,
                answer=sentence,
                evidence=(answer,),
                told=told,
                paraphrase=paraphrase,
            )
            break


def _only_object_towards(objects: Sequence[SceneObject], reference: int, direction: str, aspect: float) -> int | None:
    """The one object in a direction from the reference; None when there is none, or a second one might be meant."""
    origin = objects[reference].center
    clear, doubtful = [], []
    for index, item in enumerate(objects):
        if index == reference:
            continue
        right = (item.center[0] - origin[0]) * aspect**0.5
        down = (item.center[1] - origin[1]) * aspect**-0.5
        along, aside = {
            "left of": (-right, abs(down)),
            "right of": (right, abs(down)),
            "above": (-down, abs(right)),
            "below": (down, abs(right)),
        }[direction]
        if along > DIRECTION_MARGIN and aside < 0.84 * along:
            clear.append(index)
        elif along > 0 and aside < 1.43 * along:
            doubtful.append(index)
    return clear[0] if len(clear) == 1 and not doubtful else None


def ask_description(rng: np.random.Generator, objects: Sequence[SceneObject], aspect: float) -> Iterator[Draft]:
    """The leftmost and the rightmost object, when both stand out."""
    order = sorted(range(len(objects)), key=lambda index: objects[index].center[0])
    positions = [objects[index].center[0] for index in order]
    if min(positions[1] - positions[0], positions[-1] - positions[-2]) < DIRECTION_MARGIN:
        return
    first, last = order[0], order[-1]
    left, right = (with_article(noun_phrase(color=objects[i].color, shape=objects[i].shape)) for i in (first, last))
    sentence = f"{capitalized(left)} is on the left and {right} is on the right."
    yield Draft(kind="description", text="Describe the image.", answer=sentence, evidence=(first, last))


def ask_fact(rng: np.random.Generator, objects: Sequence[SceneObject], aspect: float) -> Iterator[Draft]:
    known = facts()
    for _ in range(40):
        text, answer = known[int(rng.integers(len(known)))]
        yield Draft(kind="fact", text=text, answer=answer, evidence=())


MAKERS: Mapping[str, Maker] = {
    "color": ask_color,
    "shape": ask_shape,
    "size": ask_size,
    "existence": ask_existence,
    "count": ask_count,
    "relation": ask_relation,
    "description": ask_description,
    "fact": ask_fact,
}
