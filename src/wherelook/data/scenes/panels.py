"""Questions about photographs in one image, answered in full sentences, with the photographs that show the answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from wherelook.data.scenes.facts import NUMBER_WORDS, facts
from wherelook.data.scenes.photographs import Noun
from wherelook.data.scenes.questions import capitalized, shuffled, with_article, within_budget

UNSURE = {
    "plant", "food", "chair", "table", "bench", "fence", "flower", "shirt", "jeans", "sunglasses", "window", "door",
    "cup", "tie", "hat", "wheel", "building", "wall", "cloth", "screen", "glass", "beach", "lake", "coast", "valley",
    "mountain", "field", "pole", "bag", "bottle", "book", "roof", "sign", "shop", "car", "truck", "boat", "person",
    "collar", "box", "plaque", "railing", "curtain", "lamp",
}  # fmt: skip
"""Things that lie about in photographs of others: no question takes them for absent."""

BUDGET: Mapping[str, int] = MappingProxyType(
    {
        "name": 2, "kind": 1, "existence": 2, "where": 1, "count": 1, "relation": 1, "color": 1, "description": 1,
        "fact": 1,
    }
)  # fmt: skip
"""How many questions of each kind an image gets, where it allows for that many."""

PLACE_NAMES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "on the left": ("left",),
        "on the right": ("right",),
        "at the top": ("top", "upper", "above"),
        "at the bottom": ("bottom", "lower", "below"),
        "at the top left": ("top left", "upper left", "top-left", "upper-left"),
        "at the top right": ("top right", "upper right", "top-right", "upper-right"),
        "at the bottom left": ("bottom left", "lower left", "bottom-left", "lower-left"),
        "at the bottom right": ("bottom right", "lower right", "bottom-right", "lower-right"),
    }
)
"""Words that tell where a panel is."""

STRAIGHT = 0.2
"""How far aside a panel may lie, as a share of how far it lies in a direction, to be in that direction."""


@dataclass(frozen=True)
class Panel:
    """A photograph in a mosaic, or a thing in a photograph.

    Attributes:
        noun: what it shows.
        place: where it is in words, such as "on the left"; "" where it is alone, or nowhere in particular.
        box: (x0, y0, x1, y1) in pixels of the image.
        color: the color of most of it, if one stands out.
    """

    noun: Noun
    place: str
    box: tuple[int, int, int, int]
    color: str | None = None


@dataclass(frozen=True)
class Draft:
    """A question whose evidence is still a list of panels; see `wherelook.data.scenes.Question`."""

    kind: str
    text: str
    answer: str
    right: tuple[tuple[str, ...], ...]
    evidence: tuple[int, ...]
    exclusive: bool = False


@dataclass(frozen=True)
class Shown:
    """What questions are asked about.

    Attributes:
        panels: what is there.
        absent: things that may be asked for in vain, unless something there can be called so.
        composed: whether the panels are photographs that fill the image, and not things in one photograph, beside
            which there may be others.
    """

    panels: tuple[Panel, ...]
    absent: Sequence[Noun]
    composed: bool = True

    def called(self, name: str) -> tuple[int, ...]:
        """The panels that can be called so."""
        return tuple(index for index, panel in enumerate(self.panels) if panel.noun.fits(name))

    def alone(self, index: int) -> bool:
        """Whether no other panel can be called as this one is."""
        return self.called(self.panels[index].noun.name) == (index,)


def ask(rng: np.random.Generator, shown: Shown, budget: Mapping[str, int]) -> list[Draft]:
    """Questions of each kind, at most `budget[kind]`, none twice."""
    return within_budget(budget, lambda kind: ASKERS[kind](rng, shown))


def _pick(rng: np.random.Generator, texts: Sequence[str]) -> str:
    return texts[int(rng.integers(len(texts)))]


def _order(rng: np.random.Generator, shown: Shown) -> list[int]:
    return shuffled(rng, range(len(shown.panels)))


def _phrase(noun: Noun) -> str:
    return with_article(noun.name, noun.form)


def _be(noun: Noun) -> str:
    return "are" if noun.form == "plural" else "is"


def ask_name(rng: np.random.Generator, shown: Shown) -> Iterator[Draft]:
    """What a panel shows."""
    for index in _order(rng, shown):
        noun, place = shown.panels[index].noun, shown.panels[index].place
        if place:
            text = _pick(rng, ("What is {}?", "What is shown {}?", "What do you see {}?")).format(place)
            answer = f"There {_be(noun)} {_phrase(noun)} {place}."
        elif len(shown.panels) == 1:
            text = _pick(rng, ("What is shown in the picture?", "What is in the picture?", "What does it show?"))
            answer = f"The picture shows {_phrase(noun)}."
        else:
            continue
        yield Draft(
            kind="name",
            text=text,
            answer=answer,
            right=(noun.names(),),
            evidence=(index,),
            exclusive=shown.alone(index),
        )


def ask_kind(rng: np.random.Generator, shown: Shown) -> Iterator[Draft]:
    """What it is called besides its everyday name."""
    for index in _order(rng, shown):
        noun, place = shown.panels[index].noun, shown.panels[index].place
        if noun.kind in ("", noun.name) or noun.form or not (place or len(shown.panels) == 1):
            continue
        right = tuple(name for name in noun.names() if name != noun.name)
        text = f"What kind of {noun.name} is {place or 'it'}?"
        yield Draft(
            kind="kind",
            text=text,
            answer=f"It is {with_article(noun.kind)}.",
            right=(right,),
            evidence=(index,),
            exclusive=shown.alone(index),
        )


def ask_existence(rng: np.random.Generator, shown: Shown) -> Iterator[Draft]:
    """Whether something is there; yes and no equally often."""
    for _ in range(20):
        if rng.random() < 0.5:
            noun = shown.panels[int(rng.integers(len(shown.panels)))].noun
            answer, right = f"Yes, there {_be(noun)} {_phrase(noun)}.", "yes"
        else:
            noun = shown.absent[int(rng.integers(len(shown.absent)))]
            if noun.name in UNSURE or any(
                panel.noun.fits(noun.name) or noun.fits(panel.noun.name) for panel in shown.panels
            ):
                continue
            answer, right = f"No, there {_be(noun)} no {noun.name}.", "no"
        found = shown.called(noun.name)
        text = f"{capitalized(_be(noun))} there {_phrase(noun)} in the picture?"
        yield Draft(
            kind="existence", text=text, answer=answer, right=((right,),), evidence=found, exclusive=len(found) == 1
        )


def ask_where(rng: np.random.Generator, shown: Shown) -> Iterator[Draft]:
    """Where something is that is there once."""
    for index in _order(rng, shown):
        noun, place = shown.panels[index].noun, shown.panels[index].place
        if place and shown.alone(index):
            text, answer = f"Where {_be(noun)} the {noun.name}?", f"The {noun.name} {_be(noun)} {place}."
            yield Draft(
                kind="where",
                text=text,
                answer=answer,
                right=(PLACE_NAMES[place],),
                evidence=(index,),
                exclusive=True,
            )


def ask_count(rng: np.random.Generator, shown: Shown) -> Iterator[Draft]:
    """How many photographs there are, or how many show something."""
    if len(shown.panels) == 1 or not shown.composed:
        return
    for _ in range(10):
        if rng.random() < 0.4:
            found = tuple(range(len(shown.panels)))
            text, number = "How many photographs are there?", NUMBER_WORDS[len(found)]
            answer = f"There are {number} photographs."
        else:
            noun = shown.panels[int(rng.integers(len(shown.panels)))].noun
            found = shown.called(noun.name)
            text, number = f"How many of the photographs show {_phrase(noun)}?", NUMBER_WORDS[len(found)]
            answer = f"{capitalized(number)} of them {'show' if len(found) > 1 else 'shows'} {_phrase(noun)}."
        yield Draft(kind="count", text=text, answer=answer, right=((number, str(len(found))),), evidence=found)


def ask_relation(rng: np.random.Generator, shown: Shown) -> Iterator[Draft]:
    """What alone is straight left of, right of, above or below something; both are there once."""
    for index in _order(rng, shown):
        for other in _order(rng, shown):
            towards = _direction(shown.panels[other], shown.panels[index])
            if towards is None or not shown.alone(other) or not shown.alone(index):
                continue
            if [_direction(shown.panels[other], panel) for panel in shown.panels].count(towards) > 1:
                continue
            noun, known = shown.panels[index].noun, f"the {shown.panels[other].noun.name}"
            answer = f"{capitalized(_phrase(noun))} {_be(noun)} {towards} {known}."
            yield Draft(
                kind="relation",
                text=f"What is {towards} {known}?",
                answer=answer,
                right=(noun.names(),),
                evidence=(index,),
                exclusive=True,
            )


def _direction(origin: Panel, target: Panel) -> str | None:
    (x, y), (a, b) = (((p.box[0] + p.box[2]) / 2, (p.box[1] + p.box[3]) / 2) for p in (origin, target))
    right, down = a - x, b - y
    if abs(down) < STRAIGHT * abs(right):
        return "right of" if right > 0 else "left of"
    if abs(right) < STRAIGHT * abs(down):
        return "below" if down > 0 else "above"
    return None


def ask_color(rng: np.random.Generator, shown: Shown) -> Iterator[Draft]:
    """The color of most of a panel."""
    for index in _order(rng, shown):
        panel = shown.panels[index]
        if panel.color is not None:
            whole = f"the photograph {panel.place}" if panel.place else "the picture"
            same = tuple(i for i, other in enumerate(shown.panels) if other.color == panel.color)
            text, answer = f"What is the main color of {whole}?", f"Most of {whole} is {panel.color}."
            yield Draft(
                kind="color",
                text=text,
                answer=answer,
                right=((panel.color,),),
                evidence=(index,),
                exclusive=same == (index,),
            )


def ask_description(rng: np.random.Generator, shown: Shown) -> Iterator[Draft]:
    """One or two sentences about one thing, two, or four photographs in a square."""
    panels = shown.panels
    nouns = [panel.noun for panel in panels]
    phrases = [_phrase(noun) for noun in nouns]
    right = tuple(noun.names() for noun in nouns)
    if len(panels) == 1:
        answer = f"The picture shows {phrases[0]}."
        if (color := panels[0].color) is not None:
            answer += f" Most of it is {color}."
    elif len(panels) == 2 and all(panel.place for panel in panels):
        told = [f"{phrase} {_be(panel.noun)} {panel.place}" for phrase, panel in zip(phrases, panels, strict=True)]
        answer = f"{capitalized(told[0])} and {told[1]}."
    elif len(panels) == 4 and shown.composed:
        top, bottom = (f"{phrases[i]} and {phrases[i + 1]}" for i in (0, 2))
        answer = f"{capitalized(top)} are at the top. {capitalized(bottom)} are at the bottom."
    else:
        return
    text = _pick(
        rng, ("Describe the picture.", "Describe this image.", "What do you see? Answer in a sentence or two.")
    )
    yield Draft(kind="description", text=text, answer=answer, right=right, evidence=tuple(range(len(panels))))


def ask_fact(rng: np.random.Generator, shown: Shown) -> Iterator[Draft]:
    """What needs no image."""
    known = facts()
    for _ in range(10):
        text, answer = known[int(rng.integers(len(known)))]
        yield Draft(kind="fact", text=text, answer=answer, right=(), evidence=())


Asker = Callable[[np.random.Generator, Shown], Iterator[Draft]]
ASKERS: Mapping[str, Asker] = MappingProxyType(
    {
        "name": ask_name,
        "kind": ask_kind,
        "existence": ask_existence,
        "where": ask_where,
        "count": ask_count,
        "relation": ask_relation,
        "color": ask_color,
        "description": ask_description,
        "fact": ask_fact,
    }
)
